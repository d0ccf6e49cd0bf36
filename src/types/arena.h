/* SPDX-License-Identifier: MIT
 *
 * arena.h - memory of one question about types: taken piece by piece, let go all at once.
 *
 * Context: pure; inside the room only.
 * Invariant: `take` of its memory never returns NULL. When memory or the limit is out it jumps to
 * `out`, which the owner has set and is still inside of.
 */
#ifndef MOONHEAP_TYPES_ARENA_H
#define MOONHEAP_TYPES_ARENA_H

#include <setjmp.h>

#include "types.h"

struct types_arena {
    struct types_memory memory;
    jmp_buf *out;
    u64 limit, bytes; /* taken from the kernel and from malloc */
    struct arena_piece *pieces;
    u8 *chunk; /* small records are cut from here */
    size_t left;
};

void types_arena_init(struct types_arena *a, u64 limit, jmp_buf *out);
void types_arena_free(struct types_arena *a);

#endif
