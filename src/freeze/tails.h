/* SPDX-License-Identifier: MIT
 *
 * tails.h - the section TAILS: blocks of vector-like owners, whose end is spare room.
 *
 * Context: frozen, in the clone; inside the room only.
 * Invariant: a block has a tail only when some owner has three words in a row that are the block's
 * beginning, a place in it, and exactly its end, as std::vector has; of several owners the one that
 * says most is in use is believed. That a tail is one changes no block's reach: it is a remark.
 *
 * Why exactly the end: a buffer with a place to read from and one to write to has three pointers
 * into one block too, and what lies behind the first of them is not spare. Why not from the edges,
 * later: the third word points one past the block, so it is no edge.
 */
#ifndef MOONHEAP_FREEZE_TAILS_H
#define MOONHEAP_FREEZE_TAILS_H

#include "regions.h"

/* Three words in a row are looked for as references are found, in the order of their words. */
struct tails {
    u64 *used; /* by block, counted from 0: bytes in use + 1; 0 = nobody owns it so */
    u64 bytes;
    u64 *touched; /* a bit for each page of `used` that has something */
    u64 touched_bytes;
    u32 blocks;
    /* the last reference to the beginning of a block */
    u32 source, word, target;
};

/* false when memory is out. */
bool tails_begin(struct tails *t, u32 blocks);
void tails_end(struct tails *t);

/* Does a reference come right behind one to the beginning of the same block? */
static ALWAYS_INLINE bool tails_second(struct tails *t, u32 source, u32 word, u32 target, u64 into)
{
    bool second = t->target == target && t->source == source && t->word + 1 == word;
    t->source = source;
    t->word = word;
    t->target = into ? 0 : target;
    return second;
}

/* The second of three words, at `at` in an area that ends at `end`, points `into` bytes into the
 * block `block` (from 0) of [lo, hi): if the third says so, that many are in use. */
void tails_claim(struct tails *t, struct regions *regions, u64 at, u64 end, u32 block, u64 lo,
                 u64 hi, u64 into);

/* Writes the section: blocks whose tails have references in them. false when there was not room
 * for all. Rows of edges must be whole; `row` and `word` are EDGE_ROW and EDGE_AT. */
bool tails_write(const struct tails *t, struct freeze_job *j, const u32 *row, const u16 *word);

#endif
