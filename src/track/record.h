/* SPDX-License-Identifier: MIT
 *
 * record.h - the recorder: what happens at the birth and the death of a block. Hooks call it and
 * hold no logic of their own, so it is tested without shadowing malloc.
 *
 * Context: hot. Both are called by a thread in mode THREAD_INSIDE.
 */
#ifndef MOONHEAP_TRACK_RECORD_H
#define MOONHEAP_TRACK_RECORD_H

#include "epoch.h"
#include "index.h"
#include "thread.h"
#include "walk.h"

enum record_state {
    RECORD_UNDECIDED = 0, /* before the first call has read the options */
    RECORD_OFF,
    RECORD_ON,
};
extern u8 record_state;
extern u64 record_sample_bytes; /* 0 = every block */

bool record_sampled(struct thread *t, u64 size);

enum { FLUSH_BYTES = 1 << 16, FLUSH_BLOCKS = 1 << 10 };

static ALWAYS_INLINE void record_count(struct thread *t, i64 blocks, i64 bytes)
{
    POKE(&t->live_blocks, t->live_blocks + blocks);
    POKE(&t->live_bytes, t->live_bytes + bytes);
    t->unflushed_blocks += blocks;
    t->unflushed_bytes += bytes;
    if (UNLIKELY((u64)(t->unflushed_bytes + FLUSH_BYTES) > 2 * FLUSH_BYTES ||
                 (u64)(t->unflushed_blocks + FLUSH_BLOCKS) > 2 * FLUSH_BLOCKS))
        thread_flush(t);
}

/* A block that the allocator has just handed out; `p` NULL (it refused) records nothing. */
static ALWAYS_INLINE void record_birth(struct thread *t, const void *p, u64 size,
                                       const struct walk_origin *origin)
{
    if (UNLIKELY(!p))
        return;
    POKE(&t->allocations, t->allocations + 1);
    if (UNLIKELY(record_sample_bytes) && !record_sampled(t, size))
        return;
    if (UNLIKELY(t->until_tick-- == 0))
        epoch_tick(t);
    u32 stack = walk_capture(t, origin);
    struct index_record r = {index_word((u64)p, size, stack, t->number, PEEK(&epoch_now)), size};
    if (UNLIKELY(!index_put((u64)p, r))) {
        POKE(&t->lost, t->lost + 1);
        return;
    }
    record_count(t, 1, (i64)size);
}

/* A block that is about to be given back. false when it was never recorded. */
static ALWAYS_INLINE bool record_death(struct thread *t, const void *p, struct index_record *r)
{
    POKE(&t->frees, t->frees + 1);
    if (UNLIKELY(!index_take((u64)p, r)))
        return false;
    record_count(t, -1, -(i64)r->size);
    return true;
}

/* The block was not given back after all. */
static inline void record_undo_death(struct thread *t, const void *p, struct index_record r)
{
    POKE(&t->frees, t->frees - 1);
    if (index_put((u64)p, r))
        record_count(t, 1, (i64)r.size);
}

#endif
