/* SPDX-License-Identifier: MIT
 *
 * sample.c - see sample.h.
 *
 * Context: hot.
 */
#include <string.h>

#include "sample.h"

enum { MARK_MAX = UINT8_MAX }; /* of a page that once had so many; it stays */

u8 sample_filter[SAMPLE_FILTER_PAGES];
u32 sample_recording;
static u64 interval_now;

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014): good for any seed, near ones too. */
static u64 random_next(struct thread *t)
{
    u64 z = t->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* - interval * ln(random / 2^64), rounded up. The logarithm to base 2 comes bit by bit, by
 * squaring (Knuth, TAOCP 1, 1.2.2, exercise 25): 48 multiplications once a sample, no table. */
u64 sample_distance(u64 random, u64 interval)
{
    enum { FRACTION_BITS = 48 };
    const u64 ln2 = 0x58b90bfbe8e7bcd6; /* in 2^-63 */
    random += !random;
    u32 zeros = (u32)__builtin_clzll(random);
    u64 mantissa = random << zeros, fraction = 0; /* in [1, 2), of 2^-63 */
    for (u32 i = 0; i < FRACTION_BITS; i++) {
        unsigned __int128 square = (unsigned __int128)mantissa * mantissa;
        bool two = (u64)(square >> 127);
        fraction = fraction << 1 | two;
        mantissa = (u64)(square >> (two ? 64 : 63));
    }
    u64 log2 = ((u64)(zeros + 1) << FRACTION_BITS) - fraction;
    u64 log = (u64)((unsigned __int128)log2 * ln2 >> 63);
    return (u64)((unsigned __int128)log * interval >> FRACTION_BITS) + 1;
}

NOINLINE bool sample_takes(struct thread *t, u64 size)
{
    u32 recording = ACQUIRE(&sample_recording);
    u64 bytes = size + !size, interval = PEEK(&interval_now);
    if (t->sample_recording != recording) {
        t->sample_recording = recording;
        t->until_sample = sample_distance(random_next(t), interval);
    }
    if (bytes < t->until_sample) {
        t->until_sample -= bytes;
        return false;
    }
    t->until_sample = sample_distance(random_next(t), interval);
    return true;
}

void sample_add(const void *p)
{
    u8 *mark = sample_mark_of(p), seen = PEEK(mark);
    while (seen < MARK_MAX &&
           !__atomic_compare_exchange_n(mark, &seen, (u8)(seen + 1), true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
}

void sample_remove(const void *p)
{
    u8 *mark = sample_mark_of(p), seen = PEEK(mark);
    while (seen && seen < MARK_MAX &&
           !__atomic_compare_exchange_n(mark, &seen, (u8)(seen - 1), true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
}

void sample_begin(u64 interval)
{
    POKE(&interval_now, interval);
    memset(sample_filter, 0, sizeof sample_filter);
    RELEASE(&sample_recording, sample_recording + 1);
}

/* size / (1 - exp(-x)) = interval * (x / 2 + x / 2 * coth(x / 2)) with x = size / interval, where
 * y coth y = 1 + y^2 / (3 + y^2 / (5 + ...)) (Lambert, 1768). */
u64 sample_bytes_for(u64 size, u64 interval)
{
    enum { LEVELS = 20, ONE_BITS = 24, Y_BITS = 28, LARGE = 16, INTERVAL_BITS = 32 };
    u64 s = size + !size, t = interval;
    if (s / LARGE >= t)
        return s; /* the chance is 1 to a ten-millionth */
    u32 bits = 64 - (u32)__builtin_clzll(t);
    u32 shift = bits > INTERVAL_BITS ? bits - INTERVAL_BITS : 0;
    u64 y = ((s >> shift) << (Y_BITS - 1)) / (t >> shift);
    u64 square = (y * y >> (2 * Y_BITS - ONE_BITS)) << ONE_BITS;
    u64 term = (2 * LEVELS + 1ul) << ONE_BITS;
    for (u64 level = LEVELS; level > 0; level--)
        term = ((2 * level - 1) << ONE_BITS) + square / term;
    u64 bytes = s / 2 + (u64)((unsigned __int128)term * t >> ONE_BITS);
    return bytes > s ? bytes : s;
}

u64 sample_blocks_for(u64 size, u64 interval)
{
    return (sample_bytes_for(size, interval) << SAMPLE_BLOCK_SHIFT) / (size + !size);
}
