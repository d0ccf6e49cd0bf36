/* SPDX-License-Identifier: MIT
 *
 * Tests of sets as scripts see them.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    struct world *w = &f.world;
    u32 make = world_calls(w, "main", "serve", "make", NULL);
    u32 load = world_calls(w, "main", "load", NULL);
    world_thread(w, 1, 4711, "main");
    world_thread(w, 2, 4712, "worker");
    for (u32 i = 0; i < 10; i++) {
        struct world_block *b = world_block(w, 0x1000 + 0x100 * i, i * 10, i % 2 ? make : load);
        b->birth = 19 - i; /* 1 + i seconds old */
        b->thread = i < 3 ? 1 : 2;
    }
    return 0;
}

/* In scripts: s the snapshot, all its blocks, list(set) the numbers of its blocks. */
#define PROLOGUE                                                                                   \
    "local s = heap.snapshot() local all = s:all()\n"                                              \
    "local function list(set) local t = {} for b in (type(set) == 'table' and "                    \
    "function() local i = 0 return function() i = i + 1 return set[i] end end or "                 \
    "function() return set:each() end)() do t[#t + 1] = (b.addr - 0x1000) // 0x100 end "           \
    "return table.concat(t, ' ') end\n"

static void algebra(void **state)
{
    (void)state;
    fake_prints(&f, PROLOGUE
                "local a, b = all:where{min_size = 60}, all:where{max_size = 70}\n"
                "print(list(a), #a, a.bytes, a)\n"
                "print(list(a & b), list(a - b), list(b - a), list(~a), list(a ~ b))\n"
                "print(#(a | b), (a | b) == all, a == b, a <= all, all <= a, a < a, (a & b) < a)\n"
                "print(~~a == a, #(all - all), (all - all):one(), a.estimated, a.nothing)\n",
                "6 7 8 9\t4\t300\tset: 4 blocks, 300 B\n"
                "6 7\t8 9\t0 1 2 3 4 5\t0 1 2 3 4 5\t0 1 2 3 4 5 8 9\n"
                "10\ttrue\tfalse\ttrue\tfalse\tfalse\ttrue\n"
                "true\t0\tnil\tfalse\tnil\n");
    fake_fails(&f, PROLOGUE "print(all | 1)", "set expected");
    fake_fails(&f, PROLOGUE "print(all | heap.snapshot():all())", "different snapshots");
    fake_prints(&f, PROLOGUE "print(all == heap.snapshot():all())", "false\n");
    fake_prints(&f, "print(getmetatable(heap.snapshot():all()))", "set\n");
}

static void where(void **state)
{
    (void)state;
    fake_prints(&f, PROLOGUE
                "print(list(all:where{type = 'site:make'}))\n"
                "print(list(all:where{site = 'load', min_size = 1, max_size = 40}))\n"
                "print(list(all:where{site = '^l', pattern = true}))\n"
                "print(list(all:where{thread = 'main'}), list(all:where{thread = 4711}),"
                " list(all:where{thread = 'main 4711'}), list(all:where{thread = 'nobody'}))\n"
                "print(list(all:where{older = 8}), list(all:where{younger = 2}))\n"
                "print(list(all:where{stack_has = 'serve'}), list(all:where{stack_lacks = '^ser'}))\n"
                "print(list(all:where{stack_has = 'main', stack_lacks = 'make'}))\n"
                "print(list(all:where{tag = 'x'}), list(all:where{type = 'nothing'}), #all:where{})\n"
                "print(list(all:where{min_size = 50, fn = function(b) return b.size % 20 == 0 end}))\n",
                "1 3 5 7 9\n2 4\n0 2 4 6 8\n0 1 2\t0 1 2\t0 1 2\t\n7 8 9\t0 1\n"
                "1 3 5 7 9\t0 2 4 6 8\n0 2 4 6 8\n\t\t10\n6 8\n");
    fake_fails(&f, PROLOGUE "all:where{size = 1}", "unknown option 'size'");
    fake_fails(&f, PROLOGUE "all:where{min_size = 'x'}", "must be a number");
    fake_fails(&f, PROLOGUE "all:where{type = {}}", "must be a text");
    fake_fails(&f, PROLOGUE "all:where{fn = 1}", "function expected");
    fake_fails(&f, PROLOGUE "all:where()", "table expected");
    fake_fails(&f, PROLOGUE "all:where{fn = function() error 'mine' end}", "mine");
}

static void picks(void **state)
{
    (void)state;
    fake_prints(&f, PROLOGUE
                "print(list(all:largest(3)), list(all:oldest(2)), list(all:largest(0)))\n"
                "print(list(all:sample(3)) == list(all:sample(3)), #all:sample(3), #all:sample(99))\n"
                "print(list(all:sample(3, 7)) == list(all:sample(3, 7)))\n"
                "local seen = {} for seed = 1, 30 do seen[list(all:sample(1, seed))] = true end\n"
                "local n = 0 for _ in pairs(seen) do n = n + 1 end print(n > 5)\n"
                "print(all:one().addr == 0x1000, all:largest(99)[1].size)\n",
                "9 8 7\t9 8\t\ntrue\t3\t10\ntrue\ntrue\ntrue\t90\n");
    fake_fails(&f, PROLOGUE "all:largest(-1)", "0 or more");
    fake_fails(&f, PROLOGUE "all:largest()", "number expected");
}

static void samples_are_marked(void **state)
{
    (void)state;
    f.world.sample_bytes = 1024;
    fake_prints(&f, PROLOGUE "print(#all > 10, all.estimated, #s == #all, s.bytes == all.bytes)\n"
                             "local n = 0 for _ in all:each() do n = n + 1 end print(n)\n"
                             "s:by('tag'):print()",
                "true\ttrue\ttrue\ttrue\n10\n"
                "tag                 count                bytes\n"
                "untagged  ≈ 1 319 ± 4 099  ≈ 9.2 KiB ± 8.0 KiB\n"
                "(estimated from a sample; ± is what holds in 95 of 100 cases)\n");
    fake_prints(&f, PROLOGUE "print(all, s.sample, all.count_error, s.bytes_error == all.bytes_error)\n"
                             "local row = s:by('tag')[1] print(row, row.estimated, row.count_error)\n"
                             "print(s:by('tag'):table()[1].bytes_error == row.bytes_error)\n"
                             "for k in pairs(row) do io.write(k, ' ') end print()\n"
                             "local b = all:largest(1)[1] printf('%d %.3f\\n', b.size, b.weight)\n"
                             "print((s:by('tag') - (all - (all - all)):by('tag')))\n",
                "set: ≈ 1 319 ± 4 099 blocks, ≈ 9.2 KiB ± 8.0 KiB\t1024\t4099\ttrue\n"
                "untagged: ≈ 1 319 ± 4 099 blocks, ≈ 9.2 KiB ± 8.0 KiB\ttrue\t4099\n"
                "true\nkey count bytes count_error bytes_error \n90 11.885\n"
                "delta: 0 rows\n");
}

static void what_is_exact_has_no_error(void **state)
{
    (void)state;
    fake_prints(&f, PROLOGUE "print(s.sample, s.estimated, s.count_error, all.bytes_error)\n"
                             "local row = s:by('tag')[1] print(row.estimated, row.count_error)\n"
                             "print(all:largest(1)[1].weight)\n",
                "nil\tfalse\tnil\tnil\nfalse\tnil\n1.0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(algebra, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(where, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(picks, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(samples_are_marked, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(what_is_exact_has_no_error, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
