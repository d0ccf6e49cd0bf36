-- SPDX-License-Identifier: MIT
--
-- why - why is the block at this address still there?
--
-- Cost:  one snapshot with references: threads stop for some milliseconds, and memory for the
--        references. Then the shortest path, found backwards from the block.
-- Usage: moonheap exec PID why ADDRESS [PATHS]
--          ADDRESS  anywhere in the block, such as 0x55d0c8a0
--          PATHS    how many paths from different places to show, 1 by default
--
--   0x55d0c8a0  120 B  session  from make_session  12.0 s old
--   global server+0x4040
--     → table+0x38  0x55d0a010  4.0 KiB  from make_table
--     → session  0x55d0c8a0  120 B  from make_session
--   retains 3 blocks, 1.2 KiB

local address, count = math.tointeger(tonumber(args[1])), tonumber(args[2]) or 1
if not address then
    print("usage: why ADDRESS [PATHS]   (an address in the block, such as 0x55d0c8a0)")
    return
end
local s <close> = assert(heap.snapshot())
local block, what = s:at(address)
if not block then
    printf("0x%x is in no live block: %s\n", address, what)
    return
end
print(block)
if not s.references then
    print("this snapshot has no references: " .. s.notes)
    return
end
local path = block:why()
if not path then
    print("nothing holds it: it is unreachable")
elseif count <= 1 or path.weak then
    path:print()
else
    local one = s:all():where { min_size = block.size, max_size = block.size,
        fn = function(b) return b == block end }
    for _, p in ipairs(one:paths { limit = count }) do
        p:print()
    end
end
local retained = block:retained()
printf("retains %s blocks, %s\n", heap.text_count(#retained), heap.text_bytes(retained.bytes))
