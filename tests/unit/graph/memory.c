/* SPDX-License-Identifier: MIT
 *
 * Tests of running out of memory: whatever the limit, a pass answers or says that it reached it,
 * and then nothing is left behind.
 */
#include "made.h"

static struct made m;
static struct opened o;

static int open_random(void **state)
{
    (void)state;
    u64 seed = 20;
    do {
        made_at_random(&m, &seed, 60);
    } while (m.blocks < 30 && (made_end(&m), true));
    opened_begin(&o, &m);
    return 0;
}

static int close_random(void **state)
{
    (void)state;
    opened_end(&o);
    made_end(&m);
    return 0;
}

/* Runs a pass with a limit that grows until it answers; `undo` frees its result. */
#define NEVER_LEAVES_ANYTHING(call, undo)                                                          \
    do {                                                                                           \
        u64 before = o.g.memory_bytes;                                                             \
        u32 refused = 0;                                                                           \
        for (u64 more = 0;; more += 4, refused++) {                                                \
            struct err e = {0};                                                                    \
            o.g.memory_limit = before + more;                                                      \
            if (call) {                                                                            \
                undo;                                                                              \
                assert_int_equal(o.g.memory_bytes, before);                                        \
                break;                                                                             \
            }                                                                                      \
            assert_int_equal(e.status, STATUS_LIMIT);                                              \
            assert_true(strstr(e.text, "needs more than") != NULL);                                \
            assert_int_equal(o.g.memory_bytes, before);                                            \
            assert_true(more < 1 << 20);                                                           \
        }                                                                                          \
        assert_true(refused > 0);                                                                  \
    } while (0)

static void building(void **state)
{
    (void)state;
    struct graph g;
    u32 refused = 0;
    for (u64 limit = 0;; limit += 4, refused++) {
        struct err e = {0};
        if (graph_build(&g, &o.s, limit, &e)) {
            assert_int_equal(g.memory_bytes, limit);
            break;
        }
        assert_int_equal(e.status, STATUS_LIMIT);
        assert_null(g.in_row);
        graph_free(&g); /* does no harm */
    }
    assert_true(refused > 10);
    graph_free(&g);
}

static u32 kind_of_block(void *context, block_id b)
{
    (void)context;
    return b.v;
}

static u32 kind_of_root(void *context, u32 root_edge)
{
    (void)context;
    return root_edge;
}

static void every_pass(void **state)
{
    (void)state;
    struct graph_ask ask = {.include = GRAPH_ANY};
    struct graph_kinds kinds = {kind_of_block, kind_of_root, NULL};
    struct graph_tree t;
    struct graph_dominators d;
    struct graph_clusters c;
    struct graph_path p, paths[3];
    u64 *set = opened_set(&o), *out = opened_set(&o);
    u32 count;

    NEVER_LEAVES_ANYTHING(graph_reach(&o.g, &ask, set, &e), (void)0);
    NEVER_LEAVES_ANYTHING(graph_unreachable(&o.g, &ask, out, &e), (void)0);
    NEVER_LEAVES_ANYTHING(graph_closure(&o.g, &ask, set, out, &e), (void)0);
    NEVER_LEAVES_ANYTHING(graph_retained_set(&o.g, GRAPH_ANY, set, out, &e), (void)0);
    NEVER_LEAVES_ANYTHING(graph_tree(&o.g, &ask, &t, &e), graph_tree_free(&o.g, &t));
    NEVER_LEAVES_ANYTHING(graph_dominators(&o.g, GRAPH_ANY, &d, &e),
                          graph_dominators_free(&o.g, &d));
    u32 far = 1;
    ANSWERED(graph_tree(&o.g, &ask, &t, &e)); /* the limit is what that needs */
    o.g.memory_limit = UINT64_MAX;
    for (u32 b = 1, longest = 0; b <= m.blocks; b++) {
        ANSWERED(graph_tree_path(&o.g, &t, (block_id){b}, &p, &e));
        if (p.count > longest) {
            longest = p.count;
            far = b;
        }
        graph_path_free(&o.g, &p);
    }
    NEVER_LEAVES_ANYTHING(graph_tree_path(&o.g, &t, (block_id){far}, &p, &e),
                          graph_path_free(&o.g, &p));
    NEVER_LEAVES_ANYTHING(graph_clusters(&o.g, &t, set, &kinds, &c, &e),
                          graph_clusters_free(&o.g, &c));
    NEVER_LEAVES_ANYTHING(graph_why(&o.g, (block_id){far}, &p, &e), graph_path_free(&o.g, &p));
    NEVER_LEAVES_ANYTHING(
        graph_paths(&o.g, GRAPH_ANY, (block_id){far}, paths, COUNT_OF(paths), &count, &e),
        for (u32 i = 0; i < count; i++) graph_path_free(&o.g, &paths[i]));
    o.g.memory_limit = UINT64_MAX;
    graph_tree_free(&o.g, &t);
    free(set);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building),
        cmocka_unit_test(every_pass),
    };
    return cmocka_run_group_tests(tests, open_random, close_random);
}
