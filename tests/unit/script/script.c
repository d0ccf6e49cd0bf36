/* SPDX-License-Identifier: MIT
 *
 * Tests of runs: what survives them, how they fail, wait and go on.
 */
#include "fake.h"

static void data_survives_and_globals_do_not(void **state)
{
    (void)state;
    static const char *const script = "data.n = (data.n or 0) + 1\n"
                                      "print(data.n, x, string.extra)\n"
                                      "x, string.extra = 1, 2\n";
    fake_prints(&f, script, "1\tnil\tnil\n");
    assert_string_equal(fake_again(&f), "2\tnil\tnil\n");
    fake_prints(&f, "data = {m = 7}", "");
    fake_prints(&f, "print(data.m, data.n)", "7\tnil\n");
    fake_prints(&f, "data = nil", "");
    fake_prints(&f, "print(data.m)", "7\n");
    fake_fails(&f, "data.m = 8 error 'stop'", "stop");
    fake_prints(&f, "print(data.m)", "8\n");
}

static void strings_are_fresh_too(void **state)
{
    (void)state;
    fake_prints(&f, "function string.twice(s) return s .. s end print(('ab'):twice())", "abab\n");
    fake_prints(&f, "print(('ab').twice)", "nil\n");
    fake_prints(&f, "getmetatable('').__index = nil", "");
    fake_prints(&f, "print(('ab'):upper(), '10' + 1)", "AB\t11\n");
}

static void run_and_args(void **state)
{
    (void)state;
    f.args = "  a  bc ";
    f.cause = "request";
    fake_prints(&f, "print(run.n, run.cause, run.pid, run.elapsed, #args, args[1], args[2], ...)",
                "1\trequest\t4711\t1.5\t2\ta\tbc\ta\tbc\n");
    const char *output = fake_run(&f, "print(run.script)");
    assert_int_equal(strncmp(output, f.path, strlen(f.path)), 0);
}

static void errors_have_place_and_traceback(void **state)
{
    (void)state;
    const char *output = fake_run(&f, "local function f()\n  local t = nil\n  t.x = 1\nend\nf()\n");
    assert_false(f.outcome.ok);
    assert_int_equal(strncmp(output, "debug_script.lua:3: attempt to index a nil value", 48), 0);
    assert_non_null(strstr(output, "\nstack traceback:\n"));
    assert_non_null(strstr(output, "debug_script.lua:5: in main chunk"));
    assert_int_equal(output[strlen(output) - 1], '\n');
    fake_fails(&f, "x = = 1", "debug_script.lua:1: unexpected symbol near '='");
    fake_fails(&f, "error()", "nil");
    fake_fails(&f, "error({})", "table");
    fake_fails(&f, "error(setmetatable({}, {__tostring = function() return 'odd' end}))", "odd");
    fake_fails(&f, "error(setmetatable({}, {__tostring = function() error 'deep' end}))", "");
    fake_fails(&f, "print 'before' error('e', 0)", "before\ne\nstack traceback");
    fake_fails(&f, "coroutine.yield()", "yielded outside");
    fake_prints(&f, "print 'on'", "on\n");
}

static void missing_scripts_say_what_to_do(void **state)
{
    (void)state;
    char want[300];
    snprintf(want, sizeof want,
             "cannot open %s: No such file or directory; create it or set MOONHEAP_SCRIPT\n",
             f.path);
    assert_string_equal(fake_again(&f), want);
    assert_false(f.outcome.ok);
    assert_non_null(strstr(fake_run_path(&f, "no_such_script"), "cannot open no_such_script: No"));
    assert_non_null(strstr(fake_run_path(&f, "heap"), "cannot open heap: No such"));
}

static void waiting(void **state)
{
    (void)state;
    fake_run(&f, "local n = 0\n"
                 "while true do\n"
                 "  n = n + 1\n"
                 "  print(n, run.n, heap.wait(n))\n"
                 "end\n");
    assert_string_equal(f.output, "");
    assert_true(f.outcome.ok && f.outcome.waiting);
    assert_int_equal(f.outcome.wait_ns, 1000000000);
    f.cause = "timer";
    assert_string_equal(fake_again(&f), "1\t1\ttimer\n");
    assert_int_equal(f.outcome.wait_ns, 2000000000);
    assert_string_equal(fake_again(&f), "2\t2\ttimer\n");
    fake_prints(&f, "print 'other'",
                "the script changed while it waited: it starts afresh\nother\n");
    assert_false(f.outcome.waiting);
    fake_prints(&f, "heap.wait() print(run.cause) data.x = 1", "");
    assert_int_equal(f.outcome.wait_ns, 0);
    assert_string_equal(fake_again(&f), "timer\n");
    assert_false(f.outcome.waiting);
    fake_prints(&f, "print(data.x)", "1\n");
}

static void a_waiting_script_keeps_its_globals(void **state)
{
    (void)state;
    char other[200];
    fake_write(&f, "other.lua", "x = 'theirs' print(load('return x')())");
    snprintf(other, sizeof other, "%s/other.lua", f.folder);
    fake_prints(&f, "x = 'mine' heap.wait() print(x, load('return x')(), run.n)", "");
    assert_string_equal(fake_run_path(&f, other), "theirs\n");
    assert_string_equal(fake_again(&f), "mine\tmine\t3\n");
}

static void waiting_where_it_cannot(void **state)
{
    (void)state;
    fake_fails(&f, "coroutine.wrap(function() heap.wait() end)()", "in the script itself");
    fake_fails(&f, "table.sort({1, 2, 3}, function() heap.wait() end)", "cannot wait inside");
    fake_fails(&f, "heap.wait(-1)", "more than 0");
    fake_prints(&f, "print(pcall(function() return heap.wait() end))", "");
    assert_true(f.outcome.waiting);
    assert_string_equal(fake_again(&f), "true\tsignal\n");
}

static void what_waits_is_closed_when_dropped(void **state)
{
    (void)state;
    fake_prints(&f, "local c <close> = setmetatable({}, {__close = function() print 'closed' end})"
                    " heap.wait()", "");
    assert_string_equal(fake_run(&f, "print 'new'"),
                        "the script changed while it waited: it starts afresh\nclosed\nnew\n");
}

static void canned_scripts_by_name(void **state)
{
    (void)state;
    world_block(&f.world, 0x1000, 100, world_calls(&f.world, "main", "make", NULL));
    assert_non_null(strstr(fake_run_path(&f, "growth"), "site:make"));
    assert_true(f.outcome.ok);
    assert_string_equal(fake_run_path(&f, "growth"), "nothing grew\n");
    assert_non_null(strstr(fake_run_path(&f, "top"), "1 blocks, 100 B\n"));
    assert_true(f.outcome.ok);
    fake_run_path(&f, "window");
    assert_true(f.outcome.ok && f.outcome.waiting);
    world_block(&f.world, 0x2000, 50, world_calls(&f.world, "main", "leak", NULL));
    assert_string_equal(fake_run_path(&f, "window"), "0.0 s later\n"
                                                     "site  count      bytes\n"
                                                     "leak      1  +1   50 B  +50 B\n");
    assert_true(f.outcome.ok && !f.outcome.waiting);
}

static void pauses_add_up(void **state)
{
    (void)state;
    fake_prints(&f, "heap.snapshot() heap.snapshot()", "");
    assert_int_equal(f.outcome.pause_ns, 3000000);
    fake_prints(&f, "", "");
    assert_int_equal(f.outcome.pause_ns, 0);
}

/* One allocation after the other fails, until the run passes. Whatever fails, the next run works. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const script =
        "local s <close> = heap.snapshot()\n"
        "local set = s:type('site:make') | s:all():where{min_size = 1, fn = function() return true end}\n"
        "local p = set:by('site')\n"
        "local t = {}\n"
        "for _, r in ipairs(p:rows()) do t[#t + 1] = r.key .. r.count .. #r.set end\n"
        "local d = s:diff(s, 'stack')\n"
        "pcall(error, 'x')\n"
        "print(table.concat(t), #d, tostring(set:one()), (require('helper')))\n";
    for (u32 i = 0; i < 40; i++)
        world_block(&f.world, 0x1000 + 64 * i, i, world_calls(&f.world, "main", "make", NULL));
    fake_write(&f, "helper.lua", "return 'helped'");
    fake_write(&f, "debug_script.lua", script);
    fake_create(&f);
    u32 failures = 0;
    for (u64 nth = 1;; nth++) {
        f.script->refuse_at = f.script->allocations + nth;
        const char *output = fake_again(&f);
        bool reached = f.script->allocations >= f.script->refuse_at;
        f.script->refuse_at = 0;
        if (!reached) {
            assert_true(f.outcome.ok);
            assert_non_null(strstr(output, "helped\n"));
            break;
        }
        failures += !f.outcome.ok;
        if (!f.outcome.ok)
            assert_non_null(strstr(output, "memory"));
        assert_true(nth < 100000);
        if (nth % 50 == 0) {
            output = fake_again(&f);
            if (!f.outcome.ok)
                fail_msg("after allocation %llu: %s", (unsigned long long)nth, output);
        }
    }
    assert_true(failures > 100);
    assert_int_equal(f.script->snapshot_bytes, 0);
}

/* The same for the making of the state. */
static void no_memory_to_begin(void **state)
{
    (void)state;
    struct err e = {0};
    u64 bytes = 1024;
    for (;; bytes += 1024) {
        struct script_limits limits = {.timeout_ns = 1000000000, .memory_bytes = bytes};
        struct script *s = script_create(&f.host, &limits, &e);
        if (s) {
            script_destroy(s);
            break;
        }
        assert_non_null(strstr(e.text, "MOONHEAP_LUA_MEMORY"));
    }
    assert_in_range(bytes, 16 << 10, 1 << 20);
}

/* Runs leave nothing: the same script again and again holds the same memory. */
static void runs_do_not_pile_up(void **state)
{
    (void)state;
    fake_write(&f, "debug_script.lua",
               "x = {} for i = 1, 1000 do x[i] = {} end heap.snapshot():by('type') error 'x'");
    u64 after = 0;
    for (u32 i = 0; i < 30; i++) {
        fake_again(&f);
        lua_gc(f.script->L, LUA_GCCOLLECT);
        if (i == 5)
            after = script_memory_bytes(f.script);
    }
    assert_in_range(script_memory_bytes(f.script), after - 8192, after + 8192);
    assert_int_equal(f.script->snapshot_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(data_survives_and_globals_do_not),
        fake_test(strings_are_fresh_too),
        fake_test(run_and_args),
        fake_test(errors_have_place_and_traceback),
        fake_test(missing_scripts_say_what_to_do),
        fake_test(waiting),
        fake_test(a_waiting_script_keeps_its_globals),
        fake_test(waiting_where_it_cannot),
        fake_test(what_waits_is_closed_when_dropped),
        fake_test(canned_scripts_by_name),
        fake_test(pauses_add_up),
        fake_test(every_allocation_may_fail),
        fake_test(no_memory_to_begin),
        fake_test(runs_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
