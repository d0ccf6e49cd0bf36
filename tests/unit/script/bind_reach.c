/* SPDX-License-Identifier: MIT
 *
 * Tests of reach as scripts see it.
 */
#include "held.h"

static void what_is_reached(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "print(list(s:unreachable())) print(s.references)\n"
                     "print(block(1).reachable, block(6).reachable, block(7).reachable,"
                     " block(8).reachable, block(11).reachable)\n"
                     "print(list(s:all():where{reachable = true}))\n"
                     "print(list(s:all():where{reachable = false, type = 'site:lost'}))\n"
                     "print(#s:all():where{})\n",
                "7 8 9 12\n12\ntrue\ttrue\tfalse\tfalse\ttrue\n1 2 3 4 5 6 10 11\n8 9\n12\n");
}

static void confirmed_by_two(void **state)
{
    (void)state;
    fake_run(&f, "data.older = heap.snapshot()");
    f.world.blocks[8 - 1].birth++; /* another block at the same address */
    fake_prints(&f, HELD "print(list(s:unreachable(data.older)))", "7 9 12\n");
    f.world.process_start = 7;
    fake_fails(&f, HELD "s:unreachable(data.older)", "different processes");
}

static void steps_of_sets(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "local leaves, one = s:type('site:leaf'), s:type('site:node')\n"
                     "print(list(leaves:referrers()), list(one:referents()))\n"
                     "print(list(one:closure()), list((s:all() - s:all()):closure()))\n"
                     "print(list(s:unreachable():closure()))\n",
                "1 4 10\t3 4 5\n2 3 4 5\t\n7 8 9 12\n");
}

static void rows_of_roots(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "for _, r in ipairs(s:roots()) do\n"
                     "print(r.key, r.roots, r.references, r.count, r.bytes, list(r.set)) end\n",
                "register\t1\t1\t2\t128\t10 11\nstack\t1\t1\t1\t64\t6\n"
                "dead stack slot\t1\t1\t1\t64\t7\nglobal\t1\t1\t5\t512\t1 2 3 4 5\n");
}

static void addresses(void **state)
{
    (void)state;
    fake_prints(&f,
                "local s = heap.snapshot() for _, a in ipairs{0x400048, 0x7f0010, 0x7e0008,"
                " 0x480000, 0x990000, 8} do print(s:at(a)) end",
                "nil\tglobal server+0x48\nnil\tstack of thread main 4711 +0x10\n"
                "nil\tdead stack of thread main 4711 +0x8\nnil\tserver+0x80000\n"
                "nil\tfree memory of an allocator, or unmapped\nnil\tunmapped\n");
}

static void missed_threads_are_said_once(void **state)
{
    (void)state;
    f.world.flags = SNAPSHOT_FLAG_GRAPH;
    const char *note =
        "note: not every thread was stopped, so blocks that only such a thread holds "
        "look unreachable: made up\n";
    char expected[400];
    snprintf(expected, sizeof expected, "%sfalse\t4\t4\n", note);
    fake_prints(&f, HELD "local a = s:unreachable() print(s.complete, #a, #s:unreachable())",
                expected);
}

static void without_references(void **state)
{
    (void)state;
    static const char *const asks[] = {"s:unreachable()",
                                       "s:roots()",
                                       "s:all():referrers()",
                                       "s:all():referents()",
                                       "s:all():closure()",
                                       "s:all():retained()",
                                       "s:all():paths()",
                                       "s:all():clusters()",
                                       "s:all():dot()",
                                       "block(1):why()",
                                       "block(1):referrers()",
                                       "block(1):referents()",
                                       "block(1):retained()",
                                       "block(1):dominator()",
                                       "print(block(1).reachable)",
                                       "s:by('referrers')",
                                       "s:by('via')",
                                       "s:all():where{reachable = true}",
                                       "s:all():largest(1, 'retained')"};
    f.world.flags = 0;
    for (u32 i = 0; i < COUNT_OF(asks); i++) {
        char script[1000];
        snprintf(script, sizeof script, HELD "%s", asks[i]);
        fake_fails(&f, script, "needs references, and this snapshot was taken without");
    }
    fake_prints(&f, HELD "print(s.references)", "nil\n");
}

static void closed_snapshots(void **state)
{
    (void)state;
    fake_run(&f, HELD "data.b, data.p, data.set, data.c = block(5), block(5):why(), s:all(),"
                      " s:all():clusters() s:close() s:close()");
    assert_true(f.outcome.ok);
    static const char *const asks[] = {
        "data.b:why()",     "print(data.b.reachable)", "data.p:print()",      "data.p:dot()",
        "print(data.p[1])", "print(#data.p)",          "data.set:retained()", "data.set:clusters()",
        "data.set:dot()",   "data.set:paths()",        "data.set:by('via')",  "data.c:rows()"};
    for (u32 i = 0; i < COUNT_OF(asks); i++)
        fake_fails(&f, asks[i], "snapshot closed");
    fake_prints(&f, "print(data.p)", "path: snapshot closed\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(what_is_reached),
        held_test(confirmed_by_two),
        held_test(steps_of_sets),
        held_test(rows_of_roots),
        held_test(addresses),
        held_test(missed_threads_are_said_once),
        held_test(without_references),
        held_test(closed_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
