-- SPDX-License-Identifier: MIT
--
-- hunt - what grows, and why is what is new still there?
--
-- Cost:  two snapshots with references: threads stop for some milliseconds each, and memory for
--        the references. The first is kept until the second trigger.
-- Usage: moonheap exec PID hunt [FILE.dot [CLUSTERS]], twice, with some load in between
--          FILE.dot  where to draw the path of the largest cluster, for Graphviz; "" for nowhere
--          CLUSTERS  how many ways of being held to show, 5 by default
--
--   18 242 blocks, 2.9 MiB; run me again after some load
-- and the second time
--   session grew by 120 blocks, 14.4 KiB in 12.4 s; 130 of it are new
--   118 held by global server+0x4040 → table → session*
--     0x55d0c8a0  120 B  session  from make_session  3.0 s old
--     global server+0x4040 → table+0x38 → session+0x0 x4 → session
--   ...

local file, limit = args[1] or "", tonumber(args[2]) or 5
local before <close> = assert(heap.snapshot())
if not before.references then
    print("this snapshot has no references: " .. before.notes)
    return
end
printf("%s blocks, %s; run me again after some load\n",
    heap.text_count(#before), heap.text_bytes(before.bytes))
heap.wait()
local after <close> = assert(heap.snapshot())
local most = after:diff(before, "type"):rows()[1]
if not most or most.bytes_delta <= 0 then
    print("nothing grew")
    return
end
local new = after:type(most.key) & after:new_since(before)
printf("%s grew by %s blocks, %s in %.1f s; %s of it are new\n", most.key,
    heap.text_count(math.max(most.count_delta, 0)), heap.text_bytes(most.bytes_delta),
    after.time - before.time, heap.text_count(#new))
for i, cluster in ipairs(new:clusters():top(limit)) do
    local block = cluster.set:oldest(1)[1]
    local path = block:why()
    printf("%s %s\n  %s\n", heap.text_count(cluster.count),
        block.reachable and "held by " .. cluster.key or "unreachable", tostring(block))
    if path then
        printf("  %s\n", tostring(path))
    end
    if i == 1 and path and file ~= "" then
        assert(path:dot(file))
        printf("  drawn in %s\n", file)
    end
end
