/* SPDX-License-Identifier: MIT
 *
 * life.h - births and deaths as the hooks tell of them.
 */
#ifndef TESTS_UNIT_TRACK_LIFE_H
#define TESTS_UNIT_TRACK_LIFE_H

#include "track/enter.h"

static NOINLINE void bear(void *p, u64 size)
{
    struct thread *t = enter_to_make(size);
    if (!t)
        return;
    record_birth(t, p, size, WALK_ORIGIN());
    thread_leave(t);
}

/* Was it recorded? Then *r is the record; r may be NULL. */
static bool bury(void *p, struct index_record *r)
{
    struct index_record unused;
    struct thread *t = thread_settle();
    thread_enter(t);
    bool there = record_special_death(t, p, r ? r : &unused);
    thread_leave(t);
    return there;
}

#endif
