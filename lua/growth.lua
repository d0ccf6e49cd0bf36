-- SPDX-License-Identifier: MIT
--
-- growth - what grew since the last time I asked?
--
-- Cost:  one snapshot without references: no stop, a fraction of a second for ten million blocks.
-- Usage: moonheap exec PID growth [KEY [LIMIT]]
--          KEY    type (the default), site, stack, module, size, thread...
--          LIMIT  rows to show, 10 by default
-- The first run shows everything, since all of it grew from nothing; run it again after some load.
--
--   type               count              bytes
--   session           18 099  +18 099   2.2 MiB  +2.2 MiB
--   site:load_config       3       +1  12.0 KiB  +4.0 KiB

heap.show_growth { by = args[1] or "type", limit = tonumber(args[2]) }
