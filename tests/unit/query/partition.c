/* SPDX-License-Identifier: MIT
 *
 * Tests of partitions against a naive oracle, of their order, and of their speed.
 */
#include "../busy.h"
#include "opened.h"

static struct query_partition by(const struct query_set *set, enum query_key key)
{
    struct query_partition p;
    const struct types_memory *m = &o.memory.memory;
    query_partition_build(&p, set, query_grouping(&o.v, key, m), m, m);
    return p;
}

static void some_program(u32 blocks, u64 *random)
{
    u32 stacks[12];
    char *names[] = {"alpha", "beta", "gamma", "delta", "main", "start"};
    for (u32 i = 0; i < COUNT_OF(stacks); i++)
        stacks[i] = world_calls(&w, "main", names[i % COUNT_OF(names)], names[i / 3], NULL);
    u32 vtables[] = {0, world_vtable(&w, "3one", 0), world_vtable(&w, "3two", 0)};
    world_thread(&w, 1, 10, "a");
    world_thread(&w, 2, 11, "b");
    for (u32 i = 0; i < blocks; i++) {
        u64 r = test_random(random);
        struct world_block *b =
            world_block(&w, 0x10000 + 1024ull * i, r % 700, r >> 20 & 1 ? stacks[r % 12] : 0);
        b->birth = (u32)(r >> 24) % WORLD_EPOCHS;
        b->thread = (u16)((r >> 40) % 3);
        b->vtable = vtables[(r >> 50) % 3];
    }
}

static void rows_agree_with_the_oracle(void **state)
{
    (void)state;
    u64 random = test_seed();
    some_program(2000, &random);
    opened_begin(&o, &w);
    struct query_set set = opened_empty(&o);
    block_id b = {0};
    for (u32 i = 1; i <= 2000; i++)
        if (test_random(&random) % 3)
            query_set_add(&set, (block_id){i});
    for (u32 key = 0; key < QUERY_KEY_REFERRERS; key++) {
        struct query_partition p = by(&set, (enum query_key)key);
        query_partition_members(&p, &o.memory.memory, &o.memory.memory);
        u64 count = 0, bytes = 0;
        for (u32 i = 0; i < p.row_count; i++) {
            const struct query_row *r = &p.rows[i];
            u64 want_count = 0, want_bytes = 0;
            QUERY_EACH (&set, b) {
                if (query_group_of(&o.v, &p.by, b) == r->group) {
                    assert_int_equal(p.members[r->first + want_count], b.v);
                    want_count++;
                    want_bytes += w.blocks[b.v - 1].size;
                }
            }
            assert_true(r->count > 0);
            assert_int_equal(r->count, want_count);
            assert_int_equal(r->blocks, want_count);
            assert_int_equal(r->bytes, want_bytes);
            if (i)
                assert_true(r[-1].bytes > r->bytes ||
                            (r[-1].bytes == r->bytes && r[-1].count >= r->count));
            count += r->count;
            bytes += r->bytes;
        }
        assert_int_equal(count, query_set_sum(&set).count);
        assert_int_equal(bytes, query_set_sum(&set).bytes);
    }
}

static void ties_are_in_order_of_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"c", "a", "b"};
    for (u32 i = 0; i < 3; i++)
        world_block(&w, 0x1000 + 64 * i, 10, world_calls(&w, names[i], NULL));
    opened_begin(&o, &w);
    struct query_set all = opened_all(&o);
    struct query_partition p = by(&all, QUERY_KEY_SITE);
    assert_int_equal(p.row_count, 3);
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(query_partition_find(&p, (const char *[]){"a", "b", "c"}[i]), i);
    assert_int_equal(query_partition_find(&p, "d"), 3);
}

static void an_empty_set_has_no_rows(void **state)
{
    (void)state;
    opened_begin(&o, &w);
    struct query_set all = opened_all(&o);
    for (u32 key = 0; key < QUERY_KEY_REFERRERS; key++) {
        struct query_partition p = by(&all, (enum query_key)key);
        assert_int_equal(p.row_count, 0);
        query_partition_members(&p, &o.memory.memory, &o.memory.memory);
        assert_null(p.members);
    }
}

/* A thousand times the same small sizes: the estimate must come near the truth. */
static void sampled_rows_are_estimates(void **state)
{
    (void)state;
    enum { TRUE_BLOCKS = 200000, SIZE = 64, SAMPLE = 4096 };
    u64 random = test_seed();
    u32 stack = world_calls(&w, "main", NULL);
    w.sample_bytes = SAMPLE;
    for (u32 i = 0; i < TRUE_BLOCKS; i++)
        if ((double)(test_random(&random) >> 11) / 9007199254740992. < 1 - 0.9844964370054085)
            world_block(&w, 0x10000 + 64ull * i, SIZE, stack); /* 1 - exp(-64 / 4096) */
    opened_begin(&o, &w);
    struct query_set all = opened_all(&o);
    struct query_partition p = by(&all, QUERY_KEY_SITE);
    assert_int_equal(p.row_count, 1);
    /* 3100 samples: 10 % is more than five standard deviations */
    assert_in_range(p.rows[0].count, TRUE_BLOCKS * 9 / 10, TRUE_BLOCKS * 11 / 10);
    assert_in_range(p.rows[0].bytes, TRUE_BLOCKS * 9ull / 10 * SIZE,
                    TRUE_BLOCKS * 11ull / 10 * SIZE);
}

/* Every key over a million blocks; the bound is generous for a sanitized build on a busy machine.
 */
static void a_million_blocks(void **state)
{
    (void)state;
    u64 random = 1;
    some_program(1000000, &random);
    opened_begin(&o, &w);
    struct query_set all = opened_all(&o);
    u64 start = busy_own_ns();
    for (u32 key = 0; key < QUERY_KEY_REFERRERS; key++) {
        struct query_partition p = by(&all, (enum query_key)key);
        assert_true(p.row_count > 0);
    }
    u64 ms = (busy_own_ns() - start) / 1000000;
    printf("%u keys over a million blocks: %llu ms\n", QUERY_KEY_REFERRERS, (unsigned long long)ms);
    assert_true(ms < 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        opened_test(rows_agree_with_the_oracle), opened_test(ties_are_in_order_of_keys),
        opened_test(an_empty_set_has_no_rows),   opened_test(sampled_rows_are_estimates),
        opened_test(a_million_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
