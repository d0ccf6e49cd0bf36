/* SPDX-License-Identifier: MIT
 *
 * declared.c - memory that the program has declared a root.
 *
 * Context: hot, lock-free; seldom called, so a search over all of them will do.
 * Invariant: `lo` is 0 for a place never used, 1 for one given up, 2 while it is being written.
 */
#include "declared.h"
#include "names.h"

enum { DECLARED_MAX = 1 << 14, NEVER = 0, GIVEN_UP = 1, WRITING = 2 };

static struct track_root *declared;

static struct track_root *table(void)
{
    struct track_root *have = ACQUIRE(&declared);
    if (have)
        return have;
    struct track_root *fresh = sys_map_sparse(DECLARED_MAX * sizeof *fresh);
    if (fresh && !__atomic_compare_exchange_n(&declared, &have, fresh, false, __ATOMIC_ACQ_REL,
                                              __ATOMIC_ACQUIRE)) {
        sys_unmap(fresh, DECLARED_MAX * sizeof *fresh);
        fresh = have;
    }
    return fresh;
}

static bool claim(struct track_root *r, u64 from)
{
    return __atomic_compare_exchange_n(&r->lo, &from, WRITING, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

bool declared_add(u64 lo, u64 bytes, const char *name)
{
    struct track_root *all = table();
    if (!all || lo <= WRITING)
        return false;
    declared_remove(lo);
    for (u32 i = 0; i < DECLARED_MAX; i++) {
        u64 state = PEEK(&all[i].lo);
        if (state > GIVEN_UP || !claim(&all[i], state))
            continue;
        POKE(&all[i].bytes, bytes);
        POKE(&all[i].name, names_intern(name));
        RELEASE(&all[i].lo, lo);
        return true;
    }
    return false;
}

bool declared_remove(u64 lo)
{
    struct track_root *all = table();
    for (u32 i = 0; all && lo > WRITING && i < DECLARED_MAX && PEEK(&all[i].lo) != NEVER; i++)
        if (PEEK(&all[i].lo) == lo && claim(&all[i], lo)) {
            RELEASE(&all[i].lo, GIVEN_UP);
            return true;
        }
    return false;
}

u32 track_roots(struct track_root *out, u32 max)
{
    struct track_root *all = ACQUIRE(&declared);
    u32 n = 0;
    for (u32 i = 0; all && n < max && i < DECLARED_MAX; i++) {
        struct track_root r = {ACQUIRE(&all[i].lo), PEEK(&all[i].bytes), PEEK(&all[i].name)};
        if (r.lo == NEVER)
            break;
        if (r.lo > WRITING && ACQUIRE(&all[i].lo) == r.lo)
            out[n++] = r;
    }
    return n;
}
