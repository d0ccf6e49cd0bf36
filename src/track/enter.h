/* SPDX-License-Identifier: MIT
 *
 * enter.h - the way of a thread of the program into the recorder.
 *
 * Context: hot.
 * Invariant: between enter and thread_leave the thread is in mode THREAD_INSIDE, and whatever it
 * calls meanwhile is recorded by nobody.
 */
#ifndef MOONHEAP_TRACK_ENTER_H
#define MOONHEAP_TRACK_ENTER_H

#include "next.h"
#include "record.h"

/* The rest of `enter`, where something is out of the ordinary. */
struct thread *enter_otherwise(void);
/* The same for a thread that is about to give `p` back: blocks that the program told of inside of
 * it are forgotten. */
struct thread *enter_otherwise_to_free(const void *p);

/* The calling thread, now inside the recorder; NULL when this call is not to be recorded. */
static ALWAYS_INLINE struct thread *enter(void)
{
    struct thread *t = thread_self;
    if (UNLIKELY(record_state != RECORD_ON || t->mode != THREAD_READY)) {
        if (record_state == RECORD_OFF || t->mode == THREAD_AGENT || t->mode == THREAD_INSIDE)
            return NULL;
        return enter_otherwise();
    }
    thread_enter(t);
    return t;
}

/* May the thread go in without further questions? */
static ALWAYS_INLINE bool enter_at_once(const struct thread *t)
{
    return LIKELY(record_state == RECORD_ON) && LIKELY(t->mode == THREAD_READY);
}

/* Else: is a call that hands out a block of that size nothing but the allocator's business? Then it
 * is counted. The same of one that gives `p` back, and of one that does both. */
static ALWAYS_INLINE bool enter_never_to_make(struct thread *t, u64 size)
{
    if (record_state == RECORD_SAMPLED)
        return t->mode == THREAD_READY && sample_passes(t, size);
    return record_state == RECORD_OFF && t->mode != THREAD_AGENT;
}

static ALWAYS_INLINE bool enter_never_to_free(struct thread *t, const void *p)
{
    if (UNLIKELY(!next_has(p)))
        return false;
    if (record_state != RECORD_SAMPLED)
        return record_state == RECORD_OFF;
    if (t->mode != THREAD_READY || !sample_lacks(p))
        return false;
    BUMP(&t->frees, 1);
    return true;
}

static ALWAYS_INLINE bool enter_never_to_move(struct thread *t, const void *old, u64 size)
{
    if (UNLIKELY(!next_has(old)))
        return false;
    if (record_state != RECORD_SAMPLED)
        return record_state == RECORD_OFF && t->mode != THREAD_AGENT;
    if (t->mode != THREAD_READY || !size || !sample_lacks(old) || !sample_passes(t, size))
        return false;
    BUMP(&t->frees, old != NULL);
    return true;
}

/* Else: `enter` for a call that hands out a block of that size; also NULL when it is not in the
 * sample. */
struct thread *enter_otherwise_to_make(u64 size);

/* Any of these. */
static ALWAYS_INLINE struct thread *enter_to_make(u64 size)
{
    struct thread *t = thread_self;
    if (LIKELY(enter_at_once(t))) {
        thread_enter(t);
        return t;
    }
    return enter_never_to_make(t, size) ? NULL : enter_otherwise_to_make(size);
}

#endif
