/* SPDX-License-Identifier: MIT
 *
 * Tests of paths to one block and of shortest-path trees: every step is a reference that counts,
 * and no path could be shorter.
 */
#include "made.h"

enum { LONG = 1000000 };

/* Is it a way from a root to the block along references that count? */
static void check_path(const struct made *m, const struct graph *g, const struct graph_path *p,
                       u32 include, u32 block)
{
    assert_int_equal(p->steps[p->count - 1].v, block);
    const struct made_edge *root = &m->edges[p->root_edge - 1];
    assert_int_equal(root->source, 0);
    assert_int_equal(root->target, p->steps[0].v);
    assert_int_equal(made_class(m, root) & ~include, 0);
    for (u32 i = 0; i < p->count; i++) {
        struct graph_ref ref = graph_path_ref(g, p, i);
        assert_int_equal(ref.target.v, p->steps[i].v);
        assert_int_equal(ref.root_edge, i ? 0 : p->root_edge);
        assert_int_equal(ref.source.v, i ? p->steps[i - 1].v : 0);
        assert_int_equal(ref.class & ~include, 0);
        bool is_there = i == 0;
        for (u32 k = 0; i && k < m->count; k++)
            is_there |= m->edges[k].source == ref.source.v && m->edges[k].word * 8 == ref.offset &&
                        m->edges[k].target == ref.target.v && m->edges[k].into == ref.into &&
                        made_class(m, &m->edges[k]) == ref.class;
        assert_true(is_there);
    }
}

static void no_path_could_be_shorter(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 longest = 0;
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        struct graph_tree t;
        u32 dist[60];
        made_at_random(&m, &seed, 50);
        opened_begin(&o, &m);
        struct graph_ask ask = {.include = made_include(&seed)};
        ANSWERED(graph_tree(&o.g, &ask, &t, &e));
        made_distances(&m, ask.include, 0, 0, dist);
        for (u32 b = 1; b <= m.blocks; b++) {
            struct graph_path p, q;
            ANSWERED(graph_path(&o.g, ask.include, (block_id){b}, &p, &e));
            ANSWERED(graph_tree_path(&o.g, &t, (block_id){b}, &q, &e));
            assert_int_equal(p.count, dist[b]);
            assert_int_equal(q.count, dist[b]);
            if (dist[b]) {
                check_path(&m, &o.g, &p, ask.include, b);
                check_path(&m, &o.g, &q, ask.include, b);
            }
            longest = dist[b] > longest ? dist[b] : longest;
            graph_path_free(&o.g, &p);
            graph_path_free(&o.g, &q);
        }
        graph_tree_free(&o.g, &t);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(longest > 5);
}

static void several_paths_come_from_several_roots_nearest_first(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 several = 0;
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        struct graph_path paths[8];
        u32 dist[60], count, room = 1 + made_random(&seed, 8), expected = 0;
        made_at_random(&m, &seed, 50);
        opened_begin(&o, &m);
        u32 include = made_include(&seed), block = 1 + made_random(&seed, m.blocks);
        ANSWERED(graph_paths(&o.g, include, (block_id){block}, paths, room, &count, &e));
        for (u32 i = 0; i < count; i++) {
            check_path(&m, &o.g, &paths[i], include, block);
            for (u32 k = 0; k < i; k++) {
                assert_true(paths[k].root_edge != paths[i].root_edge);
                assert_true(paths[k].count <= paths[i].count);
            }
            /* No way from where that root leads is shorter. */
            made_distances(&m, include, paths[i].steps[0].v, 0, dist);
            assert_int_equal(paths[i].count, dist[block]);
        }
        /* Every root edge from which the block is reached gives a path. */
        for (u32 i = 0; i < m.count && m.edges[i].source == 0; i++) {
            made_distances(&m, include, m.edges[i].target, 0, dist);
            expected += dist[block] && (made_class(&m, &m.edges[i]) & ~include) == 0;
        }
        assert_int_equal(count, expected < room ? expected : room);
        several += count > 1;
        for (u32 i = 0; i < count; i++)
            graph_path_free(&o.g, &paths[i]);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(several > 10);
}

static void why_says_how_weak_the_hold_is(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    /* 1 strongly; 2 by an interior pointer; 3 by a tail; 4 by a dead stack slot, and 1 too; 5 not.
     */
    static const u32 needed[] = {0, GRAPH_STRONG, GRAPH_INTERIOR, GRAPH_HOLDING, GRAPH_ANY};
    made_begin(&m, 5);
    made_root(&m, SNAPSHOT_ROOT_DATA, 1);
    made_root(&m, SNAPSHOT_ROOT_DEAD_STACK, 1);
    made_root(&m, SNAPSHOT_ROOT_DEAD_STACK, 4);
    made_into(&m, 1, 2, 4);
    made_ref(&m, 1, 3);
    m.used[1] = 1;
    opened_begin(&o, &m);
    for (u32 b = 1; b <= 5; b++) {
        struct graph_path p;
        ANSWERED(graph_why(&o.g, (block_id){b}, &p, &e));
        assert_int_equal(p.count, b == 5 ? 0 : b == 2 || b == 3 ? 2 : 1);
        if (b < 5)
            assert_int_equal(p.include, needed[b]);
        graph_path_free(&o.g, &p);
    }
    opened_end(&o);
    made_end(&m);
}

static void a_path_of_a_million_steps(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    struct graph_path p, q;
    struct graph_tree t;
    struct graph_ask ask = {0};
    made_begin(&m, LONG);
    made_root(&m, SNAPSHOT_ROOT_STACK, LONG);
    for (u32 b = LONG; b > 1; b--)
        made_ref(&m, b, b - 1);
    opened_begin(&o, &m);
    ANSWERED(graph_path(&o.g, GRAPH_STRONG, (block_id){1}, &p, &e));
    ANSWERED(graph_tree(&o.g, &ask, &t, &e));
    ANSWERED(graph_tree_path(&o.g, &t, (block_id){1}, &q, &e));
    assert_int_equal(p.count, LONG);
    assert_int_equal(q.count, LONG);
    for (u32 i = 0; i < LONG; i++) {
        assert_int_equal(p.steps[i].v, LONG - i);
        assert_int_equal(q.steps[i].v, LONG - i);
    }
    graph_path_free(&o.g, &p);
    graph_path_free(&o.g, &q);
    graph_tree_free(&o.g, &t);
    opened_end(&o);
    made_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_path_could_be_shorter),
        cmocka_unit_test(several_paths_come_from_several_roots_nearest_first),
        cmocka_unit_test(why_says_how_weak_the_hold_is),
        cmocka_unit_test(a_path_of_a_million_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
