/* SPDX-License-Identifier: MIT
 *
 * enter.c - see enter.h.
 *
 * Context: hot (cold path of it).
 */
#include <unistd.h>

#include "custom.h"
#include "enter.h"

/* The first allocation comes before our constructor (of libstdc++, say): it is recorded too, so
 * the options are read here as soon as the environment is there. */
static COLD void decide(void)
{
    static bool deciding;
    static struct options options;
    if (!environ || __atomic_exchange_n(&deciding, true, __ATOMIC_ACQUIRE))
        return;
    options_read(&options, environ, NULL);
    track_start(&options);
}

NOINLINE struct thread *enter_otherwise(void)
{
    if (record_state == RECORD_UNDECIDED)
        decide();
    if (record_state < RECORD_ON)
        return NULL;
    struct thread *t = thread_settle();
    if (t)
        thread_enter(t);
    return t;
}

/* Is the call of a thread that is inside or ours, or is nothing recorded? */
static bool stays_out(void)
{
    u8 mode = thread_self->mode;
    return record_state == RECORD_OFF || mode == THREAD_AGENT || mode == THREAD_INSIDE;
}

NOINLINE struct thread *enter_otherwise_to_make(u64 size)
{
    struct thread *t = stays_out() ? NULL : enter_otherwise();
    if (!t || record_state != RECORD_SAMPLED || sample_takes(t, size))
        return t;
    POKE(&t->allocations, t->allocations + 1);
    thread_leave(t);
    return NULL;
}

NOINLINE struct thread *enter_otherwise_to_free(const void *p)
{
    struct thread *t = stays_out() ? NULL : enter_otherwise();
    if (t && custom_told())
        custom_forget_inside(t, p);
    return t;
}
