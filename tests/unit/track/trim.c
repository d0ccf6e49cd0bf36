/* SPDX-License-Identifier: MIT
 *
 * trim.c - memory of the index goes back when the blocks have gone, and no record with it, although
 * threads record and erase in the very pages that are given back.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "../busy.h"
#include "track/record.h"

enum { BLOCKS = 500000, GAP = 96, CHURNERS = 3, STEPS = 20000000, PLACES = 40 };

static u64 seed;

static u64 roll(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool put(u64 address, u64 size)
{
    return blocks_put(address, (struct index_record){index_word(address, size, 3, 1, 1), size});
}

static u64 listed(void)
{
    static struct track_block b[4096];
    struct track_cursor c = {0};
    u64 n = 0;
    for (u32 got; (got = track_list(&c, b, COUNT_OF(b))) > 0;)
        n += got;
    return n;
}

static bool kernel_can(void)
{
    u64 a = 0x640000000000, before = blocks_own_bytes();
    assert_true(put(a, 24));
    assert_true(blocks_take(a).word);
    track_trim();
    return blocks_own_bytes() == before;
}

static void memory_goes_back_as_blocks_go(void **unused)
{
    (void)unused;
    u64 base = 0x650000000000, before = blocks_own_bytes();
    if (!kernel_can())
        skip();
    for (u64 i = 0; i < BLOCKS; i++)
        assert_true(put(base + i * GAP, 20 + i % 70));
    u64 full = blocks_own_bytes() - before;
    assert_true(full > BLOCKS * 8);
    track_trim();
    assert_int_equal(blocks_own_bytes() - before, full);
    for (u64 i = 0; i < BLOCKS; i++) /* one stays of each 5000 */
        if (i % 5000)
            assert_true(blocks_take(base + i * GAP).word);
    track_trim();
    assert_in_range(blocks_own_bytes() - before, 0, 2 * BLOCKS / 5000 * PAGE_BYTES);
    assert_int_equal(listed(), BLOCKS / 5000);
    for (u64 i = 0; i < BLOCKS; i += 5000)
        assert_int_equal(blocks_take(base + i * GAP).size, 20 + i % 70);
    track_trim();
    assert_int_equal(blocks_own_bytes(), before);
}

static void *place_of(u64 lane, u64 place)
{
    return (void *)(0x660000000000 + lane * 0x10000000 + place * 16352);
}

/* Each has pages of its own for a few blocks, which are mostly empty. */
static void *churn(void *argument)
{
    u64 lane = (u64)argument, state = seed + lane, wrong = 0, sizes[PLACES];
    bool live[PLACES] = {0};
    struct thread *t = thread_settle();
    thread_enter(t);
    for (u64 step = 0; step < STEPS; step++) {
        u64 place = roll(&state) % PLACES;
        struct index_record r;
        if (!live[place]) {
            sizes[place] = roll(&state) % 200;
            wrong += !put((u64)place_of(lane, place), sizes[place]);
        }
        live[place] = !live[place] && roll(&state) % 8 == 0; /* seldom one that stays */
        if (!live[place])
            wrong += !record_death(t, place_of(lane, place), &r) || r.size != sizes[place];
    }
    for (u64 place = 0; place < PLACES; place++)
        if (live[place])
            wrong += !blocks_take((u64)place_of(lane, place)).word;
    thread_leave(t);
    return (void *)wrong;
}

static bool stop;

static u64 turns;

static void *trim(void *unused)
{
    (void)unused;
    while (!PEEK(&stop)) {
        track_trim();
        POKE(&turns, turns + 1);
    }
    return NULL;
}

static void no_record_is_lost_meanwhile(void **unused)
{
    (void)unused;
    pthread_t threads[CHURNERS], trimmer;
    void *wrong;
    stop = false;
    turns = 0;
    track_trim();
    pthread_create(&trimmer, NULL, trim, NULL);
    BUSY_AWAIT(PEEK(&turns));
    for (u64 lane = 0; lane < CHURNERS; lane++)
        pthread_create(&threads[lane], NULL, churn, (void *)lane);
    for (u32 lane = 0; lane < CHURNERS; lane++) {
        pthread_join(threads[lane], &wrong);
        assert_int_equal((u64)wrong, 0);
    }
    POKE(&stop, true);
    pthread_join(trimmer, NULL);
    assert_int_equal(listed(), 0);
}

int main(void)
{
    const char *given = getenv("MOONHEAP_SEED");
    seed = given ? strtoul(given, NULL, 0) : (u64)time(NULL);
    printf("seed %lu (MOONHEAP_SEED)\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_goes_back_as_blocks_go),
        cmocka_unit_test(no_record_is_lost_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
