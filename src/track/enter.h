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

static ALWAYS_INLINE struct thread *enter_to_free(const void *p)
{
    struct thread *t = thread_self;
    if (UNLIKELY(record_state != RECORD_ON || t->mode != THREAD_READY)) {
        if (record_state == RECORD_OFF || t->mode == THREAD_AGENT || t->mode == THREAD_INSIDE)
            return NULL;
        return enter_otherwise_to_free(p);
    }
    thread_enter(t);
    return t;
}

#endif
