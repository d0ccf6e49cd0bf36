# SPDX-License-Identifier: MIT
"""Is the observer absent from what it reports?

Context: test. Two snapshots of an idle process differ in nothing, although a hundred runs of a
script that allocates lie between them; and what a script keeps in `data` is in no figure.
"""

import os

from harness import Program, check, main, numbers, victim

SAME = """
local s = heap.snapshot{graph=false}
data.first = data.first or s
local out = {}
for b in s:all():each() do out[#out + 1] = string.format("%x %d", b.addr, b.size) end
local listing = table.concat(out, "\\n")
data.listing = data.listing or listing
local waste = {}
for i = 1, 20000 do waste[i] = {i, tostring(i)} end
data.waste = waste
printf("same=%d\\nnew=%d\\ngone=%d\\ncount=%d\\n", listing == data.listing and 1 or 0,
       #s:new_since(data.first), #s:gone_since(data.first), #s)
local delta = s:diff(data.first, "stack")
local moved = 0
for _, row in ipairs(delta:rows()) do
    if row.count_delta ~= 0 or row.bytes_delta ~= 0 then moved = moved + 1 end
end
printf("moved=%d\\n", moved)
if s ~= data.first then s:close() end
"""

STATS = """
local stats = heap.stats()
for name, value in pairs(stats) do printf("%s=%.0f\\n", name, value) end
"""

FILL = """
data.big = {}
local i = 0
while collectgarbage("count") < 50 * 1024 do
    i = i + 1
    data.big[i] = {i, tostring(i), {i}}
end
printf("held=%.0f\\n", collectgarbage("count") * 1024)
"""


def busy_puppet():
    program = Program([victim("puppet")])
    for command in ("node 5000", "buffer 300", "leak 40", "threads 3"):
        program.ask(command)
    return program


def test_hundred_runs_change_nothing():
    with busy_puppet() as program:
        first = numbers(program.run(SAME).body)
        check(first["count"] >= 5340, "the puppet's blocks are listed", first)
        for _ in range(99):
            program.signal()
            runs = program.wait_runs(len(program.runs()) + 1)
        runs = program.settle()
        check(len(runs) == 100, "each of a hundred signals had its run", len(runs))
        for n, run in enumerate(runs, 1):
            found = numbers(run.body)
            check(found.get("same") == 1 and found["count"] == first["count"]
                  and not (found["new"] or found["gone"] or found["moved"]),
                  f"run {n} sees what run 1 saw", run.body)


def test_data_is_in_no_figure():
    with busy_puppet() as program:
        program.run(STATS)
        before = numbers(program.run(STATS).body)
        held = numbers(program.run(FILL).body)["held"]
        after = numbers(program.run(STATS).body)
        check(held >= 50 << 20, "the script holds 50 MiB", held)
        check(before["live_blocks"] >= 5340, "figures are there", before)
        # rss_bytes is the kernel's figure of the whole process and cannot but move: what is ours
        # in it is exactly what overhead_bytes says.
        moved = {k: (before[k], after[k]) for k in before if before[k] != after[k]}
        check(moved.keys() <= {"overhead_bytes", "rss_bytes"}, "only the overhead moves", moved)
        grown = after["overhead_bytes"] - before["overhead_bytes"]
        check(held * 0.8 <= grown <= held * 2.5, "the overhead is reported", grown, held)


def test_many_threads_and_prints_leave_no_trace():
    """What libc allocates on the agent's behalf (thread, file, locale) is the agent's too."""
    noisy = "for i = 1, 3000 do print(i, string.rep('x', 50)) end heap.threads() " + SAME
    with busy_puppet() as program:
        program.run(SAME)
        for _ in range(3):
            found = numbers(program.run(noisy, seconds=30).body)
            check(found["same"] == 1 and not found["new"], "nothing changed", found)


def test_memory_goes_back_as_the_heap_shrinks():
    """Where the kernel (5.7) can take pages out of a mapping."""
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    kept = release < (5, 7)
    with busy_puppet() as program:
        before = numbers(program.run(STATS).body)
        program.ask("node 1000000")
        full = numbers(program.run(STATS).body)
        program.ask("drop")
        after = numbers(program.run(STATS).body)
        grown = full["overhead_bytes"] - before["overhead_bytes"]
        left = after["overhead_bytes"] - before["overhead_bytes"]
        check(grown >= 1000000 * 16, "a million blocks cost something", grown)
        check(kept or left < 1 << 20, "and nothing once they are gone", left)
        check(after["live_blocks"] < before["live_blocks"], "the blocks are gone", after)


if __name__ == "__main__":
    main()
