/* SPDX-License-Identifier: MIT
 *
 * Tests of clusters, and of partitions by what refers to blocks.
 */
#include "held.h"

static void shapes_of_paths(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD
                "local c = s:all():clusters() print(#c, c)\n"
                "for _, r in ipairs(c:rows()) do print(r.key, r.count, r.bytes, list(r.set)) end\n"
                "c:print{limit = 1}\n",
                "7\tpartition by held by: 7 rows\n"
                "unreachable\t4\t256\t7 8 9 12\n"
                "global server+0x40 → site:table → site:node*\t3\t192\t2 3 4\n"
                "global server+0x40 → site:table\t1\t256\t1\n"
                "global server+0x40 → site:table → site:leaf\t1\t64\t5\n"
                "registers of thread main 4711 → site:table\t1\t64\t10\n"
                "registers of thread main 4711 → site:table → site:leaf\t1\t64\t11\n"
                "stack of thread main 4711 → site:leaf\t1\t64\t6\n"
                "held by      count  bytes\nunreachable      4  256 B\n... and 6 more\n");
}

/* A global array of pointers is one holder, however many slots point. */
static void arrays_are_one_holder(void **state)
{
    (void)state;
    struct world *w = &f.world;
    u32 made = world_calls(w, "main", "slot", NULL);
    enum { SLOTS = 40 };
    for (u32 i = 0; i < SLOTS; i++)
        world_block(w, 0x100000 + 0x100 * i, 64, made);
    memmove(&w->edges[4 + SLOTS], &w->edges[4], (w->edge_count - 4) * sizeof *w->edges);
    for (u32 i = 0; i < SLOTS; i++)
        w->edges[4 + i] = (struct world_edge){0, 4, 100 + i, HELD_BLOCKS + 1 + i, 0};
    w->edge_count += SLOTS;
    fake_prints(&f,
                HELD "for _, r in ipairs(s:type('site:slot'):clusters()) do"
                     " print(r.key, r.count) end",
                "global server+0x320[] → site:slot\t40\n");
}

static void by_referrers(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "for _, key in ipairs{'referrers', 'via'} do\n"
                     "for _, r in ipairs(s:by(key):rows()) do print(r.key, r.count, list(r.set))"
                     " end end print(s:by('via')['nothing'].count)\n",
                "global\t1\t1\nnothing\t2\t7 12\nsite:lost\t2\t8 9\nsite:node\t2\t3 4\n"
                "site:table\t2\t2 11\nregister\t1\t10\nsite:node, site:table\t1\t5\nstack\t1\t6\n"
                "global\t1\t1\nnothing\t2\t7 12\nsite:node+0x8\t2\t3 4\nregister\t1\t10\n"
                "site:lost+0x0\t1\t9\nsite:lost+0x10\t1\t8\nsite:node+0x0, site:table+0x8\t1\t5\n"
                "site:table+0x0\t1\t2\nsite:table+0x8\t1\t11\nstack\t1\t6\n2\n");
}

/* Differences between moments go by the text. */
static void differences(void **state)
{
    (void)state;
    fake_run(&f, "data.older = heap.snapshot()");
    f.world.edges[3].target = 2; /* the global leads to the node */
    fake_prints(&f,
                HELD "for _, r in ipairs((s:type('site:node'):clusters() -"
                     " data.older:type('site:node'):clusters()):rows()) do"
                     " print(r.key, r.count_delta) end\n"
                     "for _, r in ipairs(s:diff(data.older, 'referrers'):rows()) do"
                     " print(r.key, r.count_delta) end\n",
                "global server+0x40 → site:node*\t3\n"
                "global server+0x40 → site:table → site:node*\t-3\n"
                "nothing\t1\nglobal, site:table\t1\nsite:table\t-1\nglobal\t-1\n");
}

static void empty_sets(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "local none = s:all() - s:all()\n"
                     "print(#none:clusters(), #none:by('referrers'), #none:by('via'),"
                     " #none:paths(), #none:retained(), #none:closure())",
                "0\t0\t0\t0\t0\t0\n");
}

/* More kinds of referrers than are listed. */
static void many_kinds(void **state)
{
    (void)state;
    struct world *w = &f.world;
    char names[30][8];
    for (u32 i = 0; i < 30; i++) {
        snprintf(names[i], sizeof names[i], "k%02u", i);
        world_block(w, 0x100000 + 0x100 * i, 64, world_calls(w, "main", names[i], NULL));
        world_edge(w, (struct world_edge){HELD_BLOCKS + 1 + i, 0, 0, 12, 0});
    }
    fake_prints(
        &f,
        HELD "local p = s:all():where{fn = function(b) return b == block(12) end}"
             ":by('referrers') print(#p, p[1].key)",
        "1\tsite:k00, site:k01, site:k02, site:k03, site:k04, site:k05, site:k06, site:k07, "
        "site:k08, site:k09, site:k10, site:k11, site:k12, site:k13, site:k14, site:k15, ...\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(shapes_of_paths),
        held_test(arrays_are_one_holder),
        held_test(by_referrers),
        held_test(differences),
        held_test(empty_sets),
        held_test(many_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
