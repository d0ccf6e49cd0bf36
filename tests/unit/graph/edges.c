/* SPDX-License-Identifier: MIT
 *
 * Tests of the rows of references to each block: they hold the snapshot's references and no others,
 * with the class that each has from its source's side.
 */
#include "graph/edges.h"
#include "made.h"

/* What the row of a block should be: roots' references first, then by source, as made_open sorted.
 */
static void check_row(const struct made *m, const struct graph *g, u32 block)
{
    u32 at = g->in_row[block], root_edge = 0;
    for (u32 i = 0; i < m->count; i++) {
        const struct made_edge *x = &m->edges[i];
        root_edge += x->source == 0;
        if (x->target != block)
            continue;
        assert_true(at < g->in_row[block + 1]);
        u32 entry = g->in[at++], class = made_class(m, x);
        if (x->source == 0) {
            assert_int_equal(entry, (root_edge - 1) | EDGES_ROOT);
            assert_int_equal(edges_root_class(g, &g->s->root_edges[root_edge - 1]), class);
        } else {
            assert_int_equal(entry & EDGES_SOURCE, x->source);
            assert_int_equal(entry >> EDGES_CLASS_AT, class);
        }
        for (u32 include = 0; include <= GRAPH_ANY; include++)
            assert_int_equal(edges_in_counts(g, include, entry), (class & ~include) == 0);
    }
    assert_int_equal(at, g->in_row[block + 1]);
}

static void rows_are_the_references_turned_round(void **state)
{
    (void)state;
    u64 seed = made_seed();
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        made_at_random(&m, &seed, 40);
        opened_begin(&o, &m);
        for (u32 b = 1; b <= m.blocks; b++)
            check_row(&m, &o.g, b);
        u32 held = o.s.root_edge_count;
        for (u32 edge = 0; edge < o.s.edge_count; edge++) {
            u32 class = made_class(&m, &m.edges[held + edge]);
            assert_int_equal(edges_class(&o.g, edge), class);
            for (u32 include = 0; include <= GRAPH_ANY; include++)
                assert_int_equal(edges_count(&o.g, include, edge), graph_counts(include, class));
        }
        opened_end(&o);
        made_end(&m);
    }
}

static void a_heap_of_nothing(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    made_begin(&m, 0);
    opened_begin(&o, &m);
    struct graph_ask ask = {0};
    u64 none = 0;
    ANSWERED(graph_reach(&o.g, &ask, &none, &e));
    struct graph_dominators d;
    ANSWERED(graph_dominators(&o.g, 0, &d, &e));
    assert_int_equal(d.count, 0);
    graph_dominators_free(&o.g, &d);
    assert_int_equal(none, 0);
    opened_end(&o);
    made_end(&m);
}

static void a_snapshot_without_references_is_refused(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot s;
    struct graph g;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, 1 << 16));
    snapshot_writer_whole(&w, SNAPSHOT_META, 1);
    snapshot_writer_whole(&w, SNAPSHOT_STRINGS, 1);
    assert_true(snapshot_writer_finish(&w, &s, &e));
    assert_false(graph_build(&g, &s, UINT64_MAX, &e));
    assert_int_equal(e.status, STATUS_UNSUPPORTED);
    graph_free(&g);
    snapshot_close(&s);
}

static void words_for_classes(void **state)
{
    (void)state;
    assert_string_equal(graph_class_word(GRAPH_STRONG), "");
    assert_string_equal(graph_class_word(GRAPH_INTERIOR), "interior pointer");
    assert_string_equal(graph_class_word(GRAPH_TAIL | GRAPH_WEAK_ROOT), "unused tail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_references_turned_round),
        cmocka_unit_test(a_heap_of_nothing),
        cmocka_unit_test(a_snapshot_without_references_is_refused),
        cmocka_unit_test(words_for_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
