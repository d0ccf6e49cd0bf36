# SPDX-License-Identifier: MIT
"""Is the set of live blocks that Moonheap lists the set that the program owns?

Context: test. Issue: the victim performs millions of random malloc, calloc, realloc, reallocarray,
memalign, aligned_alloc, posix_memalign, valloc and free (also of other threads' blocks) in 8
threads and keeps its own books; a snapshot must agree, at rest and in the middle of it.
"""

import harness
from books import Books, judge_quiet, judge_storm


def test_quiet_points():
    with Books(harness.seed(), slots=4000) as books:
        live = []
        for fresh in (False, True, False):
            books.round(200_000, fresh=fresh)
            live.append(judge_quiet(books, books.program.run()))
        print(f"# {books.operations()} operations, live blocks at quiet points: {live}")
        harness.check(books.operations() >= 4_000_000, "the series is millions long")
        harness.check(books.program.finish() == 0, "the victim ends well")


def test_signals_in_storms():
    """Signals come all the time; what they interrupt is mostly malloc and free."""
    with Books(harness.seed(), slots=2500) as books:
        storms = 0
        # On a busy machine the agent may get few turns: then there are more storms.
        while storms < 3 or (storms < 6 and len(books.program.runs()) < 2):
            books.start_round(150_000, logged=True, fresh=storms == 1)
            storms += 1
            signals = 0
            while not harness.select.select([books.program.process.stdout], [], [], 0.001)[0]:
                books.program.signal()
                signals += 1
            books.wait_quiet()
        runs = books.program.settle()
        harness.check(len(runs) >= 2, "storms are long enough for some runs", len(runs))
        stable = judge_storm(books, runs)
        print(f"# {books.operations()} operations, {len(runs)} listings, each with "
              f"{min(stable)} to {max(stable)} blocks that had to be in it")
        harness.check(max(stable) > 1000, "the storm leaves something to judge by", stable)
        judge_quiet(books, books.program.run())
        harness.check(books.program.finish() == 0, "the victim ends well")


if __name__ == "__main__":
    harness.main()
