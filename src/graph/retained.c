/* SPDX-License-Identifier: MIT
 *
 * retained.c - what would be free if a block or a set were.
 *
 * Context: pure.
 * Invariant: a block retains exactly what it dominates; a set may retain more than its blocks do
 * one by one, since what two of them hold together goes with both.
 */
#include <string.h>

#include "memory.h"
#include "spread.h"

u64 graph_retained_bytes(const struct graph_dominators *d, block_id b)
{
    u32 v = d->vertex[b.v];
    return v ? d->at[v].bytes : 0;
}

void graph_retained_block(const struct graph *g, const struct graph_dominators *d, block_id b,
                          u64 *out)
{
    memset(out, 0, graph_set_words(g->s) * sizeof *out);
    u32 top = d->vertex[b.v];
    if (!top)
        return;
    graph_set_add(out, b);
    /* Vertices between that it does not dominate are dominated from above it, or by one such. */
    for (u32 v = top + 1; v <= d->at[top].last; v++)
        if (d->at[v].idom >= top && graph_set_has(out, (block_id){d->block[d->at[v].idom]}))
            graph_set_add(out, (block_id){d->block[v]});
}

bool graph_retained_set(struct graph *g, u32 include, const u64 *set, u64 *out, struct err *e)
{
    u32 words = graph_set_words(g->s);
    struct graph_ask all = {.include = include}, without = {.include = include, .without = set};
    u64 *kept = memory_take(g, words, sizeof *kept, e);
    bool ok = kept && graph_reach(g, &without, kept, e) && graph_closure(g, &all, set, out, e);
    for (u32 i = 0; ok && i < words; i++)
        out[i] &= ~kept[i];
    memory_give(g, kept, words, sizeof *kept);
    return ok;
}

/* Is x a worse candidate than y: retains less, or as much and lies higher? */
static bool is_worse(const struct graph_dominators *d, block_id x, block_id y)
{
    u64 a = graph_retained_bytes(d, x), b = graph_retained_bytes(d, y);
    return a != b ? a < b : x.v > y.v;
}

/* Moves heap[i] down to where it belongs: the worst is at the top. */
static void sift(const struct graph_dominators *d, block_id *heap, u32 count, u32 i)
{
    for (;;) {
        u32 worst = i;
        for (u64 child = 2 * (u64)i + 1; child <= 2 * (u64)i + 2; child++)
            if (child < count && is_worse(d, heap[child], heap[worst]))
                worst = (u32)child;
        if (worst == i)
            return;
        block_id x = heap[i];
        heap[i] = heap[worst];
        heap[worst] = x;
        i = worst;
    }
}

u32 graph_retained_largest(const struct graph_dominators *d, block_id *out, u32 n)
{
    u32 count = 0;
    for (u32 v = 1; v <= d->count && n > 0; v++) {
        block_id b = {d->block[v]};
        if (count < n) {
            out[count++] = b;
            for (u32 i = count / 2; count == n && i-- > 0;)
                sift(d, out, count, i);
        } else if (is_worse(d, out[0], b)) {
            out[0] = b;
            sift(d, out, count, 0);
        }
    }
    for (u32 i = count / 2; count < n && i-- > 0;)
        sift(d, out, count, i);
    /* Takes the worst off the heap to behind it, again and again. */
    for (u32 left = count; left > 1;) {
        block_id worst = out[0];
        out[0] = out[--left];
        out[left] = worst;
        sift(d, out, left, 0);
    }
    return count;
}
