-- SPDX-License-Identifier: MIT
--
-- threads - where does each thread stand?
--
-- Cost:  threads stop for some milliseconds, as for a snapshot with references; the work is that of
--        unwinding their stacks.
-- Usage: moonheap exec PID threads [PATTERN]
--          PATTERN  only threads with a frame, or a name, that it matches, such as epoll_wait
--
--   3 threads stand in 2 places
--
--   2 threads: worker 4712, worker 4713
--     epoll_wait < wait_for_request (server.c:70) < serve (server.c:81) < start_thread < clone3
--   1 thread: main 4711
--     clock_nanosleep < main (server.c:120) < __libc_start_main < _start

local NAMED = 8 -- threads of a place that are named

local threads, why = heap.threads()
if not threads then
    print(why)
    return
end
local groups, of_stack, count = {}, {}, 0
for _, t in ipairs(threads) do
    local where = t.stack or (t.why and "not stopped: " .. t.why) or "not stopped"
    if where == "" then where = "unknown" end
    if not args[1] or where:find(args[1]) or t.name:find(args[1]) then
        local group = of_stack[where]
        if not group then
            group = { where = where, count = 0, names = {} }
            of_stack[where], groups[#groups + 1] = group, group
        end
        count, group.count = count + 1, group.count + 1
        if group.count <= NAMED then group.names[group.count] = t.name .. " " .. t.tid end
    end
end
table.sort(groups, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.where < b.where
end)
local function counted(n, what) return heap.text_count(n) .. " " .. what .. (n == 1 and "" or "s") end
printf("%s %s in %s\n\n", counted(count, "thread"), count == 1 and "stands" or "stand",
    counted(#groups, "place"))
for _, g in ipairs(groups) do
    local more = g.count > NAMED and " and " .. heap.text_count(g.count - NAMED) .. " more" or ""
    printf("%s: %s%s\n  %s\n", counted(g.count, "thread"), table.concat(g.names, ", "), more, g.where)
end
