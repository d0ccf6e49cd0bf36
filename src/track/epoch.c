/* SPDX-License-Identifier: MIT
 *
 * epoch.c - see epoch.h.
 *
 * Context: hot.
 */
#include "epoch.h"
#include "index.h"

enum { TICK_PERIOD_MAX = 64 };
static const u64 second_ns = 1000000000, brisk_ns = 1000000;

u32 epoch_now = 1;
static u64 *begin_ns; /* of each epoch; address space for all of them */

bool epoch_start(void)
{
    if (begin_ns)
        return true;
    begin_ns = sys_map_sparse(ROUND_UP(((u64)INDEX_EPOCH_MAX + 1) * sizeof(u64), PAGE_BYTES));
    sys_use_vdso();
    if (begin_ns)
        begin_ns[1] = sys_monotonic_ns();
    return begin_ns != NULL;
}

static u32 move(u32 from, u64 now)
{
    if (from >= INDEX_EPOCH_MAX)
        return from;
    POKE(&begin_ns[from + 1], now);
    __atomic_compare_exchange_n(&epoch_now, &from, from + 1, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_RELAXED);
    return from;
}

COLD void epoch_tick(struct thread *t)
{
    u64 now = sys_coarse_ns();
    u64 since_last = now - t->last_tick_ns;
    t->last_tick_ns = now;
    if (since_last > second_ns / 10)
        t->tick_period = 1;
    else if (since_last < brisk_ns * 10 && t->tick_period < TICK_PERIOD_MAX)
        t->tick_period = (u8)(t->tick_period * 2);
    t->until_tick = t->tick_period;
    u32 epoch = ACQUIRE(&epoch_now);
    u64 began = PEEK(&begin_ns[epoch]);
    u64 age = began - begin_ns[1];
    u64 length = age / 1024 > second_ns ? age / 1024 : second_ns;
    if ((i64)(now - began) > (i64)length)
        move(epoch, now);
}

u32 track_epoch_advance(void)
{
    u32 epoch = ACQUIRE(&epoch_now);
    u32 before;
    do {
        before = epoch;
        move(epoch, sys_monotonic_ns());
        epoch = ACQUIRE(&epoch_now);
    } while (epoch == before && before < INDEX_EPOCH_MAX);
    return before;
}

u64 track_epoch_ns(u32 epoch)
{
    return epoch && epoch <= ACQUIRE(&epoch_now) ? PEEK(&begin_ns[epoch]) : begin_ns[1];
}
