# SPDX-License-Identifier: MIT
"""Are the references of a snapshot those that are there, no more and no fewer?

Context: test. The oracles are the victims: one looks through its own blocks with nothing but the
list of what malloc returned, the other holds one block in each way that C has, and lets go.
"""

import collections

from harness import ALLOCATORS, LIB_DIR, Program, check, main, seed, until, victim
from snapshots import take, take_whole

import os


def truth_of(program):
    blocks, edges = {}, set()
    while True:
        kind, *rest = program.hear(60).split()
        if kind == ".":
            return blocks, edges
        if kind == "B":
            blocks[int(rest[0], 16)] = int(rest[1])
        else:
            edges.add((int(rest[0], 16), int(rest[1]), int(rest[2], 16), int(rest[3])))


def compare(number, count, threads, **how):
    with Program([victim("web"), str(number), str(count), str(threads)], **how) as program:
        blocks, edges = truth_of(program)
        check(len(edges) > count, "the truth is worth something", len(edges))
        found = take(program)
        check(found.has_references(), "references were taken", found.notes)
        missing = set(blocks.items()) - set(found.blocks.items())
        check(not missing, "every block is listed with its size", sorted(missing)[:5])
        seen = {e for e in found.edges if e[0] in blocks and e[2] in blocks}
        check(not edges - seen, f"every edge is found ({len(edges)})", sorted(edges - seen)[:5])
        check(not seen - edges, "no edge is invented", sorted(seen - edges)[:5])
        check(found.meta["into"] > 0 and (found.meta["far"] > 0 or count < 3000),
              "interior ones among them, and ones far into large blocks", found.meta)


def test_edges_are_the_truth():
    number = seed()
    for n, (count, threads) in enumerate([(300, 0), (5000, 0), (5000, 3)]):
        compare(number + n, count, threads)


def test_edges_are_the_truth_with_other_allocators():
    number = seed()
    for library in ALLOCATORS.values():
        if os.path.exists(library):
            compare(number, 3000, 2, preload=[library])


EXPECTED = {
    # holder: (kind of root, file of its module)
    "global": ("data", "holders"),
    "static": ("data", "holders"),
    "data": ("data", "holders"),
    "interior": ("data", "holders"),
    "plugin": ("data", "holder.so"),
    "thread-local": ("thread-local", "holders"),
    "thread-stack": ("stack", ""),
    "main-stack": ("stack", ""),
    "stack-below-handler": ("stack", ""),
    "alternate-stack": ("stack", ""),
    "coroutine-stack": ("mapping", ""),
    "register": ("register", ""),
    "vector-register": ("register", ""),
    "mapping": ("mapping", ""),
}
# Held by another block: by which holder's, or by libc's own.
INDIRECT = {"block", "thread-specific"}
NEVER_HELD = {"lost", "cycle", "gone-thread-stack"}


def holders_of(program):
    blocks = collections.defaultdict(list)
    while True:
        line = program.hear()
        if line == ".":
            return blocks
        name, inverted = line.split()
        blocks[name].append(~int(inverted, 16) & (1 << 64) - 1)


def test_each_way_of_holding():
    with Program([victim("holders"), victim("holder.so")]) as program:
        blocks = holders_of(program)
        check(set(blocks) == set(EXPECTED) | INDIRECT | NEVER_HELD, "all are there", set(blocks))
        found = take_whole(program)
        lost = found.unreachable()
        for name, addresses in blocks.items():
            for address in addresses:
                check((address in lost) == (name in NEVER_HELD), f"{name} is reachable or not",
                      hex(address), found.holders(address))
        for name, (kind, path) in EXPECTED.items():
            holders = found.holders(blocks[name][0])
            check(len(holders) == 1, f"{name} has one holder", holders)
            area = holders[0].area
            check(area.kind == kind, f"{name}: the kind of root", area)
            check(os.path.basename(area.path) == path, f"{name}: its module", area)
            check(holders[0].into == (60 if name == "interior" else 0), f"{name}: where it points",
                  holders)
        weak = [e.area.kind for e in found.root_edges
                if e.target == blocks["gone-thread-stack"][0]]
        check(set(weak) <= {"dead-stack"}, "a stack of a thread that is gone is weak", weak)
        threads = {e.area.tid for name in ("thread-stack", "register", "vector-register")
                   for e in found.holders(blocks[name][0])}
        check(len(threads) == 3 and program.pid not in threads, "threads are told apart", threads)
        check({e.area.tid for e in found.holders(blocks["main-stack"][0])} == {program.pid},
              "the main thread's stack is its own")

        check(program.ask("drop") == "dropped", "all let go")
        lost = take_whole(program).unreachable()
        for name, addresses in blocks.items():
            for address in addresses:
                check(address in lost, f"{name} let go of its block", hex(address))


if __name__ == "__main__":
    main()
