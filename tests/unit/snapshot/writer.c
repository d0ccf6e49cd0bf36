/* SPDX-License-Identifier: MIT
 *
 * Tests of the snapshot writer: what is written is what is read, misuse and want of room are
 * reported at the finish, and memory goes back.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sample.h"

static void reads_back_what_was_written(void **state)
{
    (void)state;
    struct snapshot s;
    sample_open(&s);
    assert_int_equal(s.meta->pid, 4711);
    assert_string_equal(s.strings + s.meta->exe, "/usr/bin/server");
    assert_int_equal(s.block_count, SAMPLE_BLOCKS);
    assert_int_equal(s.stack_count, SAMPLE_STACKS);
    assert_int_equal(s.frame_count, SAMPLE_FRAMES);
    assert_int_equal(s.thread_count, 2);
    assert_int_equal(s.module_count, 1);
    assert_int_equal(s.epoch_count, SAMPLE_EPOCHS);
    assert_int_equal(s.vtable_count, 1);
    for (u32 i = 0; i < SAMPLE_BLOCKS; i++) {
        assert_int_equal(s.block_addr[i], SAMPLE_FIRST + i * SAMPLE_STEP);
        assert_int_equal(s.block_stack[i], i % (SAMPLE_STACKS + 1));
    }
    snapshot_close(&s);
    assert_null(s.bytes);
}

static void gives_back_what_it_reserved(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot s;
    u64 reserve = 64u << 20;
    assert_true(snapshot_writer_begin(&w, reserve));
    u8 *base = w.base;
    sample_write(&w);
    assert_true(snapshot_writer_finish(&w, &s, NULL));
    unsigned char resident;
    assert_int_equal(mincore(base, PAGE_BYTES, &resident), 0);
    assert_int_equal(mincore(base + (32u << 20), PAGE_BYTES, &resident),
                     -1); /* ENOMEM: not mapped */
    snapshot_close(&s);
    assert_int_equal(mincore(base, PAGE_BYTES, &resident), -1);
}

static void says_when_room_is_short(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot s;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, PAGE_BYTES));
    assert_null(snapshot_writer_whole(&w, SNAPSHOT_BLOCK_ADDR, PAGE_BYTES));
    assert_int_equal(w.status, STATUS_LIMIT);
    assert_null(snapshot_writer_whole(&w, SNAPSHOT_META, 1)); /* later calls do nothing */
    assert_false(snapshot_writer_finish(&w, &s, &e));
    assert_int_equal(e.status, STATUS_LIMIT);
    assert_non_null(strstr(e.text, "4096 bytes"));

    /* A count whose bytes do not fit in 64 bits is no smaller for it. */
    assert_true(snapshot_writer_begin(&w, PAGE_BYTES));
    assert_null(snapshot_writer_whole(&w, SNAPSHOT_BLOCK_ADDR, UINT64_MAX / 4));
    assert_int_equal(w.status, STATUS_LIMIT);
    snapshot_writer_abandon(&w);
}

static void refuses_misuse(void **state)
{
    (void)state;
    struct snapshot_writer w;
    assert_true(snapshot_writer_begin(&w, 1 << 16));
    assert_null(snapshot_writer_add(&w, 1)); /* no section is open */
    assert_int_equal(w.status, STATUS_USAGE);
    snapshot_writer_abandon(&w);

    assert_true(snapshot_writer_begin(&w, 1 << 16));
    assert_non_null(snapshot_writer_whole(&w, SNAPSHOT_EPOCHS, 1));
    assert_null(snapshot_writer_whole(&w, SNAPSHOT_EPOCHS, 1)); /* twice */
    assert_int_equal(w.status, STATUS_USAGE);
    snapshot_writer_abandon(&w);

    assert_true(snapshot_writer_begin(&w, 1 << 16));
    assert_non_null(snapshot_writer_whole(&w, SNAPSHOT_EPOCHS, 1));
    snapshot_writer_trim(&w, SNAPSHOT_EPOCHS, 2); /* more than there are */
    assert_int_equal(w.status, STATUS_USAGE);
    snapshot_writer_abandon(&w);
}

static void shows_what_is_written_so_far(void **state)
{
    (void)state;
    struct snapshot_writer w;
    u64 count = 99;
    assert_true(snapshot_writer_begin(&w, 1 << 16));
    assert_null(snapshot_writer_written(&w, SNAPSHOT_FRAMES, &count));
    assert_int_equal(count, 0);
    struct snapshot_frame *frames = snapshot_writer_whole(&w, SNAPSHOT_FRAMES, 3);
    assert_ptr_equal(snapshot_writer_written(&w, SNAPSHOT_FRAMES, &count), frames);
    assert_int_equal(count, 3);
    snapshot_writer_abandon(&w);
}

static void room_left_over_takes_no_memory(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot s;
    struct err e;
    assert_true(snapshot_writer_begin(&w, 1 << 28));
    assert_non_null(snapshot_writer_whole(&w, SNAPSHOT_META, 1));
    assert_non_null(snapshot_writer_whole(&w, SNAPSHOT_EPOCHS, 10000000));
    snapshot_writer_trim(&w, SNAPSHOT_EPOCHS, 1000);
    assert_non_null(snapshot_writer_whole(&w, SNAPSHOT_STRINGS, 1));
    assert_true(snapshot_writer_finish(&w, &s, &e));
    assert_true(s.size > 80000000);
    assert_in_range(snapshot_memory(&s), 8000, 8000 + 4 * PAGE_BYTES);
    snapshot_close(&s);
}

static void parent_sees_what_a_child_wrote(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot_meta *meta;
    assert_true(snapshot_writer_begin(&w, 1 << 16));
    meta = snapshot_writer_whole(&w, SNAPSHOT_META, 1);
    pid_t child = fork();
    if (child == 0) {
        meta->pid = 99;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(meta->pid, 99);
    snapshot_writer_abandon(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_written),
        cmocka_unit_test(gives_back_what_it_reserved),
        cmocka_unit_test(says_when_room_is_short),
        cmocka_unit_test(refuses_misuse),
        cmocka_unit_test(shows_what_is_written_so_far),
        cmocka_unit_test(room_left_over_takes_no_memory),
        cmocka_unit_test(parent_sees_what_a_child_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
