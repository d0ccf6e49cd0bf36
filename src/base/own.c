/* SPDX-License-Identifier: MIT
 *
 * own.c - see own.h.
 *
 * Context: hot.
 * Invariant: a slot whose `lo` is 0 is free; who moves it away from 0 owns the slot until `hi` is
 * set. A mapping is taken out by who gives it back, and nobody else.
 */
#include "own.h"

static struct own_range ranges[OWN_MAX];
static u32 used; /* no slot from here on was ever taken */

static void raise_used(u32 to)
{
    u32 seen = PEEK(&used);
    while (seen < to && !__atomic_compare_exchange_n(&used, &seen, to, false, __ATOMIC_RELEASE,
                                                     __ATOMIC_RELAXED)) {
    }
}

void own_add(u64 lo, u64 bytes)
{
    for (u32 i = 0; i < OWN_MAX; i++) {
        u64 none = 0;
        if (PEEK(&ranges[i].lo) == 0 &&
            __atomic_compare_exchange_n(&ranges[i].lo, &none, lo, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            RELEASE(&ranges[i].hi, lo + bytes);
            raise_used(i + 1);
            return;
        }
    }
}

void own_remove(u64 lo, u64 bytes)
{
    u64 hi = lo + bytes;
    for (u32 i = 0, n = ACQUIRE(&used); i < n; i++) {
        struct own_range was = {PEEK(&ranges[i].lo), PEEK(&ranges[i].hi)};
        if (was.lo == 0 || was.lo > lo || was.hi < hi)
            continue;
        if (was.lo < lo) {
            POKE(&ranges[i].hi, lo);
        } else {
            POKE(&ranges[i].hi, 0);
            RELEASE(&ranges[i].lo, 0);
        }
        if (was.hi > hi)
            own_add(hi, was.hi - hi);
        return;
    }
}

u32 own_list(struct own_range *out, u32 max)
{
    u32 n = 0;
    for (u32 i = 0, end = ACQUIRE(&used); i < end && n < max; i++) {
        struct own_range r = {PEEK(&ranges[i].lo), ACQUIRE(&ranges[i].hi)};
        if (r.lo && r.hi > r.lo)
            out[n++] = r;
    }
    return n;
}
