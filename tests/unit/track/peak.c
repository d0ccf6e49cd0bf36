/* SPDX-License-Identifier: MIT
 *
 * peak.c - the blocks of the peak are those that were there then, whatever became of them since.
 * The oracle is a plain list of what was live when the total was at its highest.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "life.h"

static struct options options;

static void *at(u64 i)
{
    return (void *)(0x600000000000 + i * 512);
}

static int begin(void **unused)
{
    (void)unused;
    track_record(&options.track, 64);
    track_keep_peak();
    return 0;
}

static u64 bytes_of(const struct track_peak *p)
{
    u64 bytes = 0;
    for (u64 i = 0; i < p->count; i++)
        bytes += p->blocks[i].size;
    return bytes;
}

static void what_grew_and_went_was_there(void **unused)
{
    (void)unused;
    enum { BLOCKS = 10000, SIZE = 300 };
    struct track_peak p;
    for (u64 i = 0; i < BLOCKS; i++)
        bear(at(i), SIZE);
    for (u64 i = 0; i < BLOCKS; i++)
        if (i % 3)
            bury(at(i), NULL);
    assert_true(track_peak_open(&p));
    /* what was not flushed, and 1/4096 of a mark */
    assert_in_range(p.count, BLOCKS - 4096 / SIZE - BLOCKS / 4096 - 2, BLOCKS);
    for (u64 i = 0; i < p.count; i++) {
        assert_int_equal(p.blocks[i].addr, (u64)at(i));
        assert_int_equal(p.blocks[i].size, SIZE);
        assert_true(p.blocks[i].stack != 0);
        assert_true(p.blocks[i].birth <= p.epoch);
    }
    track_peak_close(&p);
}

static void a_reused_address_is_another_block(void **unused)
{
    (void)unused;
    struct track_peak p;
    bear(at(1), 5 << 20);
    bear(at(2), 5 << 20);
    bury(at(1), NULL);
    bear(at(1), 77);
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.blocks[0].addr, (u64)at(1));
    assert_int_equal(p.blocks[0].size, 5 << 20);
    track_peak_close(&p);
    bear(at(3), 6 << 20); /* a new peak: what went before it was not there */
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, 3);
    assert_int_equal(p.blocks[0].size, 77);
    track_peak_close(&p);
}

static void what_did_not_go_after_all_is_there_once(void **unused)
{
    (void)unused;
    struct track_peak p;
    struct index_record r;
    bear(at(1), 1 << 20);
    struct thread *t = thread_settle();
    thread_enter(t);
    assert_true(record_special_death(t, at(1), &r));
    record_undo_death(t, at(1), r);
    thread_leave(t);
    bury(at(1), NULL);
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, 1);
    track_peak_close(&p);
}

/* Small sizes are packed beside the address, which may have any of 57 bits. */
static void any_size_at_any_address(void **unused)
{
    (void)unused;
    static const u64 base[] = {0x10000, 0x600000000008, 0x7ffffffff000 - (1ul << 20),
                               (1ul << 57) - (1ul << 20)};
    static const u64 size[] = {0, 1, 55, 56, 1023, 1024, 1ul << 20, 1ul << 40};
    enum { BASES = COUNT_OF(base), SIZES = COUNT_OF(size) };
    struct track_peak p;
    for (u32 i = 0; i < BASES * SIZES; i++)
        bear((void *)(base[i / SIZES] + i % SIZES * 4112), size[i % SIZES]);
    track_reset_peak();
    for (u32 i = 0; i < BASES * SIZES; i++)
        bury((void *)(base[i / SIZES] + i % SIZES * 4112), NULL);
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, BASES * SIZES);
    for (u32 i = 0; i < p.count; i++) {
        assert_int_equal(p.blocks[i].addr, base[i / SIZES] + i % SIZES * 4112);
        assert_int_equal(p.blocks[i].size, size[i % SIZES]);
    }
    track_peak_close(&p);
}

static void it_is_kept_on_request(void **unused)
{
    (void)unused;
    struct track_peak p;
    assert_true(track_peak_kept());
    track_record(&options.track, 64);
    assert_false(track_peak_kept());
    assert_false(track_peak_open(&p));
}

static void a_reset_begins_with_what_is_there(void **unused)
{
    (void)unused;
    struct track_peak p;
    bear(at(1), 1 << 20);
    bear(at(2), 4 << 20);
    bury(at(2), NULL);
    track_reset_peak();
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, 1);
    assert_int_equal(p.blocks[0].size, 1 << 20);
    track_peak_close(&p);
    bear(at(3), 2 << 20);
    bury(at(1), NULL);
    assert_true(track_peak_open(&p));
    assert_int_equal(p.count, 2);
    assert_int_equal(bytes_of(&p), 3 << 20);
    track_peak_close(&p);
}

/* A heap that goes up and down at random; its peak is known exactly from the books here. */
static void random_lives(void **unused)
{
    (void)unused;
    enum { PLACES = 20000, STEPS = 300000 };
    static u32 size[PLACES], peak_size[PLACES];
    u64 live = 0, peak = 0, state = 20261121, lost = 0, surplus = 0;
    struct track_peak p;
    for (u32 step = 0; step < STEPS; step++) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        u32 i = (u32)(state >> 33) % PLACES;
        bool up = step < STEPS / 2 ? state >> 60 < 12 : state >> 60 < 5;
        if (up && !size[i]) {
            size[i] = 1 + (u32)(state >> 20) % 2000;
            bear(at(i * 8), size[i]);
            live += size[i];
        } else if (!up && size[i]) {
            bury(at(i * 8), NULL);
            live -= size[i];
            size[i] = 0;
        }
        if (live > peak) {
            peak = live;
            memcpy(peak_size, size, sizeof size);
        }
    }
    assert_true(track_peak_open(&p));
    assert_true(live < peak * 3 / 4);
    for (u64 i = 0; i < p.count; i++) {
        u64 place = (p.blocks[i].addr - (u64)at(0)) / 4096;
        if (peak_size[place] == p.blocks[i].size)
            peak_size[place] = 0;
        else
            surplus += p.blocks[i].size;
    }
    for (u32 i = 0; i < PLACES; i++)
        lost += peak_size[i];
    printf("peak %lu bytes: %lu of it not there, %lu too many\n", peak, lost, surplus);
    assert_true(lost < peak / 100 + FLUSH_WEIGHT && surplus < peak / 100 + FLUSH_WEIGHT);
    track_peak_close(&p);
    for (u32 i = 0; i < PLACES; i++)
        size[i] = 0;
}

enum { THREADS = 8, EACH = 20000 };
static pthread_barrier_t everyone;

/* Each thread frees what another one has made. */
static void *work(void *number)
{
    u64 n = (u64)number;
    for (u64 i = 0; i < EACH; i++)
        bear(at(n * EACH + i), 400);
    pthread_barrier_wait(&everyone);
    n = (n + 1) % THREADS;
    for (u64 i = 0; i < EACH; i++)
        bury(at(n * EACH + i), NULL);
    return NULL;
}

static void threads_free_for_each_other(void **unused)
{
    (void)unused;
    pthread_t threads[THREADS];
    struct track_peak p;
    pthread_barrier_init(&everyone, NULL, THREADS);
    for (u64 i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (u64 i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&everyone);
    assert_true(track_peak_open(&p));
    u64 whole = THREADS * EACH * 400ul;
    printf("%lu of %lu bytes\n", bytes_of(&p), whole);
    assert_in_range(bytes_of(&p), whole - whole / 100 - THREADS * FLUSH_WEIGHT, whole);
    for (u64 i = 1; i < p.count; i++)
        assert_true(p.blocks[i].addr > p.blocks[i - 1].addr);
    track_peak_close(&p);
}

static bool stop;

static void *churn(void *unused)
{
    (void)unused;
    for (u64 i = 0; !PEEK(&stop); i++) {
        bury(at(i % EACH), NULL);
        bear(at(i % EACH), 400);
        if (i % EACH == EACH / 2)
            bear(at(EACH + i % 7), 40000);
    }
    return NULL;
}

/* Asked while threads work: every block is there once, and their sum is about the peak. */
static void it_can_be_asked_at_any_time(void **unused)
{
    (void)unused;
    pthread_t thread;
    for (u64 i = 0; i < EACH; i++)
        bear(at(i), 400);
    POKE(&stop, false);
    pthread_create(&thread, NULL, churn, NULL);
    for (u32 turn = 0; turn < 50; turn++) {
        struct track_peak p;
        assert_true(track_peak_open(&p));
        assert_in_range(bytes_of(&p), EACH * 400 - 3 * FLUSH_WEIGHT, EACH * 400 + 6 * FLUSH_WEIGHT);
        for (u64 i = 1; i < p.count; i++)
            assert_true(p.blocks[i].addr > p.blocks[i - 1].addr);
        track_peak_close(&p);
    }
    POKE(&stop, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    char *nothing[] = {NULL};
    options_read(&options, nothing, NULL);
    track_start(&options);
#define TEST(f) cmocka_unit_test_setup(f, begin)
    const struct CMUnitTest tests[] = {
        TEST(what_grew_and_went_was_there),
        TEST(a_reused_address_is_another_block),
        TEST(any_size_at_any_address),
        TEST(what_did_not_go_after_all_is_there_once),
        TEST(it_is_kept_on_request),
        TEST(a_reset_begins_with_what_is_there),
        TEST(random_lives),
        TEST(threads_free_for_each_other),
        TEST(it_can_be_asked_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
