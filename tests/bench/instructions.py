#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""instructions.py - instructions that a malloc/free pair takes, by callgrind.

usage: tests/bench/instructions.py --hold      (needs MOONHEAP_LIBRARY and MOONHEAP_BUILD)
  --hold   only what takes seconds, against the bounds below; exit status 1 when one is broken

Context: benchmark and test; a part of scripts/bench.
Why: times differ from run to run, counts hardly do. Each program runs in two sizes; the difference
of the counts over the difference of the pairs has neither the start nor the end of the program in
it. Counts are of one thread after the other, and say nothing of caches.
"""

import os
import re
import subprocess
import sys
import tempfile

INSTRUCTIONS = """| instructions a malloc/free pair | pairs | alone | idle | tracking | sampled | peak | \
stopped |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
VARIANTS = {
    "alone": None,
    "idle": {"MOONHEAP_TRACK": "off"},
    "tracking": {"MOONHEAP_TRACK": "full"},
    "sampled": {"MOONHEAP_TRACK": "sample:524288"},
    "peak": {"MOONHEAP_PEAK": "1"},
    "stopped": {"BENCH_ASK": ""},  # recorded until a script says heap.stop(), before the work begins
}
STOP = "heap.stop() print('stopped')\n"
LIMIT_S = 120

# name: (what it is, arguments of the small and of the large run). In a sample, the first block of a
# thread takes as much as thousands of others: it must not matter in which run it comes.
PROGRAMS = {
    "pairs": ("malloc and free in a loop", ["pairs", "1000"], ["pairs", "201000"]),
    "lists": ("plain C lists in a hash", ["lists", "8000"], ["lists", "40000"]),
    "queue": ("producer and consumer, 2 threads", ["queue", "2", "2048"], ["queue", "2", "12288"]),
    "tree": ("recursive C++ tree builder", ["tree", "3000", "13"], ["tree", "12000", "13"]),
}

# Instructions a pair more than alone, at most: what was measured when this was last set, and 15 %.
# Who makes a path shorter sets them anew.
BOUNDS = {
    ("pairs", "idle"): 10,
    ("pairs", "tracking"): 331,
    ("pairs", "sampled"): 64,
    ("pairs", "stopped"): 23,
    ("lists", "tracking"): 363,
    ("lists", "peak"): 397,
    ("tree", "tracking"): 769,
}


def valgrind(tool, pattern, argv, env):
    """The number that a tool prints about a run."""
    result = subprocess.run(["valgrind", f"--tool={tool}", *argv], env=env, capture_output=True,
                            text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    found = re.search(pattern, result.stderr)
    if result.returncode or not found:
        raise subprocess.CalledProcessError(result.returncode, argv, result.stdout, result.stderr)
    return int(found.group(1).replace(",", ""))


class Counter:
    def __init__(self, build, library):
        self.build, self.library = build, library

    def argv(self, arguments):
        return [os.path.join(self.build, "workloads", arguments[0]), *arguments[1:]]

    def environment(self, variant, directory=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MOONHEAP_", "LD_"))}
        if VARIANTS[variant] is not None:
            env.update(VARIANTS[variant], LD_PRELOAD=self.library)
        if "BENCH_ASK" in env:
            script, out = (os.path.join(directory, name) for name in ("stop.lua", "out.txt"))
            with open(script, "w") as f:
                f.write(STOP)
            env.update(MOONHEAP_SCRIPT=script, MOONHEAP_OUT=out, BENCH_ASK=out, MOONHEAP_LINES="0")
        return env

    def pairs(self, arguments):
        return valgrind("memcheck", r"allocs, ([\d,]+) frees", self.argv(arguments),
                        self.environment("alone"))

    def instructions(self, variant, arguments):
        with tempfile.TemporaryDirectory(prefix="moonheap-bench-") as directory:
            return valgrind("callgrind", r"Collected : (\d+)",
                            ["--callgrind-out-file=/dev/null", *self.argv(arguments)],
                            self.environment(variant, directory))

    def each(self, name, variants=VARIANTS):
        """(pairs, {variant: instructions a pair})"""
        _, small, large = PROGRAMS[name]
        pairs = self.pairs(large) - self.pairs(small)
        return pairs, {v: (self.instructions(v, large) - self.instructions(v, small)) / pairs
                       for v in variants}


def rows(build, library, names=PROGRAMS):
    lines = []
    for name in names:
        pairs, took = Counter(build, library).each(name)
        lines.append(f"| {PROGRAMS[name][0]} | {pairs} | " + " | ".join(
            f"{took[v]:.0f}" if v == "alone" else f"{took[v]:.0f} (+{took[v] - took['alone']:.0f})"
            for v in VARIANTS) + " |")
    return lines


def hold(counter):
    """Are all bounds held?"""
    held = True
    for name in PROGRAMS:
        asked = {v: bound for (n, v), bound in BOUNDS.items() if n == name}
        if not asked:
            continue
        pairs, took = counter.each(name, ["alone", *asked])
        for variant, bound in asked.items():
            more = took[variant] - took["alone"]
            good = pairs > 0 and 0 < more <= bound
            held = held and good
            print(f"{name} {variant}: {took['alone']:.1f} {more:+.1f} of at most {bound}"
                  f"{'' if good else ' BROKEN'}", flush=True)
    return held


def main(usage, hold):
    if sys.argv[1:] != ["--hold"]:
        sys.exit(usage)
    sys.exit(0 if hold(Counter(os.environ["MOONHEAP_BUILD"], os.environ["MOONHEAP_LIBRARY"])) else 1)


if __name__ == "__main__":
    main(__doc__, hold)
