/* SPDX-License-Identifier: MIT
 *
 * Tests of reach, its opposite, closures and confirmation against walking the references naively.
 */
#include "made.h"

enum { LONG = 1000000 };

/* None of this needs the rows of references to each block. */
static void without_rows(struct opened *o)
{
    graph_free(&o->g);
    ANSWERED(graph_open(&o->g, &o->s, UINT64_MAX, &e));
    assert_null(o->g.in_row);
}

static void reach_is_what_repeated_looking_finds(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 reached = 0, unreached = 0;
    for (u32 round = 0; round < 500; round++) {
        struct made m;
        struct opened o;
        u32 dist[100];
        made_at_random(&m, &seed, 90);
        opened_begin(&o, &m);
        without_rows(&o);
        u64 *in = opened_set(&o), *out = opened_set(&o), *without = opened_set(&o);
        u32 left_out = made_random(&seed, m.blocks + 1);
        if (left_out)
            graph_set_add(without, (block_id){left_out});
        struct graph_ask ask = {.include = made_include(&seed), .without = without};
        made_distances(&m, ask.include, 0, left_out, dist);
        ANSWERED(graph_reach(&o.g, &ask, in, &e));
        ANSWERED(graph_unreachable(&o.g, &ask, out, &e));
        for (u32 b = 1; b <= m.blocks; b++) {
            assert_int_equal(graph_set_has(in, (block_id){b}), dist[b] != 0);
            assert_int_equal(graph_set_has(out, (block_id){b}), dist[b] == 0 && b != left_out);
            reached += dist[b] != 0;
            unreached += dist[b] == 0;
        }
        if (m.blocks % 64)
            assert_int_equal((in[o.words - 1] | out[o.words - 1]) >> (m.blocks % 64), 0);
        free(in);
        free(out);
        free(without);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(reached > 1000 && unreached > 1000);
}

static void closures_are_what_repeated_looking_finds(void **state)
{
    (void)state;
    u64 seed = made_seed();
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        u32 dist[100], other[100];
        made_at_random(&m, &seed, 90);
        opened_begin(&o, &m);
        without_rows(&o);
        u64 *from = opened_set(&o), *out = opened_set(&o);
        u32 a = 1 + made_random(&seed, m.blocks), b = 1 + made_random(&seed, m.blocks);
        struct graph_ask ask = {.include = made_include(&seed)};
        graph_set_add(from, (block_id){a});
        graph_set_add(from, (block_id){b});
        ANSWERED(graph_closure(&o.g, &ask, from, out, &e));
        made_distances(&m, ask.include, a, 0, dist);
        made_distances(&m, ask.include, b, 0, other);
        for (u32 i = 1; i <= m.blocks; i++)
            assert_int_equal(graph_set_has(out, (block_id){i}), dist[i] || other[i]);
        free(from);
        free(out);
        opened_end(&o);
        made_end(&m);
    }
}

static void each_class_holds_only_when_included(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    u64 reached;
    /* 1 strongly, 2 by an interior pointer, 3 from the unused tail of 1, 4 by a dead stack slot,
     * 5 by nobody, 6 and 7 by one another. */
    made_begin(&m, 7);
    made_root(&m, SNAPSHOT_ROOT_REGISTER, 1);
    made_into(&m, 1, 2, 8);
    made_ref(&m, 1, 3);
    m.used[1] = 1;
    made_root(&m, SNAPSHOT_ROOT_DEAD_STACK, 4);
    made_ref(&m, 5, 1);
    made_ref(&m, 6, 7);
    made_ref(&m, 7, 6);
    opened_begin(&o, &m);
    for (u32 include = 0; include <= GRAPH_ANY; include++) {
        struct graph_ask ask = {.include = include};
        ANSWERED(graph_reach(&o.g, &ask, &reached, &e));
        assert_int_equal(reached, 1 | (include & GRAPH_INTERIOR ? 2 : 0) |
                                      (include & GRAPH_TAIL ? 4 : 0) |
                                      (include & GRAPH_WEAK_ROOT ? 8 : 0));
    }
    struct graph_ask stacks = {.include = GRAPH_ANY, .root_kinds = 1 << SNAPSHOT_ROOT_DEAD_STACK};
    ANSWERED(graph_reach(&o.g, &stacks, &reached, &e));
    assert_int_equal(reached, 8);
    opened_end(&o);
    made_end(&m);
}

static void a_list_and_a_star_of_a_million(void **state)
{
    (void)state;
    for (u32 star = 0; star < 2; star++) {
        struct made m;
        struct opened o;
        struct graph_ask ask = {0};
        made_begin(&m, LONG);
        made_root(&m, SNAPSHOT_ROOT_DATA, 1);
        for (u32 b = 2; b <= LONG; b++)
            made_ref(&m, star ? 1 : b - 1, b);
        opened_begin(&o, &m);
        u64 *out = opened_set(&o);
        ANSWERED(graph_unreachable(&o.g, &ask, out, &e));
        for (u32 i = 0; i < o.words; i++)
            assert_int_equal(out[i], 0);
        free(out);
        opened_end(&o);
        made_end(&m);
    }
}

/* Blocks of made heaps lie one behind another; a heap with a block less has other addresses after
 * it. */
static void only_the_same_block_confirms(void **state)
{
    (void)state;
    struct made m, other;
    struct snapshot now, older;
    made_begin(&m, 5);
    made_begin(&other, 4);
    other.words[3] = 4; /* block 4 begins further up than now */
    made_open(&m, &now);
    made_open(&other, &older);
    assert_int_equal(now.block_addr[2], older.block_addr[2]);
    assert_int_not_equal(now.block_addr[3], older.block_addr[3]);
    ((u32 *)(uintptr_t)now.block_birth)[0]++; /* another block at the address of 1 */

    u64 set = 0x1f, older_set = 0xf;
    graph_confirm(&now, &set, &older, &older_set);
    assert_int_equal(set, 6);
    older_set = 4;
    graph_confirm(&now, &set, &older, &older_set);
    assert_int_equal(set, 4);
    snapshot_close(&now);
    snapshot_close(&older);
    made_end(&m);
    made_end(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reach_is_what_repeated_looking_finds),
        cmocka_unit_test(closures_are_what_repeated_looking_finds),
        cmocka_unit_test(each_class_holds_only_when_included),
        cmocka_unit_test(a_list_and_a_star_of_a_million),
        cmocka_unit_test(only_the_same_block_confirms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
