# SPDX-License-Identifier: MIT
"""books.py - the oracle of the ground-truth tests: compares listings with a victim's own books.

Context: test. Not a test itself.
Invariant: judge_quiet allows no difference; judge_storm asks for every block that certainly lived
through the listing and forbids every block that certainly lived at no moment of it.
"""

import bisect
import mmap
import os
import struct

from harness import Program, check, victim

# Lists every block as "address size own", own telling whether the victim's series made it.
LIST = """
local s = heap.snapshot{graph=false}
local own = s:all():where{stack_has="books_"}
local out = {string.format("snapshot %.6f %.3f %d %d", s.time, s.build_ms, #s, #own)}
local function list(set, mark)
    for b in set:each() do
        out[#out + 1] = string.format("%x %d %s", b.addr, b.size, mark)
    end
end
list(own, "own")
list(s:all() - own, "other")
print(table.concat(out, "\\n"))
"""

ENTRY = struct.Struct("6Q")
SLACK_NS = 3_000_000  # between the clocks' reading and the walk, on a busy machine


class Books:
    """A running `books` victim. Use as a context manager."""

    def __init__(self, seed, slots, **options):
        self.program = Program([victim("books"), "books.bin", str(seed), str(slots)],
                               script=LIST, **options)
        self.path = os.path.join(self.program.directory, "books.bin")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.close()

    def start_round(self, operations, logged=False, fresh=False):
        self.program.tell(f"{operations} {int(logged)} {int(fresh)}")

    def wait_quiet(self):
        check(self.program.hear(90) == "quiet", "the victim answers its round")

    def round(self, *args, **kwargs):
        self.start_round(*args, **kwargs)
        self.wait_quiet()

    def entries(self):
        """Every (addr, size, born0, born1, died0, died1), in no order."""
        with open(self.path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
            threads, capacity = struct.unpack_from("2Q", m)
            used = struct.unpack_from(f"{threads}Q", m, 16)
            start = 16 + 16 * threads
            for t in range(threads):
                at = start + t * capacity * ENTRY.size
                yield from (e for e in ENTRY.iter_unpack(m[at:at + used[t] * ENTRY.size]) if e[2])

    def operations(self):
        with open(self.path, "rb") as f:
            threads, = struct.unpack("Q", f.read(8))
            f.seek(16 + 8 * threads)
            return sum(struct.unpack(f"{threads}Q", f.read(8 * threads)))


class Listing:
    """What one run of LIST printed."""

    def __init__(self, run):
        lines = run.body.strip().split("\n")
        check(lines[0].startswith("snapshot "), "the run lists a snapshot", run.body[:1000])
        _, time, build_ms, count, own = lines[0].split()
        self.at_ns, self.build_ns = float(time) * 1e9, float(build_ms) * 1e6
        rows = [line.split() for line in lines[1:]]
        self.blocks = {int(a, 16): (int(size), mark == "own") for a, size, mark in rows}
        check(len(self.blocks) == len(rows) == int(count), "each address is listed once",
              len(self.blocks), len(rows), count)
        check(sum(o for _, o in self.blocks.values()) == int(own), "the set's size is its length")


def judge_quiet(books, run, others=200):
    """At a quiet point the victim's blocks are the books' blocks: no difference at all."""
    listing = Listing(run)
    expected = {e[0]: e[1] for e in books.entries() if not e[4]}
    own = {a: size for a, (size, is_own) in listing.blocks.items() if is_own}
    missing = [(hex(a), expected[a]) for a in expected.keys() - listing.blocks.keys()]
    extra = [(hex(a), own[a]) for a in own.keys() - expected.keys()]
    wrong = [(hex(a), expected[a], listing.blocks[a]) for a in expected.keys() & own.keys()
             if expected[a] != own[a]]
    nameless = [(hex(a), expected[a]) for a in (expected.keys() & listing.blocks.keys())
                - own.keys()]
    check(not (missing or extra or wrong or nameless),
          f"books of {len(expected)} blocks: {len(missing)} missing, {len(extra)} too many, "
          f"{len(wrong)} of wrong size, {len(nameless)} without the victim in their stack",
          f"missing {missing[:8]}", f"extra {extra[:8]}", f"wrong {wrong[:8]}",
          f"nameless {nameless[:8]}")
    stray = len(listing.blocks) - len(own)
    check(stray <= others, f"{stray} blocks besides the victim's own: more than libc's few")
    return len(expected)


def judge_storm(books, runs):
    """Each listing of a storm holds what lived throughout and nothing that lived at no moment."""
    listings = [Listing(r) for r in runs]
    windows = [(x.at_ns - x.build_ns - SLACK_NS, x.at_ns + x.build_ns + SLACK_NS)
               for x in listings]
    possible = [{a: None for a, (_, own) in x.blocks.items() if own} for x in listings]
    stable = [0] * len(listings)
    ends = [last for _, last in windows]
    check(ends == sorted(ends), "listings are in order of time")
    for addr, size, born0, born1, died0, died1 in books.entries():
        for i in range(bisect.bisect_left(ends, born0), len(windows)):
            first, last = windows[i]
            if died1 and died1 < first:
                break
            if born1 < first and (not died0 or died0 > last):
                stable[i] += 1
                got = listings[i].blocks.get(addr)
                check(got == (size, True), f"listing {i}: block {addr:#x} of {size} bytes lived "
                      f"through it but it says {got}; born {born1 - first:.0f} ns after its "
                      f"start, died {died0 and died0 - last:.0f} ns after its end")
            if addr in possible[i] and listings[i].blocks[addr][0] == size:
                del possible[i][addr]
    for i, left in enumerate(possible):
        check(not left, f"listing {i}: {len(left)} blocks that were live at no moment of it",
              [(hex(a), listings[i].blocks[a][0]) for a in list(left)[:8]])
    return stable
