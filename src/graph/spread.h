/* SPDX-License-Identifier: MIT
 *
 * spread.h - the breadth-first walk that reach, closure and shortest-path trees share, and the loop
 * over the blocks of a set.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_GRAPH_SPREAD_H
#define MOONHEAP_GRAPH_SPREAD_H

#include "edges.h"

struct spread {
    struct graph *g;
    u32 include;
    u64 *seen;  /* a bit a block: was met, or is to be left out */
    u32 *queue; /* blocks in the order in which they were met; room for all */
    u32 *
        holder; /* by block id: who met it first, an entry as those of graph.in; NULL = not asked */
    u32 count;  /* of the queue */
};

/* Takes the queue. `seen` stays the caller's. */
bool spread_begin(struct spread *w, struct graph *g, u32 include, u64 *seen, struct err *e);
void spread_end(struct spread *w);
/* Meets what the roots of an ask refer to. */
void spread_roots(struct spread *w, u32 root_kinds);
/* Meets the blocks of a set. */
void spread_set(struct spread *w, const u64 *set);
/* Meets all that is reached from what was met. */
void spread_run(struct spread *w);

/* for each block id of a set of so many words */
#define SPREAD_EACH(set, words, id)                                                                \
    for (u32 each_word = 0; each_word < (words); each_word++)                                      \
        for (u64 each_bits = (set)[each_word];                                                     \
             each_bits && ((id) = each_word * 64 + (u32)__builtin_ctzll(each_bits) + 1, true);     \
             each_bits &= each_bits - 1)

#endif
