/* SPDX-License-Identifier: MIT
 *
 * trim.c - pages of the index whose blocks are all gone go back to the kernel.
 *
 * Context: agent; threads run on and record. index_settle: hot.
 * Invariant: no record is lost. A page that looks empty may get a record at any moment, so it is
 * not thrown away but taken aside: mremap with MREMAP_DONTUNMAP moves pages and leaves new ones
 * behind in one step, as threads see it. What has come into them meanwhile is put back. Until then
 * `index_trims` is odd; it is another number after each time.
 *   A thread that records writes to the old page or the new one. Either is right, even for the two
 * words of one record: what is put back finds its place free, since the block still lives.
 *   A thread that erases may find nothing, or read the old page and clear the new one. So after it
 * has cleared a record it looks whether the number has moved since it last did; if so it waits
 * until the number is even, and clears what was put back. Until then the block is its own. Its
 * look comes after its store, although processors do these in any order: the store can only have
 * met the new page after a page fault or the interrupt that makes it forget the old one.
 * Why not while threads stand: to look through the index of a heap that has shrunk by gigabytes
 * would lengthen the stop; and to wait until no thread is inside the recorder may take for ever.
 * Kernels before 5.7 do not know that flag: there nothing is given back.
 */
#include <sys/mman.h>

#include "record.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { PAGE_WORDS = PAGE_BYTES / sizeof(u64), SETTLE_YIELDS = 10000, RUN_MAX = 256 };

_Alignas(CACHE_LINE) u32 index_trims;

COLD void index_settle(void)
{
    /* Who is about to put things back may be long in getting its turn, and is not there in a child
     * that was made without fork. */
    for (u32 i = 0; i < SETTLE_YIELDS && (ACQUIRE(&index_trims) & 1); i++)
        sys_call(SYS_sched_yield, 0, 0, 0);
}

void trim_after_fork(void)
{
    u32 trims = ACQUIRE(&index_trims);
    RELEASE(&index_trims, trims + (trims & 1));
}

static bool is_empty(const u64 *page)
{
    for (u32 i = 0; i < PAGE_WORDS; i++)
        if (PEEK(&page[i]))
            return false;
    return true;
}

/* A record's second word first, so that nobody finds the first one alone. */
static void put_back(u64 *to, const u64 *aside, u64 words)
{
    for (u64 i = words; i-- > 0;) {
        u64 none = 0;
        if (aside[i])
            __atomic_compare_exchange_n(&to[i], &none, aside[i], false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED);
    }
}

static bool give_back(u64 *pages, u64 count)
{
    size_t bytes = count * PAGE_BYTES;
    u32 even = ACQUIRE(&index_trims) & ~1u;
    if (!__atomic_compare_exchange_n(&index_trims, &even, even + 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return false;
    long aside = sys_call6(SYS_mremap, (long)pages, (long)bytes, (long)bytes,
                           MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0, 0);
    if (!sys_failed(aside))
        put_back(pages, (const u64 *)aside, count * PAGE_WORDS);
    RELEASE(&index_trims, even + 2);
    if (!sys_failed(aside))
        sys_call(SYS_munmap, aside, bytes, 0);
    return !sys_failed(aside);
}

/* Pages that are empty, in runs. */
static bool trim_leaf(const struct index *x, u64 *leaf)
{
    struct index_window w = {0};
    u64 end = index_leaf_slots(x) / PAGE_WORDS, run = 0;
    for (u64 i = 0; i <= end; i++) {
        u64 *page = leaf + i * PAGE_WORDS;
        bool empty = i < end && index_touched(x, &w, leaf, i) && is_empty(page);
        if (run && (!empty || run == RUN_MAX)) {
            if (!give_back(page - run * PAGE_WORDS, run))
                return false;
            run = 0;
        }
        run += empty;
    }
    return true;
}

static bool trim_index(const struct index *x)
{
    for (u64 i = 0; (i = index_next_region(x, i)) < INDEX_REGIONS; i++)
        if (!trim_leaf(x, index_leaf(x, i)))
            return false;
    return true;
}

void track_trim(void)
{
    if (trim_index(&index_main) && trim_index(&index_small))
        trim_index(&index_large);
}

/* The second word of a record can have been aside while the first one was erased. */
static u64 late_size(u64 address)
{
    u64 *slot = index_slot(&index_main, address), word;
    if (blocks_begins_page(address) && !(slot && PEEK(slot + 1)))
        slot = index_slot(&index_large, address);
    if (!(slot && PEEK(slot + 1)))
        slot = index_slot(&index_small, address);
    word = slot ? PEEK(slot + 1) : 0;
    if (!word || (word & 1))
        return 0;
    POKE(slot + 1, 0);
    return word >> 1;
}

NOINLINE struct index_record record_take_again(struct thread *t, const void *p, struct index_record r)
{
    u32 seen;
    do {
        index_settle();
        seen = ACQUIRE(&index_trims);
        struct index_record left = blocks_take((u64)p);
        if (!r.word)
            r = left;
        if (r.word && index_long(r.word) && !r.size)
            r.size = late_size((u64)p);
    } while (seen != ACQUIRE(&index_trims) && !(seen & 1));
    t->trims_seen = seen;
    return r;
}
