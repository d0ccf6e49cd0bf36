/* SPDX-License-Identifier: MIT
 *
 * Tests of estimates: what a sample says of a whole, and of what changed, is as near to the truth
 * as it says. The samples are drawn here, with libm's exponential.
 */
#include <math.h>

#include "query.h"

enum { SEED = 20261121, INTERVAL = 4096, KEPT = 1500, GONE = 500, NEW = 900, ROUNDS = 400 };

static struct world w, v;
static struct opened now, then;
static u64 state;

static int begin(void **unused)
{
    (void)unused;
    state = SEED;
    world_begin(&w);
    world_begin(&v);
    w.sample_bytes = v.sample_bytes = INTERVAL;
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    world_end(&w);
    world_end(&v);
    return 0;
}

static bool drawn(u64 size)
{
    double uniform = (double)(test_random(&state) >> 11) * 0x1p-53;
    return uniform < -expm1(-(double)size / INTERVAL);
}

static u64 size_of(u32 i)
{
    return i % 50 ? 64 + i * 37 % 400 : 5000 + i * 7 % 9000;
}

static bool holds(double estimate, double truth, u64 error)
{
    return fabs(estimate - truth) <= (double)error + 1;
}

static double square(u64 n)
{
    return (double)n * (double)n;
}

static void weights(void **unused)
{
    (void)unused;
    world_block(&w, 0x1000, 64, 0);
    opened_begin(&now, &w);
    struct query_set all = opened_all(&now);
    struct query_sum sum = query_set_sum(&all), same = query_blocks_sum(&now.s);
    double p = -expm1(-64. / INTERVAL);
    assert_int_equal(sum.count, (u64)(1 / p + 0.5));
    assert_int_equal(sum.bytes, (u64)(64 / p + 0.5));
    struct query_part part = query_part_of(&now.v, (block_id){1});
    assert_true(fabs(part.count_variance - (1 - p) / p / p) < 1e-6);
    assert_true(fabs(part.bytes_variance - 64 * 64 * (1 - p) / p / p) < 1);
    assert_int_equal(same.bytes, sum.bytes);
    assert_int_equal(same.bytes_error, sum.bytes_error);
    /* of one sample, the error's upper end is that of a Poisson count of one: 1 + 4.67 */
    assert_in_range(sum.bytes_error, 45 * sum.bytes / 10, 48 * sum.bytes / 10);
    assert_int_equal(query_error(100, 1e9), 20);
    assert_int_equal(query_error(0, 0), 0);
    /* of none, it is what would be missed once in forty-six times */
    struct query_set none = opened_empty(&now);
    assert_int_equal(query_set_sum(&none).bytes, 0);
    assert_in_range(query_set_sum(&none).bytes_error, 384 * INTERVAL / 100, 385 * INTERVAL / 100);
    assert_in_range(query_set_sum(&none).count_error, 24 * INTERVAL / 100, 25 * INTERVAL / 100);
    opened_end(&now);
    w.sample_bytes = 0;
    opened_begin(&now, &w);
    all = opened_all(&now);
    sum = query_set_sum(&all);
    assert_true(sum.count == 1 && sum.count_error == 0 && sum.bytes_error == 0);
    opened_end(&now);
}

struct truth {
    double count, bytes;
};

static struct truth add(struct world *to, struct world *also, u32 first, u32 n, u32 birth,
                        const u32 *stacks)
{
    struct truth t = {n, 0};
    for (u32 i = first; i < first + n; i++) {
        t.bytes += (double)size_of(i);
        if (!drawn(size_of(i)))
            continue;
        world_block(to, 0x10000 + 0x10000ull * i, size_of(i), stacks[0])->birth = birth;
        if (also)
            world_block(also, 0x10000 + 0x10000ull * i, size_of(i), stacks[1])->birth = birth;
    }
    return t;
}

/* Between opening `then` and `now` and ending them: their rows by site, and the difference. */
static void compare(struct query_partition *a, struct query_partition *b, struct query_delta *d)
{
    const struct types_memory *m = &now.memory.memory, *n = &then.memory.memory;
    struct query_set now_all = opened_all(&now), then_all = opened_all(&then);
    query_partition_build(a, &now_all, query_grouping(&now.v, QUERY_KEY_SITE, m), m, m);
    query_partition_build(b, &then_all, query_grouping(&then.v, QUERY_KEY_SITE, n), n, n);
    query_delta_build(d, a, b, m, m);
}

/* Of many samples of a heap that changes: how often do the intervals of totals, and of the
 * difference, hold the truth? What stayed is no doubt in the difference, so its interval is that of
 * what came and went. */
static void intervals_hold_what_they_say(void **unused)
{
    (void)unused;
    u32 held = 0, delta_held = 0, count_held = 0;
    double ratio = 0;
    for (u32 round = 0; round < ROUNDS; round++) {
        w.block_count = v.block_count = 0;
        u32 stacks[2] = {world_calls(&v, "site", NULL), world_calls(&w, "site", NULL)};
        struct truth kept = add(&v, &w, 0, KEPT, 1, stacks);
        struct truth gone = add(&v, NULL, KEPT, GONE, 1, stacks);
        struct truth new = add(&w, NULL, KEPT + GONE, NEW, 2, &stacks[1]);
        opened_begin(&then, &v);
        opened_begin(&now, &w);
        struct query_partition a, b;
        struct query_delta d;
        compare(&a, &b, &d);
        assert_int_equal(d.row_count, 1);
        held += holds((double)a.rows[0].bytes, kept.bytes + new.bytes, a.rows[0].bytes_error);
        delta_held += holds((double)d.rows[0].bytes_delta, new.bytes - gone.bytes,
                            d.rows[0].bytes_delta_error);
        count_held += holds((double)d.rows[0].count_delta, new.count - gone.count,
                            d.rows[0].count_delta_error);
        ratio += square(d.rows[0].bytes_delta_error) /
                 (square(a.rows[0].bytes_error) + square(b.rows[0].bytes_error));
        opened_end(&now);
        opened_end(&then);
    }
    printf("seed %d: held %u, of differences %u bytes and %u counts, of %d\n", SEED, held,
           delta_held, count_held, ROUNDS);
    assert_in_range(held, ROUNDS * 91 / 100, ROUNDS * 99 / 100);
    assert_in_range(delta_held, ROUNDS * 91 / 100, ROUNDS * 99 / 100);
    assert_in_range(count_held, ROUNDS * 91 / 100, ROUNDS * 99 / 100);
    double wanted = (double)(GONE + NEW) / (2 * KEPT + GONE + NEW);
    assert_true(fabs(ratio / ROUNDS - wanted) < 0.03);
}

/* Of two processes nothing is shared, whatever the addresses: both sides are in doubt. */
static void other_processes_share_nothing(void **unused)
{
    (void)unused;
    u32 stacks[2] = {world_calls(&v, "site", NULL), world_calls(&w, "site", NULL)};
    world_block(&w, 0x8000, 100, stacks[1]);
    add(&v, &w, 0, KEPT, 1, stacks);
    w.process_start = v.process_start + 1;
    opened_begin(&then, &v);
    opened_begin(&now, &w);
    struct query_partition a, b;
    struct query_delta d;
    compare(&a, &b, &d);
    double both = square(a.rows[0].bytes_error) + square(b.rows[0].bytes_error);
    assert_true(fabs(square(d.rows[0].bytes_delta_error) - both) < 0.1 * both);
    opened_end(&now);
    opened_end(&then);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weights, begin, end),
        cmocka_unit_test_setup_teardown(intervals_hold_what_they_say, begin, end),
        cmocka_unit_test_setup_teardown(other_processes_share_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
