/* SPDX-License-Identifier: MIT
 *
 * Tests of what is kept about references: it is within its limit, every failure is an error of the
 * script, and nothing stays behind. (A sanitizer's leak check is the second half of these.)
 */
#include "held.h"

#define EVERYTHING                                                                                 \
    HELD                                                                                           \
        "local all = s:all() local b = block(4)\n"                                                 \
        "local t = {#s:unreachable(), #s:roots(), #all:closure(), #all:retained(), #b:retained()," \
        " #block(8):retained(), #all:paths(), #all:clusters(), #all:by('via'), #b:why(),"          \
        " tostring(b:why()), #b:referrers(), #b:why():dot(), b:dominator().addr, b.reachable,"     \
        " #all:largest(2, 'retained')}\n"                                                          \
        "print('done', #t) s:close()\n"

/* Each allocation of Lua fails once. */
static void no_lua_memory(void **state)
{
    (void)state;
    fake_write(&f, "debug_script.lua", EVERYTHING);
    fake_create(&f);
    u32 failures = 0;
    for (u64 nth = 1;; nth++) {
        f.script->refuse_at = f.script->allocations + nth;
        const char *output = fake_again(&f);
        bool reached = f.script->allocations >= f.script->refuse_at;
        f.script->refuse_at = 0;
        if (!reached) {
            assert_string_equal(output, "done\t16\n");
            break;
        }
        failures += !f.outcome.ok;
        if (!f.outcome.ok)
            assert_non_null(strstr(output, "memory"));
        assert_true(nth < 100000);
    }
    assert_true(failures > 50);
    assert_int_equal(f.script->snapshot_bytes, 0);
}

/* Every limit of the graph's memory below what it needs is an error that says so. */
static void no_graph_memory(void **state)
{
    (void)state;
    u32 failures = 0;
    for (u64 bytes = 4;; bytes += 4) {
        f.limits.graph_bytes = bytes;
        const char *output = fake_run(&f, EVERYTHING);
        script_destroy(f.script);
        f.script = NULL;
        if (f.outcome.ok) {
            assert_string_equal(output, "done\t16\n");
            break;
        }
        assert_non_null(strstr(output, "bytes it may have"));
        failures++;
        assert_true(bytes < 100000);
    }
    assert_true(failures > 20);
}

/* What one call needed does not pile up. */
static void asked_again_and_again(void **state)
{
    (void)state;
    f.limits.graph_bytes = 16000;
    fake_prints(&f,
                HELD "for i = 1, 1000 do block(4):why() s:all():clusters() s:all():paths()\n"
                     "block(1):retained() s:all():retained() s:unreachable() end print('done')",
                "done\n");
}

/* A handle outlives nothing, and keeps its snapshot as long as it lives. */
static void handles_keep_the_snapshot(void **state)
{
    (void)state;
    fake_prints(&f,
                "data.p = heap.snapshot():at(0x5000):why() collectgarbage() collectgarbage()\n"
                "print(data.p)",
                "global server+0x40 → site:table+0x8 → site:leaf\n");
    fake_prints(&f, "collectgarbage() print(data.p[2]:why() ~= nil) data.p = nil", "true\n");
}

/* A file says the same. */
static void saved(void **state)
{
    (void)state;
    fake_prints(&f,
                "local path = run.script:gsub('[^/]*$', 'x.snap')\n"
                "local function ask(s) local t = {tostring(s:at(0x4000):why()), #s:unreachable()}\n"
                "for _, r in ipairs(s:all():clusters()) do t[#t + 1] = r.key .. r.count end\n"
                "return table.concat(t, '\\n') end\n"
                "local s = heap.snapshot() print(s:save(path))\n"
                "print(ask(s) == ask(heap.load(path)), #ask(s) > 100)",
                "true\ntrue\ttrue\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(no_lua_memory),
        held_test(no_graph_memory),
        held_test(asked_again_and_again),
        held_test(handles_keep_the_snapshot),
        held_test(saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
