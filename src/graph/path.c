/* SPDX-License-Identifier: MIT
 *
 * path.c - shortest paths from roots to one block, found from the block backwards.
 *
 * Context: pure.
 * Invariant: next[b] is the block that b was found to lead to, so following it from any block found
 * ends at the one asked for; blocks are found in the order of their distance.
 * Why backwards: few blocks lead to a given one compared with those that roots lead to, and the
 * search ends at the first root. Breadth first, so the first root found is a nearest one (Moore,
 * "The shortest path through a maze", 1959). Arrays are by block id, but pages that the search does
 * not come to are never touched.
 */
#include "memory.h"
#include "path.h"

bool path_begin(struct graph *g, struct graph_path *p, u64 count, struct err *e)
{
    p->steps = memory_take(g, count, sizeof *p->steps, e);
    if (!p->steps)
        return false;
    p->count = (u32)count;
    return true;
}

void graph_path_free(struct graph *g, struct graph_path *p)
{
    memory_give(g, p->steps, p->count, sizeof *p->steps);
    *p = (struct graph_path){0};
}

struct search {
    struct graph *g;
    u32 include;
    u32 *next;  /* by block id, 0 = not found yet; the block asked for leads to itself */
    u32 *queue; /* blocks found */
};

/* Writes down the way from the block that a root refers to. */
static bool write_path(const struct search *x, u32 root_edge, u32 block, struct graph_path *p,
                       struct err *e)
{
    u64 steps = 1;
    for (u32 b = block; x->next[b] != b; b = x->next[b])
        steps++;
    if (!path_begin(x->g, p, steps, e))
        return false;
    p->root_edge = root_edge;
    p->include = x->include;
    for (u32 i = 0, b = block; i < p->count; i++, b = x->next[b])
        p->steps[i] = (block_id){b};
    return true;
}

static bool search(const struct search *x, u32 block, struct graph_path *paths, u32 room,
                   u32 *count, struct err *e)
{
    const struct graph *g = x->g;
    u32 found = 0;
    x->next[block] = block;
    x->queue[found++] = block;
    for (u32 i = 0; i < found && *count < room; i++) {
        u32 b = x->queue[i];
        for (u32 at = g->in_row[b]; at < g->in_row[b + 1] && *count < room; at++) {
            u32 entry = g->in[at], source = entry & EDGES_SOURCE;
            if (!edges_in_counts(g, x->include, entry))
                continue;
            if (entry & EDGES_ROOT) {
                if (!write_path(x, (entry & ~EDGES_ROOT) + 1, b, &paths[*count], e))
                    return false;
                (*count)++;
            } else if (!x->next[source]) {
                x->next[source] = b;
                x->queue[found++] = source;
            }
        }
    }
    return true;
}

bool graph_paths(struct graph *g, u32 include, block_id block, struct graph_path *paths, u32 room,
                 u32 *count, struct err *e)
{
    u64 blocks = g->s->block_count;
    struct search x = {.g = g, .include = include};
    *count = 0;
    x.next = memory_take(g, blocks + 1, sizeof *x.next, e);
    x.queue = x.next ? memory_take(g, blocks, sizeof *x.queue, e) : NULL;
    bool ok = x.queue && search(&x, block.v, paths, room, count, e);
    if (!ok)
        for (; *count > 0; --*count)
            graph_path_free(g, &paths[*count - 1]);
    memory_give(g, x.next, blocks + 1, sizeof *x.next);
    memory_give(g, x.queue, blocks, sizeof *x.queue);
    return ok;
}

bool graph_path(struct graph *g, u32 include, block_id block, struct graph_path *p, struct err *e)
{
    u32 count;
    *p = (struct graph_path){0};
    return graph_paths(g, include, block, p, 1, &count, e);
}

bool graph_why(struct graph *g, block_id block, struct graph_path *p, struct err *e)
{
    static const u32 weaker[] = {GRAPH_STRONG, GRAPH_INTERIOR, GRAPH_HOLDING, GRAPH_ANY};
    for (u32 i = 0; i < COUNT_OF(weaker); i++) {
        if (!graph_path(g, weaker[i], block, p, e))
            return false;
        if (p->count > 0)
            break;
    }
    return true;
}

/* Of several references from one step to the next, the first that counts. */
struct graph_ref graph_path_ref(const struct graph *g, const struct graph_path *p, u32 i)
{
    if (i == 0)
        return graph_root_ref(g, p->root_edge);
    struct graph_ref ref = {0};
    struct graph_walk w = graph_referents(g, p->include, p->steps[i - 1]);
    while (graph_next(&w, &ref) && ref.target.v != p->steps[i].v)
        continue;
    return ref;
}
