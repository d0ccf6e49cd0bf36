-- SPDX-License-Identifier: MIT
--
-- peak - what held the memory when the heap was at its largest, and what of it is still there?
--
-- Cost:  a list of the peak's blocks: no stop, a second or two for ten million of them. That they are
--        known costs each free of a block that was there then a few nanoseconds.
-- Usage: MOONHEAP_PEAK=1 moonheap run ./server, or heap.start{peak=true}; then
--        moonheap exec PID peak [KEY [LIMIT]]
--          KEY    site (the default), stack, function, module, size, thread...
--          LIMIT  rows to show, 10 by default
--
--   the peak was 12.4 s ago: 18 242 blocks, 2.9 MiB
--   site           count    bytes
--   make_session  18 099  2.2 MiB
--   ...
--   since then
--   site          count           bytes
--   make_session  2 001  -16 098  240 KiB  -2.0 MiB

local key, limit = args[1] or "site", tonumber(args[2]) or 10
local peak <close>, why = heap.peak()
if not peak then
    print(why)
    return
end
local now <close> = assert(heap.snapshot { graph = false })
printf("the peak was %.1f s ago: %s blocks, %s\n", now.time - peak.time,
    heap.text_count(#peak, peak.count_error), heap.text_bytes(peak.bytes, peak.bytes_error))
peak:by(key):print { limit = limit }
print("since then")
now:diff(peak, key):print { limit = limit }
