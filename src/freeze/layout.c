/* SPDX-License-Identifier: MIT
 *
 * layout.c - shapes of the C library's memory that are recognised by what is in them, since nothing
 * public says where they are.
 *
 * Context: frozen, in the clone.
 * Invariant: a shape is taken for what it seems only when several independent words agree; else the
 * memory stays what it was, a root, which can hide a leak but never invent one.
 * Source: glibc 2.36, malloc/malloc.c (malloc_init_state, bin_at), malloc/arena.c (heap_info),
 * nptl/descr.h and sysdeps/x86_64/nptl/tls.h (tcbhead_t).
 */
#include "roots.h"

enum {
    BINS = 127,     /* pairs of words, first and last chunk of each list */
    BINS_EMPTY = 8, /* so many lists at least are empty: those of huge chunks always are */
    ARENA_HEAP_BYTES = 64 << 20,
    ARENA_HEADER_MAX = 128,
    THREAD_BLOCK_MAX = 8192, /* struct pthread, up to the end of the stack's mapping */
    THREAD_ID_FROM = 0x100,  /* tcbhead_t and padding come first */
};

static u64 word_at(u64 address)
{
    return *(const u64 *)address;
}

/* An empty list's words point at where a chunk would begin whose links they are. */
static bool is_empty_bin(u64 address)
{
    return word_at(address) == address - 16 && word_at(address + 8) == address - 16;
}

/* The list of the largest chunks is never used, so it is empty: the last of a row of pairs. */
bool layout_find_bins(struct regions *r, u64 lo, u64 hi, struct own_range *bins)
{
    u64 last = 0;
    u32 empty = 0;
    for (u64 at = lo; at + 16 <= hi; at += 8) {
        if (at % PAGE_BYTES == 0 && !regions_holds(r, at)) {
            at += PAGE_BYTES - 8;
            continue;
        }
        if ((at + 8) % PAGE_BYTES == 0 && !regions_holds(r, at + 8))
            continue;
        if (!is_empty_bin(at))
            continue;
        empty = last && at - last <= BINS * 16 ? empty + 1 : 1;
        last = at;
    }
    if (empty < BINS_EMPTY || last < lo + (BINS - 1) * 16 + 112)
        return false;
    u64 first = last - (BINS - 1) * 16;
    *bins = (struct own_range){first - 112, last + 16}; /* with fast bins and the top chunk */
    return true;
}

u64 layout_arena_end(struct regions *r, u64 address)
{
    if (!regions_holds(r, address))
        return 0;
    u64 arena = word_at(address), before = word_at(address + 8), size = word_at(address + 16),
        usable = word_at(address + 24);
    u64 in_heap = arena % ARENA_HEAP_BYTES;
    bool good = in_heap > 0 && in_heap <= ARENA_HEADER_MAX && arena % 16 == 0 &&
                before % ARENA_HEAP_BYTES == 0 && size > 0 && size % PAGE_BYTES == 0 &&
                size <= usable && usable % PAGE_BYTES == 0 && usable <= ARENA_HEAP_BYTES &&
                (before != 0) == (arena - in_heap != address);
    return good ? address + usable : 0;
}

struct layout_thread layout_learn(int tid, u64 stack_end)
{
    struct layout_thread how = {0};
    u64 self;
    __asm__("mov %%fs:0x10, %0" : "=r"(self)); /* tcbhead_t.self */
    u64 room = stack_end - self;
    if (self >= stack_end || room > THREAD_BLOCK_MAX)
        return how;
    for (u64 at = THREAD_ID_FROM; at + sizeof(u32) <= room; at += sizeof(u32))
        if (*(const u32 *)(self + at) == (u32)tid)
            return (struct layout_thread){.from_end = room, .tid = at};
    return how;
}

u64 layout_dead_stack(struct regions *r, const struct layout_thread *how, u64 lo, u64 hi)
{
    u64 self = hi - how->from_end;
    if (!how->from_end || how->from_end > hi - lo || !regions_holds(r, self) ||
        word_at(self) != self || word_at(self + 16) != self ||
        !regions_holds(r, self + how->tid))
        return 0;
    /* 0 by the kernel when it has ended, -1 by pthread_join */
    return *(const i32 *)(self + how->tid) <= 0 ? self : 0;
}
