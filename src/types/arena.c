/* SPDX-License-Identifier: MIT
 *
 * arena.c - memory of one question about types.
 *
 * Context: pure.
 * Invariant: every piece is in the list from the moment that it is taken, so freeing the list frees
 * all, also after a jump.
 * Why large pieces come from the kernel, in huge pages where there are any: columns by block are
 * jumped about in, and with pages of 4 KiB nearly every jump misses the TLB as well as the cache.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"

enum { CHUNK_BYTES = 64 << 10, SMALL_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

struct arena_piece {
    struct arena_piece *next;
    u64 mapped;     /* bytes from the kernel; 0: from malloc */
    u64 padding[6]; /* what follows begins a cache line when this does */
};

static struct arena_piece *from_kernel(u64 bytes)
{
    struct arena_piece *p = sys_map(bytes);
    if (!p)
        return NULL;
    u64 from = ROUND_UP((u64)(uintptr_t)p, (u64)HUGE_PAGE_BYTES);
    u64 to = ROUND_DOWN((u64)(uintptr_t)p + bytes, (u64)HUGE_PAGE_BYTES);
    if (from < to)
        sys_call(SYS_madvise, from, to - from, MADV_HUGEPAGE);
    p->mapped = bytes;
    return p;
}

static void *take_piece(struct types_arena *a, size_t bytes)
{
    u64 whole = (u64)bytes + sizeof(struct arena_piece);
    bool large = whole >= 2 * (u64)HUGE_PAGE_BYTES;
    if (large)
        whole = ROUND_UP(whole, (u64)PAGE_BYTES);
    if (whole > a->limit - a->bytes)
        longjmp(*a->out, STATUS_LIMIT);
    struct arena_piece *p = large ? from_kernel(whole) : malloc(whole);
    if (!p)
        longjmp(*a->out, STATUS_NO_MEMORY);
    if (!large)
        p->mapped = 0;
    p->next = a->pieces;
    a->pieces = p;
    a->bytes += whole;
    return p + 1;
}

static void *take(void *context, size_t bytes)
{
    struct types_arena *a = context;
    bytes = ROUND_UP(bytes, sizeof(u64));
    if (bytes > SMALL_BYTES)
        return take_piece(a, bytes);
    if (bytes > a->left) {
        a->chunk = take_piece(a, CHUNK_BYTES);
        a->left = CHUNK_BYTES;
    }
    void *room = a->chunk;
    a->chunk += bytes;
    a->left -= bytes;
    return room;
}

void types_arena_init(struct types_arena *a, u64 limit, jmp_buf *out)
{
    *a = (struct types_arena){.memory = {take, a}, .out = out, .limit = limit};
}

void types_arena_free(struct types_arena *a)
{
    for (struct arena_piece *p = a->pieces, *next; p; p = next) {
        next = p->next;
        if (p->mapped)
            sys_unmap(p, p->mapped);
        else
            free(p);
    }
    a->pieces = NULL;
    a->bytes = a->left = 0;
}
