#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""starts.py - what the start of a small program takes: instructions, system calls and page faults.

usage: tests/bench/starts.py --hold      (needs MOONHEAP_LIBRARY and MOONHEAP_BUILD)
  --hold   against the bounds below; exit status 1 when one is broken

Context: test.
Why: each program that another one runs pays for it, in an amount that times of a busy machine hide.
Instructions are callgrind's, of the program and the loader; system calls are strace's. Page faults,
from getrusage, are the larger part of the time; they differ by a few from start to start, since the
loader puts libraries elsewhere each time, so the fewest of some starts are taken.
"""

import re
import resource
import subprocess

from instructions import main, valgrind

STARTS = 10

# More than alone, at most, of a program that allocates once and prints three lines: what was measured
# when this was last set, and a tenth; a fifth of the page faults.
BOUNDS = {
    ("idle", "instructions"): 128000,
    ("idle", "system calls"): 24,
    ("idle", "page faults"): 30,
    ("tracking", "instructions"): 275000,
    ("tracking", "system calls"): 101,
    ("tracking", "page faults"): 68,
}


def system_calls(argv, env):
    result = subprocess.run(["strace", "-o", "/dev/stdout", *argv], env=env, capture_output=True,
                            text=True, timeout=60, stdin=subprocess.DEVNULL, check=True)
    return len(re.findall(r"^[a-z0-9_]+\(", result.stdout, re.M))


def page_faults(argv, env):
    fewest = []
    for _ in range(STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, timeout=60, check=True)
        fewest.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before)
    return min(fewest)


def count(counter, variant):
    argv, env = counter.argv(["pairs", "1"]), counter.environment(variant)
    return {
        "instructions": valgrind("callgrind", r"Collected : (\d+)",
                                 ["--callgrind-out-file=/dev/null", *argv], env),
        "system calls": system_calls(argv, env),
        "page faults": page_faults(argv, env),
    }


def hold(counter):
    """Are all bounds held?"""
    held = True
    alone = count(counter, "alone")
    for variant in ("idle", "tracking"):
        took = count(counter, variant)
        for what, of in alone.items():
            more, bound = took[what] - of, BOUNDS[variant, what]
            good = 0 < more <= bound
            held = held and good
            print(f"{variant}, {what}: {of} {more:+} of at most {bound}{'' if good else ' BROKEN'}",
                  flush=True)
    return held


if __name__ == "__main__":
    main(__doc__, hold)
