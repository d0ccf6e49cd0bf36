/* SPDX-License-Identifier: MIT
 *
 * standing.c - see standing.h.
 *
 * Context: frozen, in the clone: memory is as it was while the threads stood.
 * Invariant: only private pages that regions_holds vouches for are read, whatever registers hold
 * (one of a shared file may be gone, and reading it kills); and the work is bounded: so many frames
 * of a thread, so many of all. A frame has what lies between its stack pointer and its caller's.
 * Below the stack pointer of a function that was interrupted lie 128 more bytes that it may use
 * (x86-64 psABI, 3.2.2); what the kernel puts there for a signal handler begins below them, or lies
 * on a stack of its own.
 */
#include <string.h>

#include "roots.h"
#include "standing.h"

enum {
    CALLS_OF_THREAD = 256,
    RED_ZONE = 128,
    SIGNAL_BYTES = 4096, /* of a signal's frame where its end is not known */
    SIGNAL_BYTES_MAX = 1 << 15,
};

struct memory {
    struct regions *regions;
    u64 page; /* the last that was vouched for, 0 = none */
};

static bool read_word(void *context, u64 address, u64 *value)
{
    struct memory *m = context;
    u64 page = ROUND_DOWN(address, PAGE_BYTES);
    if (page != m->page) {
        const struct region *r = regions_find(m->regions, address);
        if (!r || r->shared || !regions_holds(m->regions, address))
            return false;
    }
    m->page = page;
    *value = *(const u64 *)address;
    return true;
}

static struct snapshot_call extent_of(const struct track_call *c, struct regions *regions)
{
    const struct region *stack = regions_find(regions, c->sp);
    struct snapshot_call out = {.flags = (c->exact ? SNAPSHOT_CALL_EXACT : 0) |
                                         (c->signal ? SNAPSHOT_CALL_SIGNAL : 0)};
    if (!stack)
        return out;
    u64 below = c->exact ? RED_ZONE : 0, hi = c->next_sp;
    if (c->signal) {
        hi -= RED_ZONE;
        if (hi <= c->sp || hi - c->sp > SIGNAL_BYTES_MAX)
            hi = c->sp + SIGNAL_BYTES;
        hi = hi < stack->hi ? hi : stack->hi;
    }
    out.lo = c->sp - stack->lo > below ? c->sp - below : stack->lo;
    out.hi = hi > c->sp && hi <= stack->hi ? hi : c->exact ? c->sp : out.lo;
    return out;
}

/* Fewer calls than the thread has are a stack that is cut. */
static void add(struct freeze_job *j, struct track_walker *walker, const struct stop_thread *t,
                struct snapshot_standing *to, struct snapshot_call *calls)
{
    struct memory *m = walker->context;
    struct track_call found[CALLS_OF_THREAD];
    u64 registers[ROOTS_REGISTERS];
    u32 room = FREEZE_CALLS_ROOM - j->walked_count;
    bool whole;
    roots_registers(t, registers);
    u32 n = track_walk_stopped(walker, registers, found,
                               room < CALLS_OF_THREAD ? room : CALLS_OF_THREAD, &whole);
    to->first_call = j->walked_count;
    to->call_count = n;
    to->flags = whole ? 0 : SNAPSHOT_STANDING_CUT;
    for (u32 i = 0; i < n; i++) {
        calls[j->walked_count] = extent_of(&found[i], m->regions);
        j->walked[j->walked_count++] =
            (struct freeze_walked){found[i].pc + found[i].exact, found[i].incarnation};
    }
}

static void name_it(struct freeze_job *j, const struct stop *stop, struct snapshot_standing *to)
{
    char name[16];
    const struct snapshot_thread *known = freeze_thread_of(j, (int)to->tid);
    to->thread = known ? known->number : 0;
    to->name = known ? known->name : 0;
    if (known)
        return;
    tasks_name(stop, (int)to->tid, name, sizeof name);
    to->name = freeze_strings_add(&j->strings, name);
}

/* Shell's sort with Ciura's gaps (2001): tasks are listed nearly in order. */
static void sort_by_tid(u32 *order, u32 count, const struct stop_thread *threads)
{
    static const u32 gaps[] = {8858, 3937, 1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (u32 g = 0; g < COUNT_OF(gaps); g++)
        for (u32 i = gaps[g]; i < count; i++) {
            u32 moving = order[i], k = i;
            for (; k >= gaps[g] && threads[order[k - gaps[g]]].tid > threads[moving].tid;
                 k -= gaps[g])
                order[k] = order[k - gaps[g]];
            order[k] = moving;
        }
}

static u32 standing(const struct stop *stop, u32 *order)
{
    u32 count = 0;
    for (u32 i = 0; i < stop->count; i++)
        if (stop->threads[i].state == STOP_STOPPED)
            order[count++] = i;
    sort_by_tid(order, count, stop->threads);
    return count;
}

bool standing_walk(struct freeze_job *j, struct regions *regions, const struct stop *stop)
{
    struct memory memory = {.regions = regions};
    struct track_walker walker = {.context = &memory, .read = read_word};
    u64 order_bytes = ROUND_UP(stop->count * sizeof(u32) + 1, PAGE_BYTES);
    u32 *order = sys_map(order_bytes);
    j->walked = sys_map(FREEZE_CALLS_ROOM * sizeof *j->walked);
    struct snapshot_standing *out = snapshot_writer_whole(j->w, SNAPSHOT_STANDING, stop->count);
    struct snapshot_call *calls = snapshot_writer_whole(j->w, SNAPSHOT_CALLS, FREEZE_CALLS_ROOM);
    bool ok = order && j->walked && out && calls;
    if (ok) {
        u32 count = standing(stop, order);
        for (u32 i = 0; i < count; i++) {
            const struct stop_thread *t = &stop->threads[order[i]];
            out[i].tid = (u32)t->tid;
            name_it(j, stop, &out[i]);
            add(j, &walker, t, &out[i], calls);
        }
        snapshot_writer_trim(j->w, SNAPSHOT_STANDING, count);
        snapshot_writer_trim(j->w, SNAPSHOT_CALLS, j->walked_count);
    }
    if (order)
        sys_unmap(order, order_bytes);
    return ok;
}
