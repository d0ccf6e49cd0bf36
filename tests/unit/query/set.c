/* SPDX-License-Identifier: MIT
 *
 * Tests of sets against a naive oracle (an array of bools), and of filters and identity.
 */
#include <math.h>

#include "query.h"

enum { BLOCKS = 1003 };

static struct world w;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&w);
    return 0;
}

static void random_set(struct query_set *s, bool *oracle, u64 *random, u32 density)
{
    for (u32 i = 0; i < BLOCKS; i++) {
        oracle[i] = test_random(random) % 100 < density;
        if (oracle[i])
            query_set_add(s, (block_id){i + 1});
    }
}

static void same(const struct query_set *s, const bool *oracle)
{
    u32 count = 0;
    u64 bytes = 0;
    block_id b = {0}, next = {0};
    for (u32 i = 0; i < BLOCKS; i++) {
        assert_int_equal(query_set_has(s, (block_id){i + 1}), oracle[i]);
        if (oracle[i]) {
            next = query_set_next(s, next);
            assert_int_equal(next.v, i + 1);
            bytes += w.blocks[i].size;
            count++;
        }
    }
    assert_int_equal(query_set_next(s, next).v, 0);
    assert_int_equal(query_set_blocks(s), count);
    assert_int_equal(query_set_sum(s).count, count);
    assert_int_equal(query_set_sum(s).bytes, bytes);
    u32 last = 0, each = 0;
    QUERY_EACH (s, b) {
        assert_true(b.v > last);
        last = b.v;
        each++;
    }
    assert_int_equal(each, count);
}

static void algebra_agrees_with_the_oracle(void **state)
{
    (void)state;
    static bool a[BLOCKS], b[BLOCKS], want[BLOCKS];
    u64 random = test_seed();
    for (u32 i = 0; i < BLOCKS; i++)
        world_block(&w, 0x1000 + 64 * i, i * 7 % 500, 0);
    struct opened o;
    opened_begin(&o, &w);
    for (u32 round = 0; round < 50; round++) {
        struct query_set x = opened_empty(&o), y = opened_empty(&o);
        random_set(&x, a, &random, round * 2);
        random_set(&y, b, &random, (u32)(test_random(&random) % 101));
        same(&x, a);
        for (u32 op = QUERY_OR; op <= QUERY_XOR; op++) {
            struct query_set z = opened_empty(&o);
            query_set_combine(&z, (enum query_operation)op, &x, &y);
            for (u32 i = 0; i < BLOCKS; i++)
                want[i] = op == QUERY_OR      ? a[i] || b[i]
                          : op == QUERY_AND   ? a[i] && b[i]
                          : op == QUERY_MINUS ? a[i] && !b[i]
                                              : a[i] != b[i];
            same(&z, want);
        }
        bool equal = true, within = true;
        for (u32 i = 0; i < BLOCKS; i++) {
            equal = equal && a[i] == b[i];
            within = within && (!a[i] || b[i]);
        }
        assert_int_equal(query_set_equal(&x, &y), equal);
        assert_int_equal(query_set_within(&x, &y), within);
        assert_true(query_set_equal(&x, &x) && query_set_within(&x, &x));
        struct query_set all = opened_all(&o), rest = opened_empty(&o);
        query_set_combine(&rest, QUERY_MINUS, &all, &x);
        for (u32 i = 0; i < BLOCKS; i++)
            want[i] = !a[i];
        same(&rest, want);
        assert_true(query_set_within(&x, &all));
    }
    opened_end(&o);
}

/* The last word may be full, nearly empty, or not there at all. */
static void edges_of_words(void **state)
{
    (void)state;
    static const u32 sizes[] = {0, 1, 63, 64, 65, 128};
    for (size_t k = 0; k < COUNT_OF(sizes); k++) {
        struct opened o;
        w.block_count = 0;
        for (u32 i = 0; i < sizes[k]; i++)
            world_block(&w, 0x1000 + 16 * i, 8, 0);
        opened_begin(&o, &w);
        struct query_set all = opened_all(&o), none = opened_empty(&o);
        assert_int_equal(query_set_blocks(&all), sizes[k]);
        assert_int_equal(query_set_next(&all, (block_id){sizes[k]}).v, 0);
        assert_int_equal(query_set_equal(&all, &none), sizes[k] == 0);
        assert_true(query_set_within(&none, &all));
        opened_end(&o);
    }
}

static void filters_by_numbers(void **state)
{
    (void)state;
    u32 stack = world_calls(&w, "main", NULL);
    for (u32 i = 0; i < 20; i++)
        world_block(&w, 0x1000 + 64 * i, i, stack)->birth = i;
    struct opened o;
    opened_begin(&o, &w);
    struct query_set all = opened_all(&o), out = opened_empty(&o);
    struct query_filter f = {.max_bytes = 15, .min_bytes = 5, .max_age_ns = UINT64_MAX};
    query_set_filter(&out, &all, &f);
    assert_int_equal(query_set_blocks(&out), 11);
    /* epoch i is 20 - i seconds old: 5 to 15 bytes and at least 10 s old are blocks 5 to 10 */
    out = opened_empty(&o);
    f.min_age_ns = 10000000000;
    query_set_filter(&out, &all, &f);
    assert_int_equal(query_set_blocks(&out), 6);
    out = opened_empty(&o);
    f.nothing = true;
    query_set_filter(&out, &all, &f);
    assert_int_equal(query_set_blocks(&out), 0);
    opened_end(&o);
}

static void identity_is_address_and_birth(void **state)
{
    (void)state;
    struct opened before, after;
    world_block(&w, 0x1000, 8, 0)->birth = 1; /* stays */
    world_block(&w, 0x2000, 8, 0)->birth = 1; /* is freed, its address used again */
    world_block(&w, 0x3000, 8, 0)->birth = 1; /* goes */
    opened_begin(&before, &w);
    w.block_count = 0;
    world_block(&w, 0x0800, 8, 0)->birth = 2;
    world_block(&w, 0x1000, 8, 0)->birth = 1;
    world_block(&w, 0x2000, 8, 0)->birth = 2;
    world_block(&w, 0x4000, 8, 0)->birth = 2;
    opened_begin(&after, &w);
    struct query_set now = opened_all(&after), fresh = opened_empty(&after);
    struct query_set then = opened_all(&before), gone = opened_empty(&before);
    query_set_absent(&fresh, &now, &before.v);
    query_set_absent(&gone, &then, &after.v);
    assert_int_equal(fresh.bits[0], 0xd); /* blocks 1, 3, 4 */
    assert_int_equal(gone.bits[0], 0x6);  /* blocks 2, 3 */
    opened_end(&before);
    opened_end(&after);
}

static void samples_stand_for_more(void **state)
{
    (void)state;
    w.sample_bytes = 1024;
    world_block(&w, 0x1000, 16, 0);
    world_block(&w, 0x2000, 0, 0);
    world_block(&w, 0x3000, 1 << 20, 0);
    struct opened o;
    opened_begin(&o, &w);
    double small = 1 / (1 - exp(-16 / 1024.)), tiny = 1 / (1 - exp(-1 / 1024.));
    assert_true(fabs(query_weight(&o.v, 16) - small) < 1e-6);
    assert_true(fabs(query_weight(&o.v, 1 << 20) - 1) < 1e-9);
    struct query_set all = opened_all(&o);
    assert_int_equal(query_set_sum(&all).count, (u64)(small + tiny + 1 + 0.5));
    assert_int_equal(query_set_sum(&all).bytes, (u64)(16 * small + (1 << 20) + 0.5));
    assert_int_equal(query_set_blocks(&all), 3);
    opened_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(algebra_agrees_with_the_oracle, begin, end),
        cmocka_unit_test_setup_teardown(edges_of_words, begin, end),
        cmocka_unit_test_setup_teardown(filters_by_numbers, begin, end),
        cmocka_unit_test_setup_teardown(identity_is_address_and_birth, begin, end),
        cmocka_unit_test_setup_teardown(samples_stand_for_more, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
