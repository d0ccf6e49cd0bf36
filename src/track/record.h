/* SPDX-License-Identifier: MIT
 *
 * record.h - the recorder: what happens at the birth and the death of a block. Hooks call it and
 * hold no logic of their own, so it is tested without shadowing malloc.
 *
 * Context: hot. Both are called by a thread in mode THREAD_INSIDE.
 */
#ifndef MOONHEAP_TRACK_RECORD_H
#define MOONHEAP_TRACK_RECORD_H

#include "blocks.h"
#include "epoch.h"
#include "peak.h"
#include "sample.h"
#include "thread.h"
#include "walk.h"

enum record_state {
    RECORD_UNDECIDED = 0, /* before the first call has read the options */
    RECORD_OFF,
    RECORD_ON,
    RECORD_ON_CUSTOM, /* the program also tells of blocks of its own, see custom.c */
    RECORD_SAMPLED,   /* some blocks only, see sample.h; the program may tell of its own too */
};
extern HIDDEN u8 record_state;
extern HIDDEN u64 record_sample_bytes; /* 0 = every block */
/* Not 0: a birth takes the longer road, since blocks are sampled or threads have tags. */
extern HIDDEN u8 record_special;
/* Memory for epochs and stacks, where it is not there yet; until something is recorded or the agent
 * asks, none is. false when it is refused. */
bool record_prepare(void);
/* From now on threads have tags. */
void record_use_tags(void);

static ALWAYS_INLINE void record_count(struct thread *t, i64 blocks, i64 bytes)
{
    BUMP(&t->live_blocks, blocks);
    BUMP(&t->live_bytes, bytes);
    t->unflushed += (u64)(bytes + blocks * FLUSH_BLOCK_WEIGHT);
    if (UNLIKELY(t->unflushed > t->flush_span))
        thread_flush(t);
}

/* What the index is to know of a block that is born. */
static ALWAYS_INLINE u64 record_word(struct thread *t, u64 address, u64 size,
                                     const struct walk_origin *origin)
{
    if (UNLIKELY(t->until_tick-- == 0))
        epoch_tick(t);
    u32 stack = walk_capture(t, origin);
    return index_word(address, size, stack, t->number, PEEK(&epoch_now));
}

/* The rest of record_put, for any block. */
void record_put_otherwise(struct thread *t, u64 address, struct index_record r);

static ALWAYS_INLINE void record_put(struct thread *t, u64 address, struct index_record r)
{
    u64 *slot = blocks_slot_to_put(address, r.size);
    if (UNLIKELY(!slot)) {
        record_put_otherwise(t, address, r);
        return;
    }
    index_write(slot, r);
    record_count(t, 1, (i64)r.size);
}

/* The longer road. */
u64 record_special_word(struct thread *t, u64 address, u64 size, const struct walk_origin *origin);
void record_special_birth(struct thread *t, const void *p, u64 size,
                          const struct walk_origin *origin);

/* A block that the allocator has just handed out; `p` NULL (it refused) records nothing. When
 * sampling, it is one of the sample. */
static ALWAYS_INLINE void record_birth(struct thread *t, const void *p, u64 size,
                                       const struct walk_origin *origin)
{
    if (UNLIKELY(!p))
        return;
    BUMP(&t->allocations, 1);
    if (UNLIKELY(record_special)) {
        record_special_birth(t, p, size, origin);
        return;
    }
    record_put(t, (u64)p,
               (struct index_record){record_word(t, (u64)p, size, origin), size});
}

/* The rest of record_take, where the record was not found at once or pages of the index have been given
 * back since last time: `r` is what was taken. */
struct index_record record_take_again(struct thread *t, const void *p, struct index_record r);

/* The record of a block that is about to be given back, erased; a word of 0 when there is none. */
static ALWAYS_INLINE struct index_record record_take(struct thread *t, const void *p)
{
    u64 *slot = blocks_slot_to_take((u64)p);
    struct index_record r = {0, 0};
    if (LIKELY(slot))
        r = index_erase(slot, (u64)p);
    if (UNLIKELY(!r.word || PEEK(&index_trims) != t->trims_seen))
        return record_take_again(t, p, r);
    return r;
}

/* A block that is about to be given back. false when it was never recorded. Not when sampling. */
static ALWAYS_INLINE bool record_death(struct thread *t, const void *p, struct index_record *r)
{
    BUMP(&t->frees, 1);
    *r = record_take(t, p);
    if (UNLIKELY(!r->word))
        return false;
    if (peak_had(r->word))
        peak_log(t, (u64)p, *r);
    record_count(t, -1, -(i64)r->size);
    return true;
}

/* The same, sampling or not. */
bool record_special_death(struct thread *t, const void *p, struct index_record *r);
/* The block was not given back after all. */
void record_undo_death(struct thread *t, const void *p, struct index_record r);

#endif
