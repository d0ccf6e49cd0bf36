/* SPDX-License-Identifier: MIT
 *
 * sample.c - each block comes into the sample with its chance, whatever came before it, and what
 * sampled blocks stand for adds up to the truth; libm is the oracle of the arithmetic.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "track/sample.h"

enum { SEED = 20261121, ROUNDS = 2000 };

static u64 state;

static u64 draw(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717u;
}

static int begin(void **unused)
{
    (void)unused;
    state = SEED;
    return 0;
}

/* A thread's struct as its birth leaves it. */
static struct thread *new_thread(void)
{
    static struct thread t;
    t = (struct thread){.random = draw()};
    return &t;
}

static bool taken(struct thread *t, u64 size)
{
    return !sample_passes(t, size) && sample_takes(t, size);
}

static double chance(u64 size, u64 interval)
{
    return -expm1(-(double)(size ? size : 1) / (double)interval);
}

static void distances_are_those_of_the_logarithm(void **unused)
{
    (void)unused;
    static const u64 intervals[] = {1, 4096, 524288, 1ul << 40, 1000000000000000};
    for (u32 k = 0; k < COUNT_OF(intervals); k++)
        for (u32 i = 0; i < 10000; i++) {
            u64 random = i ? draw() >> i % 60 : 0;
            double u = ((double)random + (random == 0)) * 0x1p-64, t = (double)intervals[k];
            double wanted = floor(-log(u) * t) + 1, got = (double)sample_distance(random, intervals[k]);
            assert_true(fabs(got - wanted) <= 1 + 1e-12 * t + 1e-12 * wanted);
        }
}

static void weights_are_those_of_the_exponential(void **unused)
{
    (void)unused;
    for (u32 i = 0; i < 30000; i++) {
        u64 interval = 1 + (draw() >> (14 + draw() % 44)), size = draw() >> (10 + draw() % 54);
        double wanted = (double)(size ? size : 1) / chance(size, interval);
        double got = (double)sample_bytes_for(size, interval);
        if (fabs(got - wanted) > 2 + 1e-6 * wanted)
            fail_msg("%lu of %lu: %f, not %f", size, interval, got, wanted);
        double blocks = (double)sample_blocks_for(size, interval) / (1 << SAMPLE_BLOCK_SHIFT);
        wanted = 1 / chance(size, interval);
        assert_true(fabs(blocks - wanted) <= 0.01 + 1e-6 * wanted + 2 / (double)(size + !size));
    }
}

/* So often is a block of that size taken as one would expect; `before` of another come before it,
 * in each round of a new thread. */
static void expect_chance(u64 size, u64 interval, u32 before, u64 before_size)
{
    enum { TIMES = 50000 };
    u32 n = 0;
    sample_begin(interval);
    for (u32 i = 0; i < TIMES; i++) {
        struct thread *t = new_thread();
        for (u32 k = 0; k < before; k++)
            taken(t, before_size);
        n += taken(t, size);
    }
    double p = chance(size, interval), error = sqrt(p * (1 - p) * TIMES);
    double off = ((double)n - p * TIMES) / (error > 1 ? error : 1);
    if (fabs(off) > 4)
        fail_msg("%lu of %lu after %u of %lu: %u of %d, %.1f deviations off", size, interval, before,
                 before_size, n, TIMES, off);
}

static void every_block_has_its_chance(void **unused)
{
    (void)unused;
    static const u64 sizes[] = {0, 1, 100, 1000, 3000, 20000};
    for (u32 i = 0; i < COUNT_OF(sizes); i++) {
        expect_chance(sizes[i], 1000, 0, 0);     /* the first of a thread */
        expect_chance(sizes[i], 1000, 1, 5000);  /* after one that is most likely taken */
        expect_chance(sizes[i], 1000, 7, 300);   /* in the middle of a distance */
        expect_chance(sizes[i], 1000, 1, UINT64_MAX); /* after one that nobody can have */
    }
}

static void a_new_recording_draws_anew(void **unused)
{
    (void)unused;
    u32 n = 0;
    for (u32 i = 0; i < 20000; i++) {
        struct thread *t = new_thread();
        sample_begin(1ul << 50);
        assert_false(taken(t, 100));
        sample_begin(100);
        n += taken(t, 100);
    }
    assert_in_range(n, 12642 - 4 * 69, 12642 + 4 * 69); /* 20000 (1 - 1/e) */
}

struct estimate {
    double count, bytes, count_variance, bytes_variance;
};

static struct estimate sampled(const u64 *sizes, u32 n, u64 interval)
{
    struct estimate e = {0};
    struct thread *t = new_thread();
    for (u32 i = 0; i < n; i++) {
        if (!taken(t, sizes[i]))
            continue;
        double w = 1 / chance(sizes[i], interval), s = (double)sizes[i];
        e.count += w;
        e.bytes += w * s;
        e.count_variance += w * (w - 1);
        e.bytes_variance += w * (w - 1) * s * s;
    }
    return e;
}

/* 95 % intervals hold the truth in 92 to 98 % of many samples, and the mean is the truth. */
static void intervals_hold_what_they_say(void **unused)
{
    (void)unused;
    enum { BLOCKS = 3000, INTERVAL = 4096 };
    static u64 sizes[BLOCKS];
    double bytes = 0, sum = 0, squares = 0, count_sum = 0, count_squares = 0;
    u32 held = 0, count_held = 0;
    for (u32 i = 0; i < BLOCKS; i++) {
        sizes[i] = draw() % 20 ? 64 + draw() % 400 : draw() % 30000;
        bytes += (double)sizes[i];
    }
    sample_begin(INTERVAL);
    for (u32 i = 0; i < ROUNDS; i++) {
        struct estimate e = sampled(sizes, BLOCKS, INTERVAL);
        held += fabs(e.bytes - bytes) <= 1.96 * sqrt(e.bytes_variance);
        count_held += fabs(e.count - BLOCKS) <= 1.96 * sqrt(e.count_variance);
        sum += e.bytes;
        squares += e.bytes * e.bytes;
        count_sum += e.count;
        count_squares += e.count * e.count;
    }
    double mean = sum / ROUNDS, error = sqrt((squares / ROUNDS - mean * mean) / ROUNDS);
    double count_mean = count_sum / ROUNDS;
    double count_error = sqrt((count_squares / ROUNDS - count_mean * count_mean) / ROUNDS);
    printf("seed %d: bytes %.0f +- %.0f (true %.0f), held %.1f %%; blocks %.1f +- %.1f (true %d), "
           "held %.1f %%\n", SEED, mean, error, bytes, 100. * held / ROUNDS, count_mean,
           count_error, BLOCKS, 100. * count_held / ROUNDS);
    assert_true(fabs(mean - bytes) < 3 * error);
    assert_true(fabs(count_mean - BLOCKS) < 3 * count_error);
    assert_in_range(held, ROUNDS * 92 / 100, ROUNDS * 98 / 100);
    assert_in_range(count_held, ROUNDS * 92 / 100, ROUNDS * 98 / 100);
}

static void *at(u64 i)
{
    return (void *)(0x7f0000000000 + i);
}

static void the_filter_never_lacks_what_is_there(void **unused)
{
    (void)unused;
    sample_begin(100);
    assert_true(sample_lacks(at(0)));
    sample_add(at(0));
    sample_add(at(64));
    assert_false(sample_lacks(at(4000)));
    assert_true(sample_lacks(at(4096)));
    sample_remove(at(0));
    assert_false(sample_lacks(at(64)));
    sample_remove(at(64));
    assert_true(sample_lacks(at(64)));
    for (u32 i = 0; i < 300; i++)
        sample_add(at(i));
    for (u32 i = 0; i < 299; i++)
        sample_remove(at(i));
    assert_false(sample_lacks(at(299))); /* of more than 255, it is not known when the last goes */
    sample_begin(100);
    assert_true(sample_lacks(at(299)));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
    const struct CMUnitTest tests[] = {
        TEST(distances_are_those_of_the_logarithm),
        TEST(weights_are_those_of_the_exponential),
        TEST(every_block_has_its_chance),
        TEST(a_new_recording_draws_anew),
        TEST(intervals_hold_what_they_say),
        TEST(the_filter_never_lacks_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
