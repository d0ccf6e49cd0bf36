# SPDX-License-Identifier: MIT
"""Is a live block ever called unreachable while threads move blocks as fast as they can?

Context: test. The victim holds every block at every moment, so the right number is zero.
"""

import os

from harness import Program, check, main, victim
from snapshots import References, summary

MANY = """
for i = 1, 25 do
    local s = heap.snapshot{graph=true}
    s:save("moved" .. i)
    s:close()
end
"""


def test_no_false_leak_while_blocks_move():
    with Program([victim("movers"), "8", "1000"]) as program:
        check(program.hear() == "ready", "it is ready")
        for _ in range(8):
            program.run(MANY, seconds=90)
            for i in range(1, 26):
                path = os.path.join(program.directory, f"moved{i}")
                meta, lost, notes = summary(path)
                check(meta["flags"] & 3 == 3 and meta["blocks"] >= 1990, "a whole snapshot", meta,
                      notes)
                if lost:
                    check(False, "every block is reachable",
                          sorted(map(hex, References(path).unreachable())))


if __name__ == "__main__":
    main()
