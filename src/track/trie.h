/* SPDX-License-Identifier: MIT
 *
 * trie.h - call stacks that share memory: a stack is a node, its parent the stack of the caller.
 *
 * Context: hot, lock-free.
 * Invariant: a node never changes once its number is known, and its parent's number is less than
 * its own. Equal stacks have equal numbers but for rare duplicates (made by threads at the same
 * moment, or of a frame that has two numbers); who lists stacks merges those.
 */
#ifndef MOONHEAP_TRACK_TRIE_H
#define MOONHEAP_TRACK_TRIE_H

#include "frames.h"
#include "track.h"

enum { TRIE_NUMBER_BITS = 26, TRIE_NUMBER_MAX = (1 << TRIE_NUMBER_BITS) - 1 };

/* A frame as the trie is told it: its number, and whether the stack went on beyond it but was cut.
 */
#define TRIE_CUT (1u << 30)

/* Frames that are none: marks of the program's. */
#define TRIE_MARK    (1u << 29)
#define TRIE_IGNORED (TRIE_MARK | (TRIE_MARK - 1))
static inline u32 trie_tag(u32 name)
{
    return TRIE_MARK | name;
}

/* Before the first use, while one thread runs; false when memory is refused. */
bool trie_start(void);

/* Where a thread makes its nodes: a stretch of the trie's memory that it has to itself, empty at
 * first. */
struct trie_room {
    u32 next, end;
    u32 taken; /* how long the stretch was */
};

/* The node of a stack below another one, found or made; 0 when there is no room. nodes[0..count)
 * gets the node of each frame. No frames: the parent. */
u32 trie_intern(struct trie_room *room, u32 parent, const u32 *frames, u32 count, u32 *nodes);

u64 trie_own_bytes(void);
void trie_after_fork(void);

#endif
