/* SPDX-License-Identifier: MIT
 *
 * Tests of differences: between snapshots whose ids have nothing to do with each other.
 */
#include "query.h"

static struct world w, v;
static struct opened now, then;
static struct query_set now_all, then_all;
static struct query_partition now_rows, then_rows;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_begin(&v);
    return 0;
}

static int end(void **state)
{
    (void)state;
    opened_end(&now);
    opened_end(&then);
    world_end(&w);
    world_end(&v);
    return 0;
}

static struct query_delta difference(enum query_key key)
{
    const struct types_memory *m = &now.memory.memory, *n = &then.memory.memory;
    struct query_delta d;
    now_all = opened_all(&now);
    then_all = opened_all(&then);
    query_partition_build(&now_rows, &now_all, query_grouping(&now.v, key, m), m, m);
    query_partition_build(&then_rows, &then_all, query_grouping(&then.v, key, n), n, n);
    query_delta_build(&d, &now_rows, &then_rows, m, m);
    return d;
}

static const char *key_of(const struct query_delta *d, u32 i)
{
    const struct query_delta_row *r = &d->rows[i];
    return r->now != QUERY_NO_ROW ? now_rows.by.texts[now_rows.rows[r->now].group]
                                  : then_rows.by.texts[then_rows.rows[r->then].group];
}

static void row_is(const struct query_delta *d, u32 i, const char *key, u64 count, u64 bytes,
                   i64 count_delta, i64 bytes_delta)
{
    assert_string_equal(key_of(d, i), key);
    assert_int_equal(d->rows[i].count, count);
    assert_int_equal(d->rows[i].bytes, bytes);
    assert_int_equal(d->rows[i].count_delta, count_delta);
    assert_int_equal(d->rows[i].bytes_delta, bytes_delta);
}

static void both_sides_largest_growth_first(void **state)
{
    (void)state;
    u32 same = world_calls(&v, "same", NULL), gone = world_calls(&v, "gone", NULL);
    u32 grown = world_calls(&v, "grown", NULL), resized = world_calls(&v, "resized", NULL);
    world_block(&v, 0x1000, 10, same);
    world_block(&v, 0x2000, 70, gone);
    world_block(&v, 0x3000, 10, grown);
    world_block(&v, 0x4000, 20, resized);
    opened_begin(&then, &v);
    world_calls(&w, "nobody", NULL);
    resized = world_calls(&w, "resized", NULL);
    grown = world_calls(&w, "grown", NULL);
    u32 fresh = world_calls(&w, "fresh", NULL);
    same = world_calls(&w, "same", NULL);
    world_block(&w, 0x1000, 10, same);
    world_block(&w, 0x2000, 10, grown);
    world_block(&w, 0x3000, 10, grown);
    world_block(&w, 0x4000, 30, resized);
    world_block(&w, 0x5000, 10, fresh);
    opened_begin(&now, &w);
    struct query_delta d = difference(QUERY_KEY_SITE);
    assert_int_equal(d.row_count, 4);
    row_is(&d, 0, "fresh", 1, 10, 1, 10);
    row_is(&d, 1, "grown", 2, 20, 1, 10);
    row_is(&d, 2, "resized", 1, 30, 0, 10);
    row_is(&d, 3, "gone", 0, 0, -1, -70);
}

static void nothing_differs_from_itself(void **state)
{
    (void)state;
    u64 random = test_seed();
    u32 stacks[] = {0, world_calls(&w, "main", "f", NULL), world_calls(&w, "main", "g", NULL)};
    for (u32 i = 0; i < 500; i++)
        world_block(&w, 0x1000 + 1024 * i, test_random(&random) % 900, stacks[i % 3])->birth =
            i % WORLD_EPOCHS;
    opened_begin(&now, &w);
    opened_begin(&then, &w);
    for (u32 key = 0; key < QUERY_KEY_REFERRERS; key++)
        assert_int_equal(difference((enum query_key)key).row_count, 0);
}

static void stacks_meet_by_their_functions(void **state)
{
    (void)state;
    u32 a = world_calls(&v, "main", "f", "g", NULL);
    world_block(&v, 0x1000, 10, a);
    opened_begin(&then, &v);
    world_calls(&w, "x", "y", NULL);
    a = world_calls(&w, "main", "f", "g", NULL);
    u32 b = world_calls(&w, "main", "g", "f", NULL);
    world_block(&w, 0x1000, 10, a);
    world_block(&w, 0x2000, 10, a);
    world_block(&w, 0x3000, 10, b);
    opened_begin(&now, &w);
    struct query_delta d = difference(QUERY_KEY_STACK);
    assert_int_equal(d.row_count, 2);
    for (u32 i = 0; i < 2; i++) {
        assert_int_equal(d.rows[i].count_delta, 1);
        u32 group = now_rows.rows[d.rows[i].now].group;
        bool known = query_group_is(&now.v, &now_rows.by, group, "g < f < main");
        assert_int_equal(d.rows[i].then != QUERY_NO_ROW, known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_sides_largest_growth_first, begin, end),
        cmocka_unit_test_setup_teardown(nothing_differs_from_itself, begin, end),
        cmocka_unit_test_setup_teardown(stacks_meet_by_their_functions, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
