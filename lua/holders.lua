-- SPDX-License-Identifier: MIT
--
-- holders - which blocks hold most: with what would most memory be freed?
--
-- Cost:  one snapshot with references: threads stop for some milliseconds, and memory for the
--        references; then dominators: some seconds for ten million blocks.
-- Usage: moonheap exec PID holders [LIMIT]
--          LIMIT  blocks to show, 10 by default
-- A block is left out when it hangs on one above it that keeps little else, since that one is its
-- reason to be.
--
--   2.1 MiB in 18 099 blocks by 0x55d0a010  4.0 KiB  table  from make_table  60.0 s old
--     global server+0x4040 → table
--   ...

local limit = tonumber(args[1]) or 10
local s <close> = assert(heap.snapshot())
if not s.references then
    print("this snapshot has no references: " .. s.notes)
    return
end
local shown, bytes_of = 0, {}
for _, block in ipairs(s:all():largest(8 * limit, "retained")) do
    local retained = block:retained()
    local bytes, owner = retained.bytes, block:dominator()
    local above = owner and bytes_of[owner.addr]
    bytes_of[block.addr] = bytes
    if bytes > 0 and (not above or bytes < 0.9 * above) then
        printf("%s in %s blocks by %s\n", heap.text_bytes(bytes), heap.text_count(#retained),
            tostring(block))
        printf("  %s\n", tostring(block:why()))
        shown = shown + 1
    end
    if shown == limit then
        break
    end
end
if shown == 0 then
    print("no root reaches any block")
end
