/* SPDX-License-Identifier: MIT
 *
 * Tests of a whole listing: the books, the notes, and what happens when room is short.
 */
#include <unistd.h>

#include "fake_track.h"

static void an_empty_recorder_gives_an_empty_snapshot(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.allocator = "";
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.block_count, 0);
    assert_int_equal(s.stack_count, 0);
    assert_null(s.block_vtable);
    assert_string_equal(s.strings + s.meta->notes, "");
    snapshot_close(&s);
}

static void the_books_are_those_of_the_recorder(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.allocator = "/usr/lib/libjemalloc.so.2";
    fake.sample_bytes = 524288;
    fake.epoch = 3;
    fake.counters = (struct track_counters){.live_blocks = 5,
                                            .live_bytes = 6,
                                            .peak_blocks = 7,
                                            .peak_bytes = 8,
                                            .allocations = 9,
                                            .frees = 10,
                                            .untracked_frees = 11,
                                            .lost = 12,
                                            .cut_stacks = 13,
                                            .own_bytes = 14};
    struct snapshot s;
    u64 before = (u64)time(NULL);
    fake_list(&s);
    const struct snapshot_meta *m = s.meta;
    assert_int_equal(m->live_blocks, 5);
    assert_int_equal(m->live_bytes, 6);
    assert_int_equal(m->peak_blocks, 7);
    assert_int_equal(m->peak_bytes, 8);
    assert_int_equal(m->allocations, 9);
    assert_int_equal(m->frees, 10);
    assert_int_equal(m->untracked_frees, 11);
    assert_int_equal(m->lost, 12);
    assert_int_equal(m->cut_stacks, 13);
    assert_int_equal(m->overhead_bytes, 1014);
    assert_int_equal(m->allocator_bytes, 77);
    assert_int_equal(m->epoch, 3);
    assert_int_equal(m->pid, getpid());
    assert_int_equal(m->flags, SNAPSHOT_FLAG_SAMPLED);
    assert_int_equal(m->sample_bytes, 524288);
    assert_in_range(m->realtime_ns / 1000000000, before, before + 60);
    assert_true(m->build_ns > 0 && m->build_ns < 60000000000);
    assert_string_equal(s.strings + m->allocator, "/usr/lib/libjemalloc.so.2");
    assert_string_equal(s.strings + m->notes, "12 blocks could not be recorded\n");
    snapshot_close(&s);
}

static void short_room_is_an_error(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.allocator = "";
    struct snapshot_writer w;
    struct snapshot s;
    struct err e = {0};
    struct freeze_request r = {0};
    assert_true(snapshot_writer_begin(&w, 1 << 20));
    assert_false(freeze_list(&w, &r, &e));
    assert_int_equal(e.status, STATUS_LIMIT);
    assert_non_null(strstr(e.text, "1048576"));
    assert_false(snapshot_writer_finish(&w, &s, &e));
}

static void more_blocks_than_room_are_cut_with_a_note(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.allocator = "";
    fake.block_count = 1500000; /* the counter says one: the room is a million and a little more */
    fake.counters.live_blocks = 1;
    fake.blocks = calloc(fake.block_count, sizeof *fake.blocks);
    assert_non_null(fake.blocks);
    for (u32 i = 0; i < fake.block_count; i++)
        fake.blocks[i] = (struct track_block){.addr = 4096 + i * 16ul, .size = 1};
    struct snapshot s;
    fake_list(&s);
    assert_in_range(s.block_count, 1 << 20, 1 << 21);
    char expected[100];
    snprintf(expected, sizeof expected, "only the first %u blocks are listed\n", s.block_count);
    assert_string_equal(s.strings + s.meta->notes, expected);
    snapshot_close(&s);
    free(fake.blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_recorder_gives_an_empty_snapshot),
        cmocka_unit_test(the_books_are_those_of_the_recorder),
        cmocka_unit_test(short_room_is_an_error),
        cmocka_unit_test(more_blocks_than_room_are_cut_with_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
