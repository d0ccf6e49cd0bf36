/* SPDX-License-Identifier: MIT
 *
 * nests.c - the rows of a graph whose blocks lie in one another.
 *
 * Context: pure.
 * Invariant: an edge of the snapshot's keeps its place in its row; its number grows by that of the
 * blocks before its source that lie in others. A block around others does not hold them by that.
 * Why an edge: a pool's memory cannot go while a block in it is used, so who holds the block holds
 * the pool, and every question (reach, paths, dominators) has to see it so.
 */
#include "edges.h"
#include "memory.h"

u32 nests_below(const struct graph *g, u32 block)
{
    return BISECT(i, g->inner_count, g->inner[i] < block);
}

/* The block around each; returns how many have one. */
static u32 find_outer(const struct snapshot *s, u32 *outer)
{
    u32 count = 0;
    for (u32 b = 1; b <= s->block_count; b++) {
        u32 at = b - 1;
        while (at > 0 &&
               s->block_addr[b - 1] - s->block_addr[at - 1] >= snapshot_block_bytes(s, (block_id){at}))
            at = outer[at];
        outer[b] = at;
        count += at > 0;
    }
    return count;
}

static bool fill(struct graph *g, const u32 *outer, struct err *e)
{
    const struct snapshot *s = g->s;
    u32 *row = memory_take(g, (u64)s->block_count + 1, sizeof *row, e);
    g->row = row;
    u32 *target = row ? memory_take(g, g->edge_count, sizeof *target, e) : NULL;
    g->target = target;
    if (!target)
        return false;
    u32 edge = 0, inner = 0;
    for (u32 b = 1; b <= s->block_count; b++) {
        row[b - 1] = edge;
        for (u32 from = s->edge_row[b - 1]; from < s->edge_row[b]; from++)
            target[edge++] = s->edge_target[from];
        if (outer[b]) {
            target[edge++] = outer[b];
            g->inner[inner++] = b;
        }
    }
    row[s->block_count] = edge;
    return true;
}

bool nests_build(struct graph *g, struct err *e)
{
    const struct snapshot *s = g->s;
    g->row = s->edge_row;
    g->target = s->edge_target;
    g->edge_count = s->edge_count;
    if (s->nest_count == 0)
        return true;
    u64 room = (u64)s->block_count + 1;
    u32 *outer = memory_take(g, room, sizeof *outer, e);
    if (!outer)
        return false;
    bool ok = true;
    u32 count = find_outer(s, outer);
    if (count > UINT32_MAX - s->edge_count) {
        ok = err_set(e, STATUS_LIMIT, "too many references for a graph");
    } else if (count > 0) {
        g->inner = memory_take(g, count, sizeof *g->inner, e);
        g->inner_count = count;
        g->edge_count += count;
        ok = g->inner && fill(g, outer, e);
        if (!ok)
            nests_free(g);
    }
    memory_give(g, outer, room, sizeof *outer);
    return ok;
}

void nests_free(struct graph *g)
{
    if (g->inner) {
        memory_give(g, (u32 *)(uintptr_t)g->row, (u64)g->s->block_count + 1, sizeof *g->row);
        memory_give(g, (u32 *)(uintptr_t)g->target, g->edge_count, sizeof *g->target);
    }
    memory_give(g, g->inner, g->inner_count, sizeof *g->inner);
    g->inner = NULL;
    g->inner_count = 0;
}
