/* SPDX-License-Identifier: MIT
 *
 * Tests of immediate dominators against their definition: a dominates b when b is not reached
 * without a. Then the shapes that break recursion or quadratic algorithms.
 */
#include "made.h"

enum { LONG = 1000000 };

/* The nearest dominator of b: the one that all the others dominate, so the one furthest from roots.
 */
static u32 naive_dominator(const struct made *m, u32 include, u32 b, const u32 *dist, u32 *scratch)
{
    u32 nearest = 0;
    for (u32 a = 1; a <= m->blocks; a++) {
        if (a == b || dist[a] == 0)
            continue;
        made_distances(m, include, 0, a, scratch);
        if (scratch[b] == 0 && (nearest == 0 || dist[a] > dist[nearest]))
            nearest = a;
    }
    return nearest;
}

static void immediate_dominators_are_what_the_definition_says(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 dominated = 0;
    for (u32 round = 0; round < 400; round++) {
        struct made m;
        struct opened o;
        struct graph_dominators d;
        u32 dist[60], scratch[60], reached = 0;
        made_at_random(&m, &seed, 25);
        opened_begin(&o, &m);
        u32 include = made_include(&seed);
        ANSWERED(graph_dominators(&o.g, include, &d, &e));
        made_distances(&m, include, 0, 0, dist);
        for (u32 b = 1; b <= m.blocks; b++) {
            assert_int_equal(d.vertex[b] != 0, dist[b] != 0);
            u32 expected = dist[b] ? naive_dominator(&m, include, b, dist, scratch) : 0;
            assert_int_equal(graph_dominator(&d, (block_id){b}).v, expected);
            reached += dist[b] != 0;
            dominated += expected != 0;
        }
        assert_int_equal(d.count, reached);
        graph_dominators_free(&o.g, &d);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(dominated > 400);
}

/* The example of Lengauer and Tarjan's paper (figure 1): vertices R A..L as blocks 1..13. */
static void the_example_of_the_paper(void **state)
{
    (void)state;
    enum { R = 1, A, B, C, D, E, F, G, H, I, J, K, L };
    static const u32 edges[][2] = {{R, A}, {R, B}, {R, C}, {A, D}, {B, A}, {B, D}, {B, E},
                                   {C, F}, {C, G}, {D, L}, {E, H}, {F, I}, {G, I}, {G, J},
                                   {H, E}, {H, K}, {I, K}, {J, I}, {K, R}, {K, I}, {L, H}};
    static const u32 idom[] = {0, 0, R, R, R, R, R, C, C, R, R, G, R, D};
    struct made m;
    struct opened o;
    struct graph_dominators d;
    made_begin(&m, L);
    for (u32 i = 0; i < COUNT_OF(edges); i++)
        made_ref(&m, edges[i][0], edges[i][1]);
    made_root(&m, SNAPSHOT_ROOT_DATA, R);
    opened_begin(&o, &m);
    ANSWERED(graph_dominators(&o.g, GRAPH_STRONG, &d, &e));
    for (u32 b = R; b <= L; b++)
        assert_int_equal(graph_dominator(&d, (block_id){b}).v, idom[b]);
    graph_dominators_free(&o.g, &d);
    opened_end(&o);
    made_end(&m);
}

static void a_list_of_a_million_blocks_linked_both_ways(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    struct graph_dominators d;
    made_begin(&m, LONG);
    for (u32 b = 1; b < LONG; b++) {
        made_ref(&m, b, b + 1);
        made_ref(&m, b + 1, b);
    }
    made_root(&m, SNAPSHOT_ROOT_DATA, 1);
    opened_begin(&o, &m);
    ANSWERED(graph_dominators(&o.g, GRAPH_STRONG, &d, &e));
    u64 behind = 0;
    for (u32 b = LONG; b > 0; b--) {
        behind += snapshot_block_bytes(&o.s, (block_id){b});
        assert_int_equal(graph_dominator(&d, (block_id){b}).v, b - 1);
        assert_int_equal(graph_retained_bytes(&d, (block_id){b}), behind);
    }
    graph_dominators_free(&o.g, &d);
    opened_end(&o);
    made_end(&m);
}

/* A list of half a million blocks, the last of which refers to half a million that roots hold as
 * well: none of these is dominated, and finding that must not climb the list for each. */
static void a_list_that_ends_in_a_star_which_roots_hold(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    struct graph_dominators d;
    made_begin(&m, LONG);
    made_root(&m, SNAPSHOT_ROOT_STACK, 1);
    for (u32 b = 1; b < LONG / 2; b++)
        made_ref(&m, b, b + 1);
    for (u32 b = LONG / 2 + 1; b <= LONG; b++) {
        made_ref(&m, LONG / 2, b);
        made_root(&m, SNAPSHOT_ROOT_DATA, b);
    }
    opened_begin(&o, &m);
    ANSWERED(graph_dominators(&o.g, GRAPH_STRONG, &d, &e));
    for (u32 b = 1; b <= LONG; b++)
        assert_int_equal(graph_dominator(&d, (block_id){b}).v, b <= LONG / 2 ? b - 1 : 0);
    graph_dominators_free(&o.g, &d);
    opened_end(&o);
    made_end(&m);
}

/* A ladder: two lists with rungs both ways; only the beginning dominates. */
static void a_ladder_is_dominated_from_its_beginning_only(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    struct graph_dominators d;
    made_begin(&m, LONG + 1);
    made_root(&m, SNAPSHOT_ROOT_THREAD_LOCAL, 1);
    made_ref(&m, 1, 2);
    made_ref(&m, 1, 3);
    for (u32 b = 2; b <= LONG + 1; b++) {
        if (b + 2 <= LONG + 1)
            made_ref(&m, b, b + 2);
        made_ref(&m, b, b ^ 1);
    }
    opened_begin(&o, &m);
    ANSWERED(graph_dominators(&o.g, GRAPH_STRONG, &d, &e));
    for (u32 b = 2; b <= LONG + 1; b++)
        assert_int_equal(graph_dominator(&d, (block_id){b}).v, 1);
    graph_dominators_free(&o.g, &d);
    opened_end(&o);
    made_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(immediate_dominators_are_what_the_definition_says),
        cmocka_unit_test(the_example_of_the_paper),
        cmocka_unit_test(a_list_of_a_million_blocks_linked_both_ways),
        cmocka_unit_test(a_list_that_ends_in_a_star_which_roots_hold),
        cmocka_unit_test(a_ladder_is_dominated_from_its_beginning_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
