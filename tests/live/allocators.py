# SPDX-License-Identifier: MIT
"""Do the books agree when another allocator lies underneath?

Context: test. jemalloc, tcmalloc and mimalloc are preloaded after Moonheap, as a program that
links them would have them: the next allocator is found by symbol search.
"""

import harness
from books import Books, judge_quiet, judge_storm


def ask(name):
    path = harness.ALLOCATORS[name]
    if not harness.os.path.exists(path):
        raise harness.Skip(f"{path} is not installed")
    with Books(harness.seed(), slots=1500, preload=[path]) as books:
        books.round(60_000)
        maps = open(f"/proc/{books.program.pid}/maps").read()
        harness.check(harness.os.path.basename(path) in maps, "the allocator is really there")
        judge_quiet(books, books.program.run())
        books.start_round(60_000, logged=True, fresh=True)
        while not harness.select.select([books.program.process.stdout], [], [], 0.005)[0]:
            books.program.signal()
        books.wait_quiet()
        judge_storm(books, books.program.settle()[1:])
        judge_quiet(books, books.program.run())
        harness.check(books.program.finish() == 0, "the victim ends well")


def test_jemalloc():
    ask("jemalloc")


def test_tcmalloc():
    ask("tcmalloc")


def test_mimalloc():
    ask("mimalloc")


if __name__ == "__main__":
    harness.main()
