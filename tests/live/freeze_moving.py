# SPDX-License-Identifier: MIT
"""Is a live block ever called unreachable while threads move blocks as fast as they can?

Context: test. The victim holds every block at every moment, so the right number is zero.
"""

import os
import time

from harness import Program, check, main, victim
from snapshots import References, summary

BATCH = 5
ENOUGH_S = 40
MANY = """
for i = 1, BATCH do
    local s = heap.snapshot{graph=true}
    s:save("moved" .. i)
    s:close()
end
""".replace("BATCH", str(BATCH))


def none_is_lost(way, *how):
    """8 threads, 200 whole snapshots, or as many as there is time for. On a very busy machine a thread
    may not get its turn in time, or be on its way out of the handler of the stop before: that
    snapshot says so, and another one is taken."""
    whole, end = 0, time.monotonic() + ENOUGH_S
    with Program([victim("movers"), "8", "1000", *how]) as program:
        check(program.hear() == "ready", "it is ready")
        for _ in range(300 // BATCH):
            program.run(MANY, seconds=90)
            for i in range(1, BATCH + 1):
                path = os.path.join(program.directory, f"moved{i}")
                meta, lost, notes = summary(path)
                check(meta["flags"] & 1 and meta["stop"] == way and meta["blocks"] >= 1990,
                      "a snapshot with references", meta, notes)
                if not meta["flags"] & 2:
                    check(any("could not be stopped (movers" in n for n in notes),
                          "it says who was missed", notes)
                    continue
                whole += 1
                if lost:
                    check(False, "every block is reachable",
                          sorted(map(hex, References(path).unreachable())))
            if whole >= 200 or (whole >= 20 and time.monotonic() > end):
                print(f"# {whole} whole snapshots")
                return
    check(False, "the machine is not too busy for whole snapshots", whole)


def test_no_false_leak_while_blocks_move():
    none_is_lost(1)


if __name__ == "__main__":
    main()
