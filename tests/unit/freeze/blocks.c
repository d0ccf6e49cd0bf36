/* SPDX-License-Identifier: MIT
 *
 * Tests of the block columns: each block once, none from a later epoch, sizes of any number of
 * bits, ages by epoch.
 */
#include "fake_track.h"

static void lists_what_was_recorded(void **state)
{
    (void)state;
    fake_seed();
    fake.epoch = 10;
    fake.block_count = 10000;
    fake.blocks = calloc(fake.block_count, sizeof *fake.blocks);
    assert_non_null(fake.blocks);
    u64 addr = 0x10000;
    for (u32 i = 0; i < fake.block_count; i++) {
        addr += 1 + (u64)rand() % 100;
        fake.blocks[i] = (struct track_block){.addr = addr,
                                              .size = (u64)rand() % 1000,
                                              .birth = (u32)rand() % 13,
                                              .thread = (u32)rand() % 70000};
    }
    struct snapshot s;
    fake_list(&s);
    u32 at = 0;
    for (u32 i = 0; i < fake.block_count; i++) {
        const struct track_block *b = &fake.blocks[i];
        if (b->birth > fake.epoch)
            continue;
        assert_int_equal(s.block_addr[at], b->addr);
        assert_int_equal(s.block_size[at], b->size);
        assert_int_equal(s.block_birth[at], b->birth);
        assert_int_equal(s.block_thread[at], b->thread <= UINT16_MAX ? b->thread : 0);
        at++;
    }
    assert_int_equal(s.block_count, at);
    assert_true(at > 0 && at < fake.block_count);
    snapshot_close(&s);
    free(fake.blocks);
}

static void big_sizes_are_exact(void **state)
{
    (void)state;
    static const u64 sizes[] = {0xfffffffe, 0xffffffff, 0x100000000, 0x200000001, 5};
    struct track_block blocks[COUNT_OF(sizes)];
    for (u32 i = 0; i < COUNT_OF(sizes); i++)
        blocks[i] = (struct track_block){.addr = (i + 1) * 0x1000000000ul, .size = sizes[i]};
    fake.blocks = blocks;
    fake.block_count = COUNT_OF(sizes);
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.big_size_count, 3);
    for (u32 i = 0; i < COUNT_OF(sizes); i++)
        assert_int_equal(snapshot_block_bytes(&s, (block_id){i + 1}), sizes[i]);
    snapshot_close(&s);
}

static void an_address_listed_twice_is_written_once(void **state)
{
    (void)state;
    struct track_block blocks[] = {
        {.addr = 100, .size = 1}, {.addr = 100, .size = 2}, {.addr = 50}, {.addr = 200}};
    fake.blocks = blocks;
    fake.block_count = COUNT_OF(blocks);
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.block_count, 2);
    assert_int_equal(s.block_addr[0], 100);
    assert_int_equal(s.block_addr[1], 200);
    snapshot_close(&s);
}

static void ages_count_from_the_beginning_of_an_epoch(void **state)
{
    (void)state;
    struct track_block blocks[] = {{.addr = 100, .birth = 1}, {.addr = 200, .birth = 2}};
    fake.blocks = blocks;
    fake.block_count = COUNT_OF(blocks);
    fake.epoch = 3;
    u64 now = sys_monotonic_ns();
    fake.epoch_begin_ns[1] = now - 5000000000;
    fake.epoch_begin_ns[2] = now - 1000000000;
    fake.epoch_begin_ns[3] = UINT64_MAX; /* cannot be: the clock does not go backwards */
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.epoch_count, 4);
    assert_in_range(snapshot_block_age_ns(&s, (block_id){1}), 5000000000, 65000000000);
    assert_in_range(snapshot_block_age_ns(&s, (block_id){2}), 1000000000, 61000000000);
    assert_int_equal(s.epoch_age_ns[3], 0);
    snapshot_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_what_was_recorded),
        cmocka_unit_test(big_sizes_are_exact),
        cmocka_unit_test(an_address_listed_twice_is_written_once),
        cmocka_unit_test(ages_count_from_the_beginning_of_an_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
