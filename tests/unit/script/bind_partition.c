/* SPDX-License-Identifier: MIT
 *
 * Tests of partitions, their rows, and how they print.
 */
#include "../busy.h"
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    struct world *w = &f.world;
    u32 make = world_calls(w, "main", "make", NULL), load = world_calls(w, "main", "load", NULL);
    u32 rows = world_calls(w, "main", "rows", NULL);
    for (u32 i = 0; i < 6; i++)
        world_block(w, 0x1000 + 0x100 * i, 10, i < 4 ? make : load);
    world_block(w, 0x8000, 2500000, rows);
    return 0;
}

static void rows(void **state)
{
    (void)state;
    fake_prints(&f, "local p = heap.snapshot():by('site')\n"
                    "for i, r in ipairs(p:rows()) do print(i, r.key, r.count, r.bytes, #r.set, r) end\n"
                    "print(#p, #p:top(2), p[2].key, p[4], p['make'].count, p.load.bytes, p['x'],"
                    " p:row('rows').count, type(p.rows))\n"
                    "for k, v in pairs(p[1]) do print(k, v) end\n"
                    "print(p, p[1].set == p[1].set, p[1].nothing)\n",
                "1\trows\t1\t2500000\t1\trows: 1 blocks, 2.4 MiB\n"
                "2\tmake\t4\t40\t4\tmake: 4 blocks, 40 B\n"
                "3\tload\t2\t20\t2\tload: 2 blocks, 20 B\n"
                "3\t2\tmake\tnil\t4\t20\tnil\t1\tfunction\n"
                "key\trows\ncount\t1\nbytes\t2500000\n"
                "partition by site: 3 rows\ttrue\tnil\n");
}

static void every_key(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "for _, key in ipairs{'type', 'site', 'stack', 'function', 'file', 'module', "
                    "'size', 'thread', 'age', 'tag'} do\n"
                    "  local p, n, b = s:by(key), 0, 0\n"
                    "  for _, r in ipairs(p:rows()) do n, b = n + #r.set, b + r.bytes end\n"
                    "  print(key, #p, p[1].key, n, b == s.bytes, p:row(p[1].key).bytes == p[1].bytes)\n"
                    "end\n",
                "type\t3\tsite:rows\t7\ttrue\ttrue\n"
                "site\t3\trows\t7\ttrue\ttrue\n"
                "stack\t3\trows < main\t7\ttrue\ttrue\n"
                "function\t3\trows\t7\ttrue\ttrue\n"
                "file\t1\tserver\t7\ttrue\ttrue\n"
                "module\t1\tserver\t7\ttrue\ttrue\n"
                "size\t2\t2-4 MiB\t7\ttrue\ttrue\n"
                "thread\t1\tmain 4711\t7\ttrue\ttrue\n"
                "age\t1\t<1m\t7\ttrue\ttrue\n"
                "tag\t1\tuntagged\t7\ttrue\ttrue\n");
    fake_fails(&f, "heap.snapshot():by('colour')", "there is no key 'colour'; use type, type_source, site");
    fake_fails(&f, "heap.snapshot():by()", "string expected");
}

static void functions_as_keys(void **state)
{
    (void)state;
    fake_prints(&f, "local p = heap.snapshot():by(function(b) return b.size > 100 and 'big' or "
                    "b.addr < 0x1100 and 1 or nil end)\n"
                    "for _, r in ipairs(p:rows()) do print(r.key, r.count, #r.set) end\n"
                    "collectgarbage() p:print() print(p, #p)\n",
                "big\t1\t1\nnil\t5\t5\n1\t1\t1\n"
                "key  count    bytes\n"
                "big      1  2.4 MiB\n"
                "nil      5     50 B\n"
                "1        1     10 B\n"
                "partition by a function: 3 rows\t3\n");
    fake_prints(&f, "local none = heap.snapshot():all():where{min_size = 1e9}\n"
                    "print(#none:by(function() end), #none:by('type'))", "0\t0\n");
    fake_fails(&f, "heap.snapshot():by(function() error 'mine' end)", "mine");
    fake_fails(&f, "heap.snapshot():by(function() heap.wait() end)", "cannot wait inside");
}

static void printing(void **state)
{
    (void)state;
    fake_prints(&f, "heap.snapshot():by('site'):print()",
                "site  count    bytes\n"
                "rows      1  2.4 MiB\n"
                "make      4     40 B\n"
                "load      2     20 B\n");
    fake_prints(&f, "heap.snapshot():by('site'):print{sort = 'count', limit = 1}",
                "site  count  bytes\nmake      4   40 B\n... and 2 more\n");
    fake_prints(&f, "heap.snapshot():by('site'):print{sort = 'key'}",
                "site  count    bytes\n"
                "load      2     20 B\n"
                "make      4     40 B\n"
                "rows      1  2.4 MiB\n");
    fake_fails(&f, "heap.snapshot():by('site'):print{sort = 'x'}", "can sort by");
    fake_fails(&f, "heap.snapshot():by('site'):print{limits = 1}", "unknown option 'limits'");
    fake_fails(&f, "heap.snapshot():by('site'):print(5)", "options must be a table");
}

static void tables_outlive_the_snapshot(void **state)
{
    (void)state;
    fake_prints(&f, "local s <close> = heap.snapshot() data.t = s:by('site'):table()", "");
    fake_prints(&f, "local t = data.t print(#t, t[2].key, t[2].count, t.make.bytes, t.rows == t[1])",
                "3\tmake\t4\t40\ttrue\n");
}

/* Partition, rows and row sets of a million blocks, from Lua. */
static void a_million_blocks(void **state)
{
    (void)state;
    f.world.block_count = 0;
    u32 stacks[100];
    static char names[100][8];
    for (u32 i = 0; i < COUNT_OF(stacks); i++) {
        text_format(names[i], sizeof names[i], "f%u", i);
        stacks[i] = world_calls(&f.world, "main", names[i], NULL);
    }
    for (u32 i = 0; i < 1000000; i++)
        world_block(&f.world, 0x10000 + 64ull * i, 1 + i % 60, stacks[i % 100]);
    u64 start = busy_own_ns();
    fake_prints(&f, "local s <close> = heap.snapshot()\n"
                    "for _, key in ipairs{'type', 'site', 'stack', 'size'} do\n"
                    "  local n = 0\n"
                    "  for _, r in ipairs(s:by(key):rows()) do n = n + #r.set end\n"
                    "  print(key, n)\n"
                    "end\n",
                "type\t1000000\nsite\t1000000\nstack\t1000000\nsize\t1000000\n");
    u64 ms = (busy_own_ns() - start) / 1000000;
    printf("a million blocks: %llu ms\n", (unsigned long long)ms);
    assert_true(ms < 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(every_key, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(functions_as_keys, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(printing, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(tables_outlive_the_snapshot, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(a_million_blocks, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
