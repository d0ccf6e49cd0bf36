# SPDX-License-Identifier: MIT
"""The same as freeze_moving where ptrace is denied: is a live block ever called unreachable?

Context: test. The right number is zero in each snapshot whose threads stood by signals; and in two
of which nobody stood, together.
"""

import os

from freeze_moving import none_is_lost
from harness import Program, check, main, numbers, victim
from snapshots import SAVE, References

CONFIRMED = """
local older, single, confirmed, complete = nil, 0, 0, 0
for i = 1, 20 do
    local s = heap.snapshot{graph=true}
    assert(s.references and s.stop == "none")
    complete = complete + (s.complete and 1 or 0)
    single = single + #s:unreachable()
    if older then
        confirmed = confirmed + #s:unreachable(older)
        older:close()
    end
    older = s
end
printf("single=%d\\nconfirmed=%d\\n", single, confirmed)
printf("complete=%d\\nmissed=%d\\n", complete, #older.missed)
"""


def test_no_false_leak_by_signals():
    none_is_lost(2, "deny-ptrace")


def test_none_is_confirmed_without_a_stop():
    with Program([victim("movers"), "8", "1000", "deny-ptrace", "block-signals"]) as program:
        check(program.hear() == "ready", "it is ready")
        program.run(SAVE)
        found = References(os.path.join(program.directory, "snapshot"))
        check(found.way() == "signals" and len(found.missed) == 8 and not found.stopped(),
              "only the main thread takes a signal", found.meta, found.missed)
        check(all("blocks the signal" in why for why in found.missed.values()), "it is said why",
              found.missed)
        check(program.ask("block") == "blocked", "it does not either now")
        said = numbers(program.run(CONFIRMED, seconds=90).body)
        print(f"# {said['single']} seemed lost in 20 snapshots without a stop")
        check(said["confirmed"] == 0, "none is confirmed by two snapshots", said)
        check(said["complete"] == 0 and said["missed"] == 9, "and it is said that nobody stood",
              said)


if __name__ == "__main__":
    main()
