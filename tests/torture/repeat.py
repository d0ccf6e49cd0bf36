#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""repeat.py - runs the live tests again and again, each time with a new seed and other conditions.

usage: tests/torture/repeat.py MINUTES [NAME...]     (names of tests/live; default: those with storms)

Context: test; by hand or nightly, not part of scripts/test. Needs MOONHEAP_LIBRARY, MOONHEAP_TOOL
and MOONHEAP_BUILD as the live tests do.
Why conditions change: a race shows on one schedule in thousands. So a run has one processor or
all of them, and company that takes processor time or
none. A failure prints the seed and the conditions that repeat it; exit status 1 if there was one.
"""

import os
import random
import subprocess
import sys
import time

LIVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live")
STORMS = ["ground_truth", "allocators", "children", "prefork", "stacks", "cxx", "hygiene", "edit"]
LIMIT_S = 300


def conditions(draw):
    processors = sorted(os.sched_getaffinity(0))
    return {"seed": draw.randrange(1 << 31),
            "processors": draw.choice([processors, processors[:1]]),
            "company": draw.choice([0, 0, 2])}


def attempt(name, how):
    env = dict(os.environ, MOONHEAP_TEST_SEED=str(how["seed"]))
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(how["company"])]
    try:
        return subprocess.run(
            [sys.executable, "-B", os.path.join(LIVE, name + ".py")], env=env, timeout=LIMIT_S,
            capture_output=True, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, how["processors"]))
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(e.cmd, "timeout", e.stdout or "", e.stderr or "")
    finally:
        for process in spin:
            process.kill()
            process.wait()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    end = time.monotonic() + 60 * float(sys.argv[1])
    names = sys.argv[2:] or STORMS
    draw, runs, failed = random.SystemRandom(), 0, 0
    while time.monotonic() < end:
        name, how = names[runs % len(names)], conditions(draw)
        result = attempt(name, how)
        runs += 1
        if result.returncode not in (0, 77):
            failed += 1
            print(f"FAILED {name} with {how}\n{result.stdout}{result.stderr}", flush=True)
        if sys.stderr.isatty():
            print(f"\r\033[K{runs} runs, {failed} failed; {name}", end="", file=sys.stderr)
    print(f"{runs} runs, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
