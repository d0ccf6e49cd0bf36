/* SPDX-License-Identifier: MIT
 *
 * collapse.c - the index in huge pages, where it is full of blocks.
 *
 * Context: agent, frozen. Threads run on and record.
 * Invariant: what the index holds does not change, and no more than a sixteenth of what is
 * collapsed was not in memory before.
 * Why: cloning a process copies an entry for each of its pages, and that is what threads stand
 * still for. The index of a large heap is a fifth as large as the heap; of 2 MiB pages it adds
 * nothing to speak of (measured: a heap of 740 MB is cloned in a fifth less time; one that is in
 * huge pages itself in 1 ms instead of 9).
 * Why before an image and not after: the copying takes some tenths of a second for 10 million
 * blocks, but while threads run; what threads notice is the stop, and the first one counts too.
 * Why not huge pages from the start: a sparse heap would pay 2 MiB for each 8 MiB of addresses
 * that hold a block, and a small program for its first. Only who takes snapshots gains from them.
 * So leaves are mapped without any, and a part of one is allowed them for as long as it is moved.
 */
#include <sys/mman.h>

#include "index.h"

#ifndef MADV_COLLAPSE /* Linux 6.1; glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

enum {
    HUGE_PAGES = 512,
    HUGE_BYTES = HUGE_PAGES * PAGE_BYTES,
    FULL = HUGE_PAGES / 16 * 15,
};

static bool is_full(u64 leaf, u64 at)
{
    const u64 *pages = (const u64 *)(uintptr_t)leaf;
    struct index_window w = {0};
    u32 touched = 0;
    for (u64 i = 0; i < HUGE_PAGES; i++)
        touched += index_touched(&index_main, &w, pages, (at - leaf) / PAGE_BYTES + i);
    return touched >= FULL;
}

/* Whole rows at once: each call first waits for all processors to put aside what they have in
 * hand, up to 20 ms on a busy machine. */
static void collapse_leaf(u64 leaf)
{
    u64 end = leaf + index_leaf_bytes(&index_main);
    for (u64 at = ROUND_UP(leaf, (u64)HUGE_BYTES), from = at; at + HUGE_BYTES <= end; from = at) {
        while (at + HUGE_BYTES <= end && is_full(leaf, at))
            at += HUGE_BYTES;
        if (at > from) {
            sys_call(SYS_madvise, from, at - from, MADV_HUGEPAGE); /* else it is refused */
            sys_call(SYS_madvise, from, at - from, MADV_COLLAPSE);
            sys_small_pages((void *)from, at - from); /* those that it has by now stay */
        }
        at += HUGE_BYTES;
    }
}

void track_collapse(void)
{
    for (u64 i = 0; (i = index_next_region(&index_main, i)) < INDEX_REGIONS; i++)
        collapse_leaf((u64)(uintptr_t)index_leaf(&index_main, i));
}
