/* SPDX-License-Identifier: MIT
 *
 * Tests of what is retained against reaching without: what a block retains is what roots reach, but
 * not without the block.
 */
#include "made.h"

static void a_block_retains_what_is_not_reached_without_it(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 more = 0;
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        struct graph_dominators d;
        u32 dist[60], without[60];
        made_at_random(&m, &seed, 50);
        opened_begin(&o, &m);
        u32 include = made_include(&seed);
        u64 *out = opened_set(&o), *set = opened_set(&o), *of_set = opened_set(&o), total = 0;
        ANSWERED(graph_dominators(&o.g, include, &d, &e));
        made_distances(&m, include, 0, 0, dist);
        for (u32 b = 1; b <= m.blocks; b++) {
            u64 bytes = 0;
            made_distances(&m, include, 0, b, without);
            graph_retained_block(&o.g, &d, (block_id){b}, out);
            for (u32 i = 1; i <= m.blocks; i++) {
                bool goes = dist[b] && dist[i] && !without[i];
                assert_int_equal(graph_set_has(out, (block_id){i}), goes);
                bytes += goes ? made_bytes(&m, i) : 0;
                more += goes && i != b;
            }
            assert_int_equal(graph_retained_bytes(&d, (block_id){b}), bytes);
            total += dist[b] ? made_bytes(&m, b) : 0;

            memset(set, 0, o.words * sizeof *set);
            graph_set_add(set, (block_id){b});
            ANSWERED(graph_retained_set(&o.g, include, set, of_set, &e));
            if (dist[b])
                assert_memory_equal(of_set, out, o.words * sizeof *out);
        }
        assert_int_equal(d.at[0].bytes, total);
        graph_dominators_free(&o.g, &d);
        free(out);
        free(set);
        free(of_set);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(more > 1000);
}

static void a_set_retains_what_its_blocks_hold_together(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    u64 out, set = 6; /* 2 and 3 both hold 4; 5 holds 6, and nobody holds 5 */
    made_begin(&m, 7);
    made_root(&m, SNAPSHOT_ROOT_DATA, 1);
    made_ref(&m, 1, 2);
    made_ref(&m, 1, 3);
    made_ref(&m, 2, 4);
    made_ref(&m, 3, 4);
    made_ref(&m, 4, 1);
    made_ref(&m, 5, 6);
    made_ref(&m, 5, 1);
    opened_begin(&o, &m);
    ANSWERED(graph_retained_set(&o.g, GRAPH_STRONG, &set, &out, &e));
    assert_int_equal(out, 2 + 4 + 8);
    set = 2;
    ANSWERED(graph_retained_set(&o.g, GRAPH_STRONG, &set, &out, &e));
    assert_int_equal(out, 2);
    set = 16;
    ANSWERED(graph_retained_set(&o.g, GRAPH_STRONG, &set, &out, &e));
    assert_int_equal(out, 16 + 32);
    opened_end(&o);
    made_end(&m);
}

static void the_largest_come_first(void **state)
{
    (void)state;
    u64 seed = made_seed();
    for (u32 round = 0; round < 100; round++) {
        struct made m;
        struct opened o;
        struct graph_dominators d;
        block_id top[70];
        made_at_random(&m, &seed, 60);
        opened_begin(&o, &m);
        ANSWERED(graph_dominators(&o.g, GRAPH_ANY, &d, &e));
        u32 room = made_random(&seed, 70);
        u32 count = graph_retained_largest(&d, top, room);
        assert_int_equal(count, d.count < room ? d.count : room);
        for (u32 b = 1; b <= m.blocks; b++) {
            u64 bytes = graph_retained_bytes(&d, (block_id){b});
            u32 above = 0; /* blocks that must stand before it */
            for (u32 i = 1; i <= m.blocks; i++) {
                u64 other = graph_retained_bytes(&d, (block_id){i});
                above += other > bytes || (other == bytes && i < b);
            }
            if (bytes && above < count)
                assert_int_equal(top[above].v, b);
        }
        graph_dominators_free(&o.g, &d);
        opened_end(&o);
        made_end(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_retains_what_is_not_reached_without_it),
        cmocka_unit_test(a_set_retains_what_its_blocks_hold_together),
        cmocka_unit_test(the_largest_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
