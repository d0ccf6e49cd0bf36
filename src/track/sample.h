/* SPDX-License-Identifier: MIT
 *
 * sample.h - which blocks are recorded when not all are: a Poisson sample by bytes.
 *
 * Context: hot.
 * Invariant: a block of s bytes is in the sample with the chance 1 - exp(-s / interval), whatever
 * came before it, in each thread, from its first block on. So a sampled block stands for
 * 1 / chance blocks and s / chance bytes, and sums of those are right on average (Horvitz and
 * Thompson, 1952; pprof scales so too). A block of 0 bytes counts as one byte.
 *
 * A thread counts bytes down to its next sampled one. The distance is drawn from the exponential
 * distribution, rounded up to a byte; that one has no memory, so neither what is left of a
 * distance nor the bytes of a sampled block beyond its sampled one matter: after a sample the next
 * block begins a new distance. A distance is good for one recording: with the next one, each
 * thread draws anew.
 *
 * What most blocks cost, those that are not in the sample: at birth the countdown, before the
 * allocator is asked. At death a look into a filter: a byte for each page of addresses modulo
 * 512 MiB, 0 where no sampled block begins. To ask the index would touch the page of the block's
 * slot, which the kernel would have to map first. Neighbours are freed together, so the filter is
 * mostly a line or two of the cache (64 bytes of it are 256 KiB of heap); with an interval of
 * 512 KiB some 1 of 100 pages holds a sampled block, and only their blocks look further. Neither
 * enters the recorder: a thread that is interrupted there is in the allocator, as with recording
 * off.
 */
#ifndef MOONHEAP_TRACK_SAMPLE_H
#define MOONHEAP_TRACK_SAMPLE_H

#include "thread.h"

enum {
    SAMPLE_FILTER_PAGES = 1 << 17,
    SAMPLE_BLOCK_SHIFT = 8, /* counts of blocks are kept in 256ths */
};

extern HIDDEN u8 sample_filter[SAMPLE_FILTER_PAGES];
extern HIDDEN u32 sample_recording; /* moves when recording begins; distances of another one are void */

/* Is a block of that size out of the sample? Then it is counted, and its bytes are. If not (or not
 * known), nothing is, and sample_takes says it. */
static ALWAYS_INLINE bool sample_passes(struct thread *t, u64 size)
{
    u64 bytes = size + !size, left = t->until_sample;
    if (UNLIKELY(bytes >= left || t->sample_recording != PEEK(&sample_recording)))
        return false;
    t->until_sample = left - bytes;
    BUMP(&t->allocations, 1);
    return true;
}

/* The same for any case, drawing as needed: is it in the sample? Does not count it. */
bool sample_takes(struct thread *t, u64 size);

static ALWAYS_INLINE u8 *sample_mark_of(const void *p)
{
    return &sample_filter[(u64)p / PAGE_BYTES % SAMPLE_FILTER_PAGES];
}

/* Is there surely no sampled block at `p`? */
static ALWAYS_INLINE bool sample_lacks(const void *p)
{
    return PEEK(sample_mark_of(p)) == 0;
}

/* A block comes into the sample, or leaves it. */
void sample_add(const void *p);
void sample_remove(const void *p);

/* Before recording begins anew: no block is in the sample, and all distances are void. */
void sample_begin(u64 interval);

/* Bytes that a sampled block of that size stands for, and blocks in 256ths; to a byte and a millionth.
 * Only integers, since the program's floating-point flags and traps are its own. */
u64 sample_bytes_for(u64 size, u64 interval);
u64 sample_blocks_for(u64 size, u64 interval);

/* Bytes to the next sampled one, from 1, of a random number. */
u64 sample_distance(u64 random, u64 interval);

#endif
