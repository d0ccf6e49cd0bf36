/* SPDX-License-Identifier: MIT
 *
 * Tests of picking a few blocks, against sorting all of them.
 */
#include "opened.h"

enum { BLOCKS = 700 };

static int by_size(const void *left, const void *right)
{
    const block_id *a = left, *b = right;
    u64 x = w.blocks[a->v - 1].size, y = w.blocks[b->v - 1].size;
    return x != y ? (x > y ? -1 : 1) : (a->v < b->v ? -1 : 1);
}

static int by_birth(const void *left, const void *right)
{
    const block_id *a = left, *b = right;
    u32 x = w.blocks[a->v - 1].birth, y = w.blocks[b->v - 1].birth;
    return x != y ? (x < y ? -1 : 1) : (a->v < b->v ? -1 : 1);
}

static void the_first_of_all_sorted(void **state)
{
    (void)state;
    u64 random = test_seed();
    block_id sorted[BLOCKS], picked[BLOCKS];
    for (u32 i = 0; i < BLOCKS; i++)
        world_block(&w, 0x1000 + 1024 * i, test_random(&random) % 90, 0)->birth =
            (u32)test_random(&random) % WORLD_EPOCHS;
    opened_begin(&o, &w);
    struct query_set set = opened_empty(&o);
    u32 count = 0;
    for (u32 i = 1; i <= BLOCKS; i++) {
        if (test_random(&random) % 2) {
            query_set_add(&set, (block_id){i});
            sorted[count++].v = i;
        }
    }
    for (u32 pass = 0; pass < 2; pass++) {
        qsort(sorted, count, sizeof *sorted, pass ? by_birth : by_size);
        for (u32 n = 0; n <= BLOCKS; n = n * 2 + 1) {
            u32 got = (pass ? query_pick_oldest : query_pick_largest)(&set, picked, n);
            assert_int_equal(got, n < count ? n : count);
            for (u32 i = 0; i < got; i++)
                assert_int_equal(picked[i].v, sorted[i].v);
        }
    }
}

static void samples_are_fair_and_repeatable(void **state)
{
    (void)state;
    enum { ROUNDS = 4000, PICKED = 10, SET = 100 };
    static u32 hits[BLOCKS + 1];
    block_id a[BLOCKS], b[BLOCKS];
    for (u32 i = 0; i < BLOCKS; i++)
        world_block(&w, 0x1000 + 64 * i, 8, 0);
    opened_begin(&o, &w);
    struct query_set set = opened_empty(&o);
    for (u32 i = 1; i <= SET; i++)
        query_set_add(&set, (block_id){i * 7});
    for (u32 seed = 1; seed <= ROUNDS; seed++) {
        assert_int_equal(query_pick_sample(&set, a, PICKED, seed), PICKED);
        query_pick_sample(&set, b, PICKED, seed);
        for (u32 i = 0; i < PICKED; i++) {
            assert_int_equal(a[i].v, b[i].v);
            assert_true(!i || a[i - 1].v < a[i].v);
            hits[a[i].v]++;
        }
    }
    /* 400 hits are expected, with a deviation of 19; the seeds are fixed, so this cannot flicker */
    for (u32 i = 1; i <= BLOCKS; i++) {
        if (i % 7 || i > SET * 7)
            assert_int_equal(hits[i], 0);
        else
            assert_in_range(hits[i], 300, 500);
    }
    assert_int_equal(query_pick_sample(&set, a, BLOCKS, 3), SET);
    assert_int_equal(query_pick_sample(&set, a, 0, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        opened_test(the_first_of_all_sorted),
        opened_test(samples_are_fair_and_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
