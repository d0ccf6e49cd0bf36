-- SPDX-License-Identifier: MIT
--
-- top - what holds the memory now?
--
-- Cost:  one snapshot without references: no stop, a fraction of a second for ten million blocks.
-- Usage: moonheap exec PID top [LIMIT]
--          LIMIT  rows to show of each table, 10 by default
--
--   18 242 blocks, 2.9 MiB
--
--   type               count     bytes
--   session           18 099   2.2 MiB
--   site:load_config       3  12.0 KiB
--
--   site           count    bytes
--   make_session  18 099  2.2 MiB
--   ...

local limit = tonumber(args[1]) or 10
local s <close> = assert(heap.snapshot { graph = false })
printf("%s blocks, %s\n", heap.text_count(#s, s.count_error),
    heap.text_bytes(s.bytes, s.bytes_error))
for _, key in ipairs { "type", "site", "size" } do
    print()
    s:by(key):print { limit = limit }
end
