/* SPDX-License-Identifier: MIT
 *
 * hints.c - the functions of include/moonheap.h by which the program tells of its blocks.
 *
 * Context: hot: called by the program's threads, from within its allocators.
 * Invariant: nothing that is passed here is followed, but for names; what makes no sense is counted
 * and has no effect.
 */
#include "custom.h"
#include "declared.h"
#include "enter.h"
#include "marks.h"
#include "names.h"

EXPORT void moonheap_alloc(const void *p, size_t size);
EXPORT void moonheap_free(const void *p);
EXPORT void moonheap_move(const void *from, const void *to, size_t size);
EXPORT void moonheap_root(const void *p, size_t bytes, const char *name);
EXPORT void moonheap_ignore(const void *p);
EXPORT void moonheap_tag(const void *p, const char *name);
EXPORT void moonheap_tag_push(const char *name);
EXPORT void moonheap_tag_pop(const char *name);

void moonheap_alloc(const void *p, size_t size)
{
    struct thread *t = p ? enter() : NULL;
    if (!t)
        return;
    custom_birth(t, p, size, WALK_ORIGIN());
    thread_leave(t);
}

void moonheap_free(const void *p)
{
    struct thread *t = p ? enter() : NULL;
    if (!t)
        return;
    custom_death(t, p);
    thread_leave(t);
}

void moonheap_move(const void *from, const void *to, size_t size)
{
    struct thread *t = from || to ? enter() : NULL;
    if (!t)
        return;
    if (!to)
        custom_death(t, from);
    else if (!from)
        custom_birth(t, to, size, WALK_ORIGIN());
    else
        custom_move(t, from, to, size, WALK_ORIGIN());
    thread_leave(t);
}

/* The calling thread, whatever is recorded just now; NULL when it is inside, or ours. */
static struct thread *settle(void)
{
    struct thread *t = enter();
    if (t)
        thread_leave(t);
    return thread_settle();
}

static void judge(struct thread *t, bool good)
{
    if (t && !good)
        POKE(&t->misuses, t->misuses + 1);
}

void moonheap_root(const void *p, size_t bytes, const char *name)
{
    struct thread *t = settle();
    if (bytes)
        judge(t, declared_add((u64)p, bytes, name));
    else
        judge(t, declared_remove((u64)p));
}

void moonheap_ignore(const void *p)
{
    struct thread *t = p ? enter() : NULL;
    if (!t)
        return;
    judge(t, marks_ignore(t, p) || record_sample_bytes);
    thread_leave(t);
}

void moonheap_tag(const void *p, const char *name)
{
    struct thread *t = p ? enter() : NULL;
    if (!t)
        return;
    judge(t, marks_tag(t, p, names_intern(name)) || record_sample_bytes);
    thread_leave(t);
}

void moonheap_tag_push(const char *name)
{
    struct thread *t = settle();
    if (t)
        marks_push(t, name);
}

void moonheap_tag_pop(const char *name)
{
    struct thread *t = settle();
    if (t)
        judge(t, marks_pop(t, name));
}
