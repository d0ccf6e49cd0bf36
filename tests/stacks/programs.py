#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""programs.py - random programs whose every recorded stack is held against libunwind's.

usage: tests/stacks/programs.py [--keep DIRECTORY] SEED...       these programs
       tests/stacks/programs.py --minutes N                      new ones, N minutes long

Context: test. Needs MOONHEAP_STACK_CHECK, the library that compares stacks (check.c).
Each seed gives a program (generate.py, assembly.py), with compilers and flags drawn for each of its
files, which runs under that library with a frame limit that is drawn too. It holds when no stack
differs from libunwind's, when the program itself finds none wrong, and when it found many right.
Exit status 1 if one does not; its seed is printed and repeats it.
"""

import argparse
import itertools
import os
import random
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import assembly  # noqa: E402
import generate  # noqa: E402

LIMIT_S = 150  # of one command
LEAST = 2000   # stacks that a program must have been right about
BOTH = ["-fno-omit-frame-pointer", "-fomit-frame-pointer", "-fstack-protector-all",
        "-fcf-protection=full", "-fstack-clash-protection", "-fno-optimize-sibling-calls",
        "-mno-red-zone", "-fno-plt", "-ffunction-sections", "-mavx"]
ONLY_GCC = ["-fno-shrink-wrap", "-maccumulate-outgoing-args", "-mstackrealign",
            "-freorder-blocks-and-partition", "-fno-dwarf2-cfi-asm", "-fconserve-stack",
            "-fipa-ra", "-fno-ipa-ra"]


class Failed(Exception):
    pass


def run(argv, **more):
    result = subprocess.run(argv, capture_output=True, text=True, errors="replace",
                            timeout=LIMIT_S, stdin=subprocess.DEVNULL, **more)
    if result.returncode:
        raise Failed(f"{' '.join(argv)} ended with {result.returncode}:\n"
                     f"{result.stdout[-3000:]}{result.stderr[-6000:]}")
    return result


class Program:
    def __init__(self, seed, directory):
        self.seed, self.directory = seed, directory
        self.draw = random.Random(seed)
        self.draw.mild = self.draw.random() < 0.5
        self.numbers = itertools.count(1)

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as f:
            f.write(text)
        return name

    def build(self, argv):
        run(argv, cwd=self.directory)

    def compiler(self, cxx=False, gcc=False):
        """A compiler and its flags."""
        d = self.draw
        gcc = gcc or d.random() < 0.6
        names = ("g++", "clang++-14") if cxx else ("gcc", "clang-14")
        level = d.choice(["-O0", "-O1", "-O2", "-O2", "-O3", "-Os"])
        flags = [f for f in BOTH + (ONLY_GCC if gcc else []) if d.random() < 0.2]
        return [names[0 if gcc else 1], level, "-w", "-fno-builtin-malloc",
                "-fno-builtin-realloc", "-fexceptions", "-fPIC", "-I",
                os.path.join(HERE, "generated"), *flags]

    def compile(self, name, text, *more, gcc=False):
        """Writes and compiles a unit; its object file."""
        self.write(name, text)
        self.build([*self.compiler(cxx=name.endswith(".cpp"), gcc=gcc), *more, "-c", name,
                    "-o", name + ".o"])
        return name + ".o"

    def unit(self, name, ingredients, count, head="", offer=True, more=(), gcc=False):
        u = generate.Unit(self.draw, self.numbers, "cpp" if name.endswith(".cpp") else "c")
        if head:
            u.add(head)
        u.fill(ingredients, count)
        return self.compile(name, u.source(offer), *more, gcc=gcc)

    def assembly(self, name, count, offer, more_room=None):
        text, names = assembly.source(self.draw, self.numbers, count, more_room)
        self.write(name + ".s", text)
        self.build(["gcc", "-c", name + ".s", "-o", name + ".s.o"])
        u = generate.Unit(self.draw, self.numbers, "c")
        u.steps = names
        return [name + ".s.o", self.compile(name + "_steps.c", u.source(offer))]

    def lazy(self):
        """A shared library that is bound lazily, and the unit that calls it."""
        caller = generate.Unit(self.draw, self.numbers, "c")
        caller.library = generate.Unit(self.draw, self.numbers, "c")
        caller.fill([generate.lazy], 12)
        library = self.compile("lazy.c", caller.library.source(False))
        self.build(["gcc", "-shared", "-Wl,-z,lazy", "-o", "liblazy.so", library])
        return self.compile("lazy_calls.c", caller.source(), "-fplt")

    def plugin(self, n):
        name = f"plugin{n}"
        if self.draw.random() < 0.5:
            objects = [self.unit(name + ".c", generate.PLUGIN, 12, offer=False, head=
                                 "static __thread char own[5000];\n"
                                 "__attribute__((constructor)) static void touch(void)\n"
                                 "{\n    own[7] = 1;\n    PROBE(malloc(9));\n}\n")]
        else:
            objects = self.assembly(name, 13, False)
        return [self.link_plugin(name, objects)]

    def twins(self, name):
        """Two plugins whose code differs in nothing but the size of frames."""
        state, first = self.draw.getstate(), next(self.numbers)
        made = []
        for more_room in (0, 16):
            self.draw.setstate(state)
            self.numbers = itertools.count(first)
            objects = self.assembly(f"{name}{more_room}", 4, False, more_room)
            made.append(self.link_plugin(f"{name}{more_room}", objects))
        return made

    def link_plugin(self, name, objects):
        without = ["-Wl,--build-id=none"] if self.draw.random() < 0.5 else []
        self.build(["gcc", "-shared", *without, "-Wl,-z,lazy", "-o", name + ".so", *objects])
        return os.path.join(self.directory, name + ".so")

    def make(self):
        self.linker = self.draw.choice(["bfd", "bfd", "gold", "lld"])
        objects = [self.unit("first.c", generate.C, 24), self.unit("second.c", generate.C, 24),
                   self.unit("objects.cpp", generate.CXX, 20, head=generate.GUARD,
                             more=["-std=c++17"]),
                   self.unit("coroutines.cpp", [generate.suspending], 4,
                             head=generate.COROUTINE, more=["-std=c++20", "-fcoroutines"],
                             gcc=True),
                   *self.assembly("hand", 26, True), self.lazy(),
                   self.compile("glue.c", assembly.GLUE)]
        self.plugins = self.twins("twin")
        for n in range(self.draw.randrange(1, 3)):
            self.plugins += self.plugin(n)
        with open(os.path.join(HERE, "generated", "world.c")) as f:
            objects.append(self.compile("world.c", f.read(), "-D_GNU_SOURCE"))
        self.build(["g++", "-fuse-ld=" + self.linker, "-rdynamic", "-Wl,-z,lazy",
                    "-Wl,-rpath," + self.directory, "-o", "program", *objects, "-L.", "-llazy",
                    "-pthread"])

    def check(self, budget):
        """Builds and runs it; what was counted."""
        self.make()
        stack = self.draw.choice([64, 64, 64, 64, 64, 7, 1, 3, 200, 256])
        # lld gives no unwind information for its jumps to other libraries
        tick = 0 if self.linker == "lld" else self.draw.choice([0, 150, 400])
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MOONHEAP_", "LD_"))}
        env.update(LD_PRELOAD=os.environ["MOONHEAP_STACK_CHECK"], MOONHEAP_STACK=str(stack))
        command = [os.path.join(self.directory, "program"), str(self.seed), str(budget), str(tick),
                   os.path.join(self.directory, "liblazy.so"), *self.plugins]
        result = run(command, env=env)
        counted = {k: int(n) for k, n in re.findall(r"(\w+) (\d+)", result.stdout + " " +
                                                    result.stderr.strip().split("\n")[-1])}
        counted.update(limit=stack, tick=tick)
        if counted.get("differences") != 0 or counted.get("misjudged") != 0:
            raise Failed(f"stacks differ:\n{result.stderr[-6000:]}")
        if counted["judged"] < LEAST:
            raise Failed(f"too few stacks: {counted}")
        return counted


def attempt(seed, budget, keep):
    """Was the program of that seed followed rightly?"""
    with tempfile.TemporaryDirectory(prefix="moonheap-stacks-") as temporary:
        directory = os.path.join(keep, str(seed)) if keep else temporary
        os.makedirs(directory, exist_ok=True)
        began = time.monotonic()
        try:
            counted = Program(seed, directory).check(budget)
        except (Failed, subprocess.TimeoutExpired) as e:
            print(f"FAILED seed {seed}: {e}", flush=True)
            return None
        print(f"seed {seed}: {time.monotonic() - began:.1f} s "
              + " ".join(f"{k} {n}" for k, n in counted.items()), flush=True)
        return counted


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
    parser.add_argument("--keep")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("seeds", nargs="*", type=int)
    options = parser.parse_args()
    seeds = options.seeds
    if options.minutes:
        end = time.monotonic() + 60 * options.minutes
        fresh = random.SystemRandom()
        seeds = itertools.takewhile(lambda _: time.monotonic() < end,
                                    (fresh.randrange(1 << 31) for _ in itertools.count()))
    results = [attempt(seed, options.budget, options.keep) for seed in seeds]
    good = [r for r in results if r]
    reused = sum(r["reused"] for r in good)
    print(f"{len(results)} programs, {len(results) - len(good)} failed, "
          f"{sum(r['stacks'] for r in good)} stacks, {reused} times other code at an address")
    sys.exit(0 if good and len(good) == len(results) and reused else 1)


if __name__ == "__main__":
    main()
