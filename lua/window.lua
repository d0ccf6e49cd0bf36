-- SPDX-License-Identifier: MIT
--
-- window - what did the program allocate, and keep, between two triggers?
--
-- Cost:  two snapshots without references: no stop. The first is kept until the second trigger.
-- Usage: moonheap exec PID window [KEY [LIMIT]], twice (or a signal for the second time)
--          KEY    site (the default), type, stack, module, size, thread...
--          LIMIT  rows to show, 25 by default
--
--   18 242 blocks, 2.9 MiB; run me again when the work is done
-- and the second time
--   12.4 s later
--   site           count          bytes
--   make_session  18 099  +120  2.2 MiB  +14.4 KiB

local key, limit = args[1] or "site", tonumber(args[2]) or 25
local before <close> = assert(heap.snapshot { graph = false })
printf("%s blocks, %s; run me again when the work is done\n",
    heap.text_count(#before, before.count_error), heap.text_bytes(before.bytes, before.bytes_error))
heap.wait()
local after <close> = assert(heap.snapshot { graph = false })
printf("%.1f s later\n", after.time - before.time)
after:diff(before, key):print { limit = limit }
