/* SPDX-License-Identifier: MIT
 *
 * Tests of the end of time and of memory: no way around it, and life after it.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    f.limits = (struct script_limits){.timeout_ns = 100000000, .memory_bytes = 4 << 20};
    return 0;
}

/* Fails by time, soon, and the next run works. */
static void stops(const char *script)
{
    u64 start = sys_monotonic_ns();
    fake_fails(&f, script, "MOONHEAP_SCRIPT_TIMEOUT");
    assert_true(sys_monotonic_ns() - start < 20000000000);
    fake_prints(&f, "print 'on'", "on\n");
}

static void endless_loops(void **state)
{
    (void)state;
    stops("while true do end");
    stops("local function f() return f() end f()");
    stops("for i = 1, math.huge do local x = ('x'):rep(100) end");
    const char *output = fake_run(&f, "\n\nwhile true do end");
    assert_int_equal(strncmp(output, "debug_script.lua:3: the run took longer than 0.1 s", 50), 0);
    assert_non_null(strstr(output, "stack traceback"));
}

static void pcall_does_not_swallow_it(void **state)
{
    (void)state;
    stops("while true do pcall(function() while true do end end) end");
    stops("local function f() pcall(f) while true do end end f()");
    stops("while true do xpcall(function() while true do end end, function() while true do end end) end");
    stops("xpcall(function() while true do end end, function(m) return m end) while true do end");
    stops("while true do pcall(error) end");
}

static void coroutines_do_not_hide_from_it(void **state)
{
    (void)state;
    stops("while true do coroutine.wrap(function() while true do end end)() end");
    stops("while true do coroutine.resume(coroutine.create(function() while true do end end)) end");
    stops("local co = coroutine.wrap(function() while true do coroutine.yield() end end)\n"
          "while true do pcall(co) end");
    stops("local function spawn() local co = coroutine.create(function() pcall(spawn) while true do end end)"
          " coroutine.resume(co) while true do end end spawn()");
}

static void ends_cannot_be_endless(void **state)
{
    (void)state;
    static const char *const endless = "setmetatable({}, {__close = function() while true do end end})";
    char script[600];
    snprintf(script, sizeof script, "local c <close> = %s while true do end", endless);
    stops(script);
    snprintf(script, sizeof script, "local c <close> = %s error 'x'", endless);
    stops(script);
    snprintf(script, sizeof script,
             "coroutine.wrap(function() local c <close> = %s while true do end end)()", endless);
    stops(script);
    snprintf(script, sizeof script,
             "local co = coroutine.create(function() local c <close> = %s while true do end end)"
             " coroutine.resume(co) coroutine.close(co) while true do end", endless);
    stops(script);
    snprintf(script, sizeof script, "local c <close> = %s heap.wait()", endless);
    fake_prints(&f, script, "");
    fake_prints(&f, "print 'on'", "the script changed while it waited: it starts afresh\non\n");
    stops("error(setmetatable({}, {__tostring = function() while true do end end}))");
    fake_fails(&f, "setmetatable({}, {__gc = function() while true do end end})",
               "__gc is not available");
    fake_prints(&f, "local m = {} setmetatable({}, m) m.__gc = function() while true do end end "
                    "collectgarbage()", "");
}

static void a_coroutine_in_data_gets_its_pace_back(void **state)
{
    (void)state;
    stops("data.co = coroutine.wrap(function() while true do coroutine.yield(1) end end)\n"
          "while true do data.co() end");
    fake_prints(&f, "data.co = coroutine.wrap(function() while true do coroutine.yield(1) end end)\n"
                    "print(data.co())", "1\n");
    fake_prints(&f, "print(data.co())", "1\n");
}

static bool clock_as_stats(void *context, struct host_stats *stats, struct err *e)
{
    (void)context;
    (void)e;
    stats->live_bytes = sys_monotonic_ns() / 1000000;
    return true;
}

static void time_counts_anew_after_a_wait(void **state)
{
    (void)state;
    enum { TRIES = 20 };
    const u64 limit_ns = 2000000000;
    const char *said = "";
    f.limits.timeout_ns = limit_ns;
    f.host.stats = clock_as_stats;
    for (u32 i = 0; i < TRIES && strcmp(said, "done\n") != 0; i++) {
        fake_run(&f, "");
        u64 began = sys_monotonic_ns();
        fake_run(&f, "local function work()\n"
                     "  local start = heap.stats().live_bytes\n"
                     "  repeat until heap.stats().live_bytes - start > 1100\n"
                     "end\n"
                     "work() heap.wait() work() print 'done'");
        u64 between = sys_monotonic_ns();
        said = fake_again(&f);
        u64 longest = sys_monotonic_ns() - between;
        if (between - began > longest)
            longest = between - began;
        if (longest < limit_ns) /* else it was this thread that did not get its turn */
            assert_string_equal(said, "done\n");
    }
    assert_string_equal(said, "done\n");
}

static void runs_out_of_memory(const char *script)
{
    fake_fails(&f, script, "raise MOONHEAP_LUA_MEMORY");
    assert_true(script_memory_bytes(f.script) < 1 << 20);
    fake_prints(&f, "print(#('x'):rep(1000000))", "1000000\n");
}

static void endless_memory(void **state)
{
    (void)state;
    f.limits.timeout_ns = 10000000000;
    runs_out_of_memory("local t = {} while true do t[#t + 1] = {} end");
    runs_out_of_memory("local s = 'x' while true do s = s .. s end");
    runs_out_of_memory("return ('x'):rep(1 << 30)");
    runs_out_of_memory("local t = {} for i = 1, 1e9 do t[i] = i end");
    runs_out_of_memory("coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()");
    fake_prints(&f, "print(pcall(string.rep, 'x', 1 << 30))", "false\tnot enough memory\n");
}

/* Sets count too, and those that are forgotten go. */
static void sets_count(void **state)
{
    (void)state;
    f.limits.timeout_ns = 20000000000;
    for (u32 i = 0; i < 200000; i++)
        world_block(&f.world, 0x1000 + 64ull * i, 8, 0);
    fake_fails(&f, "local s, t = heap.snapshot(), {} while true do t[#t + 1] = s:all() end",
               "MOONHEAP_LUA_MEMORY");
    fake_prints(&f, "local s = heap.snapshot() for i = 1, 1000 do s:all() end print 'done'",
                "done\n");
    fake_prints(&f, "for i = 1, 20 do heap.snapshot() end print 'done'", "done\n");
    assert_true(f.script->snapshot_bytes < 6 * f.limits.memory_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(endless_loops, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(pcall_does_not_swallow_it, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(coroutines_do_not_hide_from_it, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(ends_cannot_be_endless, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(a_coroutine_in_data_gets_its_pace_back, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(time_counts_anew_after_a_wait, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(endless_memory, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(sets_count, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
