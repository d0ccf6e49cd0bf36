/* SPDX-License-Identifier: MIT
 *
 * Tests of deltas and of growth, the two ways to say what changed.
 */
#include "fake.h"

static u32 session, config, buffer;

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    session = world_calls(&f.world, "main", "make_session", NULL);
    config = world_calls(&f.world, "main", "load_config", NULL);
    buffer = world_calls(&f.world, "main", "grow_buffer", NULL);
    return 0;
}

static void heap_is(u32 sessions, u32 configs, u32 buffers)
{
    u64 at = 0x1000;
    f.world.block_count = 0;
    for (u32 i = 0; i < sessions; i++, at += 256)
        world_block(&f.world, at, 128, session);
    for (u32 i = 0; i < configs; i++, at += 8192)
        world_block(&f.world, at, 4096, config);
    for (u32 i = 0; i < buffers; i++, at += 256)
        world_block(&f.world, at, 100, buffer);
}

static void rows(void **state)
{
    (void)state;
    heap_is(10, 1, 3);
    fake_prints(&f, "data.s = heap.snapshot()", "");
    heap_is(1510, 0, 3);
    fake_prints(&f, "local d = heap.snapshot():diff(data.s, 'site')\n"
                    "for i, r in ipairs(d:rows()) do print(i, r.key, r.count, r.bytes, r.count_delta,"
                    " r.bytes_delta) end\n"
                    "print(#d, d, d[1].key, d[3], d.load_config.count, d['grow_buffer'], #d:top(1))\n"
                    "d:print()\n",
                "1\tmake_session\t1510\t193280\t1500\t192000\n"
                "2\tload_config\t0\t0\t-1\t-4096\n"
                "2\tdelta: 2 rows\tmake_session\tnil\t0\tnil\t1\n"
                "site          count            bytes\n"
                "make_session  1 510  +1 500  189 KiB  +188 KiB\n"
                "load_config       0      -1      0 B  -4.0 KiB\n");
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "s:diff(data.s):print{limit = 1} s:diff(data.s):print{sort = 'count_delta'};\n"
                    "(s:by('site') - data.s:by('site')):print{sort = 'key', limit = 1}\n"
                    "s:diff(s, 'stack'):print()\n",
                "type               count            bytes\n"
                "site:make_session  1 510  +1 500  189 KiB  +188 KiB\n"
                "... and 1 more\n"
                "type               count            bytes\n"
                "site:make_session  1 510  +1 500  189 KiB  +188 KiB\n"
                "site:load_config       0      -1      0 B  -4.0 KiB\n"
                "site         count      bytes\n"
                "load_config      0  -1    0 B  -4.0 KiB\n"
                "... and 1 more\n"
                "no difference\n");
    fake_fails(&f, "local s = heap.snapshot() return s:by('site') - s:by('type')",
               "by different keys");
    fake_fails(&f, "local s = heap.snapshot() return s:by('site') - 1", "partition expected");
    fake_fails(&f, "heap.snapshot():diff(heap.snapshot()):print{sort = 'x'}"
                   "heap.snapshot():diff(data.s):print{sort = 'x'}", "can sort by");
    fake_prints(&f, "local s = heap.snapshot() local function big(b) return b.size > 100 end\n"
                    "for _, r in ipairs((s:by(big) - data.s:by(big)):rows()) do print(r.key, "
                    "r.count_delta) end", "true\t1499\n");
}

/* Without `sort` the largest changes are shown, shrinking ones too. */
static void the_largest_changes(void **state)
{
    (void)state;
    heap_is(1000, 2, 3);
    fake_prints(&f, "data.s = heap.snapshot()", "");
    heap_is(10, 3, 4);
    fake_prints(&f, "heap.snapshot():diff(data.s, 'site'):print{limit = 2}",
                "site          count           bytes\n"
                "load_config       3    +1  12.0 KiB  +4.0 KiB\n"
                "make_session     10  -990   1.3 KiB  -124 KiB\n"
                "... and 1 more\n");
}

static void growth_above_the_highest(void **state)
{
    (void)state;
    heap_is(5, 1, 0);
    fake_prints(&f, "heap.show_growth()",
                "type               count        bytes\n"
                "site:load_config       1  +1  4.0 KiB  +4.0 KiB\n"
                "site:make_session      5  +5    640 B    +640 B\n");
    assert_string_equal(fake_again(&f), "nothing grew\n");
    heap_is(3, 1, 0);
    assert_string_equal(fake_again(&f), "nothing grew\n");
    heap_is(6, 0, 2);
    assert_string_equal(fake_again(&f), "type               count      bytes\n"
                                        "site:grow_buffer       2  +2  200 B  +200 B\n"
                                        "site:make_session      6  +1  768 B  +128 B\n");
    heap_is(20000, 0, 2);
    fake_prints(&f, "for _, r in ipairs(heap.growth{limit = 1}) do print(r.key, r.count, "
                    "r.count_delta, r.bytes, r.bytes_delta) end",
                "site:make_session\t20000\t19994\t2560000\t2559232\n");
    fake_prints(&f, "print(#heap.growth())", "0\n");
    fake_prints(&f, "print(heap.show_growth{by = 'site', limit = 1})",
                "site           count             bytes\n"
                "make_session  20 000  +20 000  2.4 MiB  +2.4 MiB\n"
                "... and 1 more\n2\n");
    fake_fails(&f, "heap.growth{bye = 1}", "unknown option 'bye'");
    f.refuse = true;
    fake_fails(&f, "heap.growth()", "no address space");
}

/* The baseline belongs to the script that asks. */
static void each_script_has_its_baseline(void **state)
{
    (void)state;
    heap_is(5, 0, 0);
    fake_prints(&f, "print(#heap.growth())", "1\n");
    assert_null(strstr(fake_run_path(&f, "growth"), "nothing grew"));
    assert_string_equal(fake_again(&f), "0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(the_largest_changes, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(growth_above_the_highest, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(each_script_has_its_baseline, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
