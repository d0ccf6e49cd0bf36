/* SPDX-License-Identifier: MIT
 *
 * spread.c - a breadth-first walk along edges from roots or from a set.
 *
 * Context: pure.
 * Invariant: queue[0..count) are the blocks met so far, each once, nearest first; those before the
 * one at hand have had their edges followed. Why a queue: its future is known, so the row and then
 * the edges of a block are asked of memory some blocks before they are needed. On heaps larger than
 * the caches waiting for these is nearly all the time (Cher, Hosking, Vitek, "Software Prefetching
 * for Mark-Sweep Garbage Collection", ASPLOS 2004, who put a queue before the mark stack for this).
 * A queue never holds more than all blocks.
 */
#include "memory.h"
#include "spread.h"

enum { ROW_AHEAD = 16, EDGES_AHEAD = 8 }; /* blocks */

bool spread_begin(struct spread *w, struct graph *g, u32 include, u64 *seen, struct err *e)
{
    *w = (struct spread){.g = g, .include = include, .seen = seen};
    w->queue = memory_take(g, g->s->block_count, sizeof *w->queue, e);
    return w->queue != NULL;
}

void spread_end(struct spread *w)
{
    memory_give(w->g, w->queue, w->g->s->block_count, sizeof *w->queue);
}

static ALWAYS_INLINE void meet(struct spread *w, u32 block, u32 by)
{
    u64 bit = 1ull << ((block - 1) % 64);
    u64 *word = &w->seen[(block - 1) / 64];
    if (*word & bit)
        return;
    *word |= bit;
    w->queue[w->count++] = block;
    if (w->holder)
        w->holder[block] = by;
}

void spread_roots(struct spread *w, u32 root_kinds)
{
    const struct snapshot *s = w->g->s;
    for (u32 i = 0; i < s->root_edge_count; i++) {
        u32 kind = s->roots[s->root_edges[i].root - 1].kind;
        if (root_kinds && !(root_kinds >> kind & 1))
            continue;
        if (edges_root_counts(w->g, w->include, i))
            meet(w, s->root_edges[i].target, i | EDGES_ROOT);
    }
}

void spread_set(struct spread *w, const u64 *set)
{
    u32 b = 0;
    SPREAD_EACH(set, graph_set_words(w->g->s), b)
    meet(w, b, 0);
}

void spread_run(struct spread *w)
{
    const u32 *row = w->g->row, *target = w->g->target;
    for (u32 i = 0; i < w->count; i++) {
        if (i + ROW_AHEAD < w->count)
            __builtin_prefetch(&row[w->queue[i + ROW_AHEAD] - 1]);
        if (i + EDGES_AHEAD < w->count)
            __builtin_prefetch(&target[row[w->queue[i + EDGES_AHEAD] - 1]]);
        u32 b = w->queue[i];
        for (u32 edge = row[b - 1], end = row[b]; edge < end; edge++)
            if (edges_count(w->g, w->include, edge))
                meet(w, target[edge], b);
    }
}
