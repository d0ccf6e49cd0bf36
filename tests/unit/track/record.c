/* SPDX-License-Identifier: MIT
 *
 * record.c - births and deaths, what is counted of them, sampling, stopping and starting again,
 * threads that come and go, a fork.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "life.h"

static struct options options;

static void *at(u64 i)
{
    return (void *)(0x600000000000 + i * 64);
}

static struct track_counters counters(void)
{
    struct track_counters c;
    track_counters(&c);
    return c;
}

static int start_again(void **unused)
{
    (void)unused;
    track_record(&options.track, 64);
    return 0;
}

static void births_and_deaths_are_counted(void **unused)
{
    (void)unused;
    struct index_record r;
    for (u64 i = 0; i < 1000; i++)
        bear(at(i), i);
    for (u64 i = 0; i < 400; i++)
        assert_true(bury(at(i), &r));
    assert_int_equal(r.size, 399);
    assert_false(bury(at(0), &r));
    struct track_counters c = counters();
    assert_int_equal(c.allocations, 1000);
    assert_int_equal(c.frees, 401);
    assert_int_equal(c.live_blocks, 600);
    assert_int_equal(c.live_bytes, 999 * 1000 / 2 - 399 * 400 / 2);
    assert_in_range(c.peak_blocks, 600, 1000);
    assert_int_equal(c.lost, 0);
}

static void a_refused_allocation_is_no_block(void **unused)
{
    (void)unused;
    bear(NULL, 100);
    assert_int_equal(counters().allocations, 0);
    assert_int_equal(counters().live_blocks, 0);
}

static void a_block_that_could_not_be_moved_is_there_again(void **unused)
{
    (void)unused;
    struct index_record r;
    struct track_block before, after;
    bear(at(1), 1000);
    assert_true(track_at((u64)at(1), false, &before));
    assert_true(bury(at(1), &r));
    assert_false(track_at((u64)at(1), false, &after));
    struct thread *t = thread_settle();
    record_undo_death(t, at(1), r);
    assert_true(track_at((u64)at(1), false, &after));
    assert_int_equal(after.size, 1000);
    assert_int_equal(after.stack, before.stack);
    assert_int_equal(after.thread, before.thread);
    assert_int_equal(after.birth, before.birth);
    assert_int_equal(counters().frees, 0);
    assert_int_equal(counters().live_bytes, 1000);
}

static void the_peak_is_the_highest_moment(void **unused)
{
    (void)unused;
    struct index_record r;
    bear(at(0), 10 << 20);
    bear(at(1), 10 << 20);
    bury(at(0), &r);
    bury(at(1), &r);
    assert_int_equal(counters().live_bytes, 0);
    assert_int_equal(counters().peak_bytes, 20 << 20);
    track_reset_peak();
    assert_int_equal(counters().peak_bytes, 0);
    bear(at(0), 5 << 20);
    assert_int_equal(counters().peak_bytes, 5 << 20);
}

static void epochs_part_what_came_before_from_what_comes_after(void **unused)
{
    (void)unused;
    struct track_block b;
    bear(at(0), 8);
    u32 epoch = track_epoch_advance();
    bear(at(1), 8);
    assert_true(track_at((u64)at(0), false, &b));
    assert_true(b.birth <= epoch);
    assert_true(track_at((u64)at(1), false, &b));
    assert_true(b.birth > epoch);
    assert_true(track_epoch_ns(b.birth) >= track_epoch_ns(epoch));
}

/* The scaled sum of a sample is the true one within four standard deviations. */
static void a_sample_stands_for_the_whole(void **unused)
{
    (void)unused;
    enum { BLOCKS = 200000, INTERVAL = 64 << 10 };
    track_record(&(struct option_track){TRACK_SAMPLE, INTERVAL}, 64);
    u64 bytes = 0, state = 88172645463325252;
    for (u64 i = 0; i < BLOCKS; i++) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        u64 size = state % 50 == 0 ? 100000 : 16 + (state >> 33) % 300;
        bear(at(i * 4000), size);
        bytes += size;
    }
    struct track_cursor c = {0};
    static struct track_block b[1024];
    double estimate = 0, variance = 0;
    u32 n, sampled = 0;
    while ((n = track_list(&c, b, COUNT_OF(b))) > 0)
        for (u32 i = 0; i < n; i++) {
            double size = (double)b[i].size, chance = 1 - exp(-size / INTERVAL);
            estimate += size / chance;
            variance += size * size * (1 - chance) / (chance * chance);
            sampled++;
        }
    assert_true(sampled > 100 && sampled < BLOCKS / 4);
    double off = fabs(estimate - (double)bytes) / sqrt(variance);
    if (off > 4)
        fail_msg("estimate %.0f, true %lu: %.1f standard deviations off", estimate, bytes, off);
    assert_int_equal(counters().allocations, BLOCKS);
    assert_int_equal(track_sample_bytes(), INTERVAL);
}

static void stopping_forgets(void **unused)
{
    (void)unused;
    struct track_block b;
    bear(at(0), 100);
    track_stop();
    assert_int_equal(track_recording().mode, TRACK_OFF);
    assert_false(track_at((u64)at(0), false, &b));
    start_again(NULL);
    assert_int_equal(track_recording().mode, TRACK_FULL);
    assert_false(track_at((u64)at(0), false, &b));
    assert_int_equal(counters().live_blocks, 0);
    assert_int_equal(counters().allocations, 0);
}

static void *one_birth(void *p)
{
    bear(p, 32);
    return NULL;
}

static void in_a_thread(void *p)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, one_birth, p), 0);
    pthread_join(thread, NULL);
}

/* A thousand threads one after another do not leave a thousand structs behind, and each has a
 * number of its own. */
static void threads_come_and_go(void **unused)
{
    (void)unused;
    struct track_block a, b;
    in_a_thread(at(5000));
    u64 before = thread_own_bytes();
    for (u64 i = 0; i < 1000; i++)
        in_a_thread(at(i));
    assert_true(thread_own_bytes() - before < 20 * sizeof(struct thread));
    assert_true(track_at((u64)at(10), false, &a));
    assert_true(track_at((u64)at(11), false, &b));
    assert_int_equal(b.thread, a.thread + 1);
    assert_int_equal(counters().live_blocks, 1001);
}

enum { CROWD = 200 };
static struct thread *crowd[CROWD];
static pthread_barrier_t everyone;

static void *be_born(void *place)
{
    pthread_barrier_wait(&everyone);
    *(struct thread **)place = thread_settle();
    pthread_barrier_wait(&everyone);
    return NULL;
}

/* Threads that are born at the same moment, some into structs of the dead, share none. */
static void threads_born_together_are_apart(void **unused)
{
    (void)unused;
    pthread_barrier_init(&everyone, NULL, CROWD);
    for (u32 turn = 0; turn < 10; turn++) {
        pthread_t threads[CROWD];
        for (u32 i = 0; i < CROWD; i++)
            pthread_create(&threads[i], NULL, be_born, &crowd[i]);
        for (u32 i = 0; i < CROWD; i++)
            pthread_join(threads[i], NULL);
        for (u32 i = 0; i < CROWD; i++)
            for (u32 k = 0; k < i; k++)
                assert_ptr_not_equal(crowd[i], crowd[k]);
    }
    pthread_barrier_destroy(&everyone);
}

static u32 acted;
static void act(void)
{
    acted++;
}

static void a_signal_inside_waits_for_the_way_out(void **unused)
{
    (void)unused;
    struct thread *t = thread_settle();
    assert_false(track_defer(act));
    thread_enter(t);
    assert_true(track_defer(act));
    assert_true(track_defer(act));
    assert_int_equal(acted, 0);
    thread_leave(t);
    assert_int_equal(acted, 1);
    thread_enter(t);
    thread_leave(t);
    assert_int_equal(acted, 1);
}

static void a_child_goes_on(void **unused)
{
    (void)unused;
    bear(at(0), 100);
    POKE(&index_trims, PEEK(&index_trims) + 1); /* the agent is in the middle of that */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        track_after_fork();
        struct track_block b;
        bear(at(1), 200);
        bool good = !(PEEK(&index_trims) & 1); /* nobody will be done with it here */
        good = good && track_at((u64)at(0), false, &b) && track_at((u64)at(1), false, &b) &&
                    counters().live_bytes == 300 && thread_self->tid == getpid();
        in_a_thread(at(2));
        _exit(good && counters().live_blocks == 3 ? 0 : 1);
    }
    POKE(&index_trims, PEEK(&index_trims) + 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(counters().live_bytes, 100);
}

int main(void)
{
    char *nothing[] = {NULL};
    options_read(&options, nothing, NULL);
    track_start(&options);
#define TEST(f) cmocka_unit_test_setup(f, start_again)
    const struct CMUnitTest tests[] = {
        TEST(births_and_deaths_are_counted),
        TEST(a_refused_allocation_is_no_block),
        TEST(a_block_that_could_not_be_moved_is_there_again),
        TEST(the_peak_is_the_highest_moment),
        TEST(epochs_part_what_came_before_from_what_comes_after),
        TEST(a_sample_stands_for_the_whole),
        TEST(stopping_forgets),
        TEST(threads_come_and_go),
        TEST(threads_born_together_are_apart),
        TEST(a_signal_inside_waits_for_the_way_out),
        TEST(a_child_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
