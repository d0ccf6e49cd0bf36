# SPDX-License-Identifier: MIT
"""Is a block called reachable exactly while something holds it, and is the holder named?

Context: test. The victim has one block for each way of holding; each is looked at while it is held
and after every holder has let go. Two blocks that hold only each other are never reachable.
"""

import os
import re

from harness import WHOLE, Program, check, main, tool, victim

LOOK = WHOLE + """
local s = data.s or whole_snapshot()
print("complete", s.complete)
for b in s:all():where{min_size=1001, max_size=1010}:each() do
    print(b.size, b.reachable, b:why())
end
local lost = {}
for b in s:unreachable():each() do lost[#lost + 1] = b.size end
table.sort(lost)
print("unreachable", table.concat(lost, " "))
"""

# size: what `why` must begin with
HOLDERS = {
    1001: r"global unheld\+0x\w+ → site:hold \(unheld\.c:\d+\)$",
    1002: r"global unheld\+0x\w+ → site:hold \(unheld\.c:\d+\)$",
    1003: r"thread-local unheld\+0x\w+ of thread unheld \d+",
    1004: r"thread-local of thread unheld \d+",
    1005: r"global unheld\+0x\w+ → site:hold \(unheld\.c:\d+\)\+0x0 → site:hold \(unheld\.c:\d+\)$",
    1006: r"global unheld\+0x\w+ → site:hold \(unheld\.c:\d+\) \(only by: interior pointer\)$",
    1007: r"mapping",
    1008: r"stack of thread unheld \d+",
}
CYCLE = [1009, 1010]


def rows(run):
    check(re.search(r"^complete\ttrue$", run.body, re.M), "every thread was stopped", run)
    found = {}
    for line in run.body.split("\n"):
        fields = line.split("\t")
        if fields[0].isdigit():
            found[int(fields[0])] = (fields[1] == "true", fields[2])
    lost = re.search(r"^unreachable\t(.*)$", run.body, re.M)[1].split()
    return found, [int(size) for size in lost]


def test_each_way_of_holding():
    with Program([victim("unheld")]) as program:
        check(program.hear() == "held", "the victim holds its blocks")
        run = program.run(LOOK)
        found, lost = rows(run)
        for size, root in HOLDERS.items():
            check(found[size][0], f"{size} is reachable", run.body)
            check(re.match(root, found[size][1]), f"{size}: its holder is named", run.body)
        check(lost == CYCLE, "the cycle, and nothing else, is unreachable", run.body)
        program.tell("drop")
        check(program.hear() == "dropped", "the victim lets go")
        run = program.run(LOOK)
        found, lost = rows(run)
        for size in [*HOLDERS, *CYCLE]:
            reachable, why = found[size]
            check(not reachable, f"{size} is not reachable any more", run.body)
            # a dead slot below a stack's live part holds nothing, and `why` says that of it
            check(why == "nil" or why.endswith("(only by: dead stack slot)"),
                  f"{size}: nobody holds it", run.body)
        check(lost == [*HOLDERS, *CYCLE], "all of them are unreachable", run.body)
        program.tell("end")
        check(program.finish() == 0, "the program ends well")


def test_offline_says_the_same():
    with Program([victim("unheld")], args="snap.moonheap") as program:
        check(program.hear() == "held", "the victim holds its blocks")
        program.run(WHOLE + "data.s = whole_snapshot() data.s:save(args[1])")
        live = program.run(LOOK).body.strip()
        path = os.path.join(program.directory, "snap.moonheap")
        offline = tool("script", path, program.script_path)
        check(offline.returncode == 0, "moonheap script succeeds", offline.stderr)
        check(offline.stdout.strip() == live, "the same", live, offline.stdout)


if __name__ == "__main__":
    main()
