# SPDX-License-Identifier: MIT
"""snapshots.py - what stands in a snapshot file, for tests that look at references.

Context: test. readers/references, which uses nothing of the library but its reader of files, prints
the file; this turns it into Python's lists and finds by itself what can be reached.
"""

import collections
import os
import subprocess

from harness import BUILD, check

SAVE = """
local s, why = heap.snapshot{graph=true}
assert(s, why)
assert(s:save("snapshot"))
printf("pause=%.3f\\nbuild=%.3f\\n", s.pause_ms, s.build_ms)
s:close()
"""

Area = collections.namedtuple("Area", "kind lo hi thread tid path")
RootEdge = collections.namedtuple("RootEdge", "area address target into")


def read(*arguments):
    run = subprocess.run([os.path.join(BUILD, "readers", "references"), *arguments],
                         capture_output=True, text=True, timeout=120)
    check(run.returncode == 0, "the snapshot can be read", run.stderr)
    return run.stdout.splitlines()


def figures(text):
    return {k: int(v) for k, _, v in (word.partition("=") for word in text.split())}


def summary(path):
    """The figures of a file, how many blocks no root leads to, and its notes."""
    lines = read("--summary", path)
    lost = [int(line[2:]) for line in lines if line.startswith("U ")]
    return (figures(lines[0][2:]), lost[0] if lost else None,
            [line[2:] for line in lines if line.startswith("N ")])


class References:
    """The references of one snapshot file."""

    def __init__(self, path):
        self.meta, self.notes, self.missed = {}, [], {}
        self.blocks, self.edges, self.areas, self.root_edges = {}, set(), {}, []
        for line in read(path):
            kind, _, rest = line.partition(" ")
            getattr(self, "read_" + kind)(rest)

    def read_M(self, rest):
        self.meta = figures(rest)

    def read_U(self, rest):
        self.unreached_count = int(rest)

    def read_N(self, rest):
        self.notes.append(rest)

    def read_T(self, rest):
        tid, _, what = rest.partition(" ")
        self.missed[int(tid)] = what

    def read_B(self, rest):
        address, size = rest.split()
        self.blocks[int(address, 16)] = int(size)

    def read_E(self, rest):
        source, at, target, into = rest.split()
        self.edges.add((int(source, 16), int(at), int(target, 16), int(into)))

    def read_A(self, rest):
        number, kind, lo, hi, thread, tid, *path = rest.split(" ")
        self.areas[int(number)] = Area(kind, int(lo, 16), int(hi, 16), int(thread), int(tid),
                                       " ".join(path))

    def read_R(self, rest):
        number, address, target, into = rest.split()
        self.root_edges.append(RootEdge(self.areas[int(number)], int(address, 16),
                                        int(target, 16), int(into)))

    def has_references(self):
        return bool(self.meta["flags"] & 1)

    def stopped(self):
        return bool(self.meta["flags"] & 2)

    def way(self):
        return ["none", "tracer", "signals"][self.meta["stop"]]

    def holders(self, address):
        """The areas that refer to the block at `address`, dead stacks left out."""
        return [e for e in self.root_edges if e.target == address and e.area.kind != "dead-stack"]

    def unreachable(self):
        after = collections.defaultdict(list)
        for source, _, target, _ in self.edges:
            after[source].append(target)
        met = {e.target for e in self.root_edges if e.area.kind != "dead-stack"}
        queue = list(met)
        while queue:
            for target in after[queue.pop()]:
                if target not in met:
                    met.add(target)
                    queue.append(target)
        lost = set(self.blocks) - met
        check(len(lost) == self.unreached_count, "both ways of counting agree", len(lost))
        return lost


def take(program, **how):
    """Has the program take and save a snapshot, and reads it; how: what Program.run takes."""
    run = program.run(SAVE, **how)
    path = os.path.join(program.directory, "snapshot")
    check(os.path.exists(path), "a snapshot was saved", run)
    found = References(path)
    os.remove(path)
    return found


def take_whole(program):
    """One of which all threads stood: on a busy machine one may not get its turn in time, as the
    snapshot says of itself, and another one is taken."""
    for _ in range(20):
        found = take(program)
        if found.stopped():
            break
        check(all("in time" in why for why in found.missed.values()), "nobody else is missed",
              found.missed)
    check(found.stopped(), "all threads were stopped", found.missed, found.notes)
    return found
