/* SPDX-License-Identifier: MIT
 *
 * Tests of the questions that an accepted snapshot answers.
 */
#include "sample.h"

static struct snapshot s;

static int open_sample(void **state)
{
    (void)state;
    sample_open(&s);
    return 0;
}

static int close_sample(void **state)
{
    (void)state;
    snapshot_close(&s);
    return 0;
}

static void sizes_beyond_32_bits(void **state)
{
    (void)state;
    assert_int_equal(snapshot_block_bytes(&s, (block_id){6}), 50);
    assert_int_equal(snapshot_block_bytes(&s, (block_id){7}), SAMPLE_BIG_BYTES);
    assert_int_equal(snapshot_block_bytes(&s, (block_id){SAMPLE_BLOCKS}), SAMPLE_BIG_BYTES);
}

static void ages_come_from_epochs(void **state)
{
    (void)state;
    assert_int_equal(snapshot_block_age_ns(&s, (block_id){1}), 4000000000ULL);
    assert_int_equal(snapshot_block_age_ns(&s, (block_id){4}), 1000000000ULL);
}

static void finds_the_block_that_holds_an_address(void **state)
{
    (void)state;
    for (u32 i = 0; i < SAMPLE_BLOCKS; i++) {
        u64 addr = s.block_addr[i];
        u64 bytes = snapshot_block_bytes(&s, (block_id){i + 1});
        assert_int_equal(snapshot_block_at(&s, addr).v, i + 1);
        if (bytes > 0)
            assert_int_equal(snapshot_block_at(&s, addr + bytes - 1).v, i + 1);
        assert_int_equal(snapshot_block_at(&s, addr + (bytes ? bytes : 1)).v, 0);
        assert_int_equal(snapshot_block_at(&s, addr - 1).v, 0);
    }
    assert_int_equal(snapshot_block_at(&s, 0).v, 0);
    assert_int_equal(snapshot_block_at(&s, UINT64_MAX).v, 0);
}

static void edges_say_from_where_to_where(void **state)
{
    (void)state;
    assert_int_equal(snapshot_edge_offset(&s, (block_id){3}, 0), 0);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){3}, 1), 8);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){7}, 2), 0);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){7}, 3), 0x5fffe * 8);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){SAMPLE_BLOCKS}, 4), 0x100000028);
    assert_int_equal(snapshot_edge_into(&s, 0), SNAPSHOT_INTO_FAR);
    assert_int_equal(snapshot_edge_into(&s, 1), 8);
    assert_int_equal(snapshot_edge_into(&s, 2), 0);
    assert_int_equal(snapshot_edge_into(&s, 3), 16);
    assert_int_equal(snapshot_edge_into(&s, 4), 0);
    assert_int_equal(snapshot_root_edge_address(&s, &s.root_edges[0]), 16 * 8);
    assert_int_equal(snapshot_root_edge_address(&s, &s.root_edges[1]), 0x4ff008);
    assert_int_equal(snapshot_root_edge_address(&s, &s.root_edges[2]), 0x4ff018);
}

static void threads_that_stood_and_their_frames(void **state)
{
    (void)state;
    const struct snapshot_standing *t = snapshot_standing_of(&s, 4711);
    assert_non_null(t);
    assert_ptr_equal(snapshot_call_at(&s, t, 0x7000), &s.calls[0]);
    assert_ptr_equal(snapshot_call_at(&s, t, 0x70ff), &s.calls[0]); /* the innermost of two */
    assert_ptr_equal(snapshot_call_at(&s, t, 0x7100), &s.calls[1]);
    assert_null(snapshot_call_at(&s, t, 0x7200));
    assert_null(snapshot_call_at(&s, t, 0x6fff));
    assert_null(snapshot_call_at(&s, snapshot_standing_of(&s, 4712), 0x7000));
    assert_null(snapshot_call_at(&s, snapshot_standing_of(&s, 4720), 0x9000)); /* how far? */
    assert_null(snapshot_standing_of(&s, 4713));
    assert_null(snapshot_call_at(&s, NULL, 0x7000));
}

static void kinds_of_roots(void **state)
{
    (void)state;
    assert_string_equal(snapshot_root_word(SNAPSHOT_ROOT_STACK), "stack");
    assert_string_equal(snapshot_root_word(SNAPSHOT_ROOT_LIMIT), "unknown");
    assert_false(snapshot_root_weak(SNAPSHOT_ROOT_STACK));
    assert_true(snapshot_root_weak(SNAPSHOT_ROOT_DEAD_STACK));
}

static void threads_by_number(void **state)
{
    (void)state;
    assert_int_equal(snapshot_thread_of(&s, 1)->tid, 4711);
    assert_int_equal(snapshot_thread_of(&s, 5)->tid, 4712);
    assert_null(snapshot_thread_of(&s, 0));
    assert_null(snapshot_thread_of(&s, 3));
    assert_null(snapshot_thread_of(&s, 6));
}

static void frames_as_people_read_them(void **state)
{
    (void)state;
    char text[64];
    size_t n = snapshot_frame_text(&s, (frame_id){3}, text, sizeof text);
    assert_string_equal(text, "make_session");
    assert_int_equal(n, strlen(text));
    snapshot_frame_text(&s, (frame_id){2}, text, sizeof text);
    assert_string_equal(text, "server+0x110");
    snapshot_frame_text(&s, (frame_id){1}, text, sizeof text);
    assert_string_equal(text, "0x400100");
    n = snapshot_frame_text(&s, (frame_id){3}, text, 5);
    assert_string_equal(text, "make");
    assert_int_equal(n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_beyond_32_bits),
        cmocka_unit_test(ages_come_from_epochs),
        cmocka_unit_test(finds_the_block_that_holds_an_address),
        cmocka_unit_test(edges_say_from_where_to_where),
        cmocka_unit_test(threads_that_stood_and_their_frames),
        cmocka_unit_test(kinds_of_roots),
        cmocka_unit_test(threads_by_number),
        cmocka_unit_test(frames_as_people_read_them),
    };
    return cmocka_run_group_tests(tests, open_sample, close_sample);
}
