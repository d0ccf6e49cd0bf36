/* SPDX-License-Identifier: MIT
 *
 * trie.h - call stacks that share memory: a stack is a node, its parent the stack of the caller.
 *
 * Context: hot, lock-free.
 * Invariant: a node never changes once its number is known, and its parent's number is less than
 * its own. Equal stacks have equal numbers but for rare duplicates (made while the lookup table
 * grows); who lists stacks merges those.
 */
#ifndef MOONHEAP_TRACK_TRIE_H
#define MOONHEAP_TRACK_TRIE_H

#include "track.h"

enum { TRIE_NODE_MAX = (1 << 26) - 1 };

/* A frame as the trie keeps it: 48 bits of code address, 12 of module incarnation, cut flag. */
#define TRIE_CUT (1ul << 63)
static ALWAYS_INLINE u64 trie_frame(u64 pc, u32 incarnation)
{
    return (pc & 0xffffffffffff) | (u64)incarnation << 48;
}

/* Before the first trie_intern, while one thread runs; false when memory is refused. */
bool trie_start(void);

/* The number of the node (parent, frame), made when it is new; 0 when there is no room. */
u32 trie_intern(u32 parent, u64 frame);

u64 trie_own_bytes(void);
void trie_after_fork(void);

#endif
