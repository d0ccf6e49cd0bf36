-- SPDX-License-Identifier: MIT
--
-- unreachable - what has leaked: which blocks does nothing refer to any more?
--
-- Cost:  one snapshot with references: threads stop for some milliseconds, and memory for the
--        references. The first is kept until the second trigger.
-- Usage: moonheap exec PID unreachable [LIMIT], twice: what is unreachable both times is confirmed
--          LIMIT  call stacks to show, 10 by default
--
--   33 blocks, 3.2 KiB are unreachable; by stack, oldest first (run me again to confirm):
--      22 blocks, 2.1 KiB, oldest 48.0 s: make_leak (leak.c:7) < handle (leak.c:31) < main (leak.c:52)
--      ...
-- and the second time; a row is of the same functions, with the lines of its oldest block
--   33 blocks, 3.2 KiB are unreachable in both snapshots; by stack, oldest first:
--      22 blocks, 2.1 KiB, oldest 48.0 s: make_leak (leak.c:7) < handle (leak.c:31) < main (leak.c:52)
--      ...

local limit = tonumber(args[1]) or 10

local function amount(set)
    return heap.text_count(#set) .. " blocks, " .. heap.text_bytes(set.bytes)
end

local function show(set)
    local rows = {}
    for _, row in ipairs(set:by("stack"):rows()) do
        local oldest = row.set:oldest(1)[1]
        rows[#rows + 1] = { row = row, age = oldest.age, stack = oldest.stack }
    end
    table.sort(rows, function(a, b)
        if a.age ~= b.age then
            return a.age > b.age
        end
        return a.row.key < b.row.key
    end)
    for i = 1, math.min(limit, #rows) do
        local r = rows[i]
        printf("  %s, oldest %.1f s: %s\n", amount(r.row.set), r.age, r.stack)
    end
    if #rows > limit then
        printf("  ... and %s more stacks\n", heap.text_count(#rows - limit))
    end
end

local first <close> = assert(heap.snapshot())
if not first.references then
    print("this snapshot has no references: " .. first.notes)
    return
end
local set = first:unreachable()
if #set == 0 then
    print("nothing is unreachable")
    return
end
printf("%s are unreachable; by stack, oldest first (run me again to confirm):\n", amount(set))
show(set)
heap.wait()
local second <close> = assert(heap.snapshot())
set = second:unreachable(first)
printf("%s are unreachable in both snapshots; by stack, oldest first:\n", amount(set))
show(set)
