/* SPDX-License-Identifier: MIT
 *
 * peak.h - what the heap was made of at its peak, block by block.
 *
 * Context: hot; track_peak_open and track_peak_close are for the agent.
 * Invariant: while this is kept, the blocks that were there at the latest mark are those in the
 * index that were born in `peak_epoch` or before, and those in the logs of that epoch: each death of
 * such a block is logged by the thread that frees it. No block is in both for good, and an address
 * is there once.
 *
 * A mark is set where a flush finds the total above the last mark by 1/4096 of it, which moves the
 * epoch; so the peak is known to that and to what threads have not flushed yet, which is as little,
 * but for small heaps (where it is 4 KiB) and large ones (FLUSH_WEIGHT).
 * A log is void with the next mark, so it grows only while the heap is below its peak, and to no
 * more blocks than there were.
 *
 * Why this way: a birth costs nothing, a death one comparison, or where it is logged two words
 * written one after another. Counters for each call stack would cost a line of the cache at each
 * birth and death, an atomic operation among threads, and would know nothing but bytes. Massif
 * (valgrind) takes a snapshot at the first death after a new peak, and puts up with a peak that is
 * 1 % too low; to do it here would be a walk over the whole index each time.
 */
#ifndef MOONHEAP_TRACK_PEAK_H
#define MOONHEAP_TRACK_PEAK_H

#include "index.h"
#include "thread.h"

extern HIDDEN u32 peak_epoch; /* 0: no peak is kept */

/* Was the block there at the peak, as far as is known? */
static ALWAYS_INLINE bool peak_had(u64 word)
{
    return UNLIKELY(index_epoch(word) <= PEEK(&peak_epoch));
}

/* A block of the peak is gone; and then it is not gone after all. */
void peak_log(struct thread *t, u64 address, struct index_record r);
void peak_unlog(struct thread *t, struct index_record r);

/* How much a thread may hold back when all together have so many bytes. */
u64 peak_flush_weight(i64 total);
/* All threads together have so many bytes. */
void peak_reach(i64 total);
/* From now on it is kept, or not; what there is at this moment is the first peak. */
void peak_begin(bool keep, i64 total);

void peak_after_fork(void);
u64 peak_own_bytes(void);

#endif
