/* SPDX-License-Identifier: MIT
 *
 * dominators.c - the immediate dominator of every block that roots reach.
 *
 * Context: pure.
 * Source: Lengauer and Tarjan, "A Fast Algorithm for Finding Dominators in a Flowgraph", ACM TOPLAS
 * 1 (1979), the version with simple linking: O(edges * log(blocks)); with the buckets emptied when
 * their owner is reached, as in Georgiadis, Tarjan and Werneck, "Finding Dominators in Practice",
 * JGAA 10 (2006). Their Semi-NCA is a little quicker on most graphs, but quadratic on such as a
 * long list whose last node refers to a table of blocks that roots hold as well, which heaps do
 * have.
 *
 * Vertices are numbered from 1 in the order of a depth-first walk; 0 is all roots together. The
 * arrays, all by vertex but the first:
 *   vertex[b]   of block id b, 0 = not reached
 *   block[v]    block id of v
 *   cursor[v]   while walking: v's next edge to follow; while linking: the stack of compress
 *   node[v].up  v's parent in the walk; once v is linked, some ancestor in the forest
 *   node[v].low, best   the vertex with the least semidominator among those on the way from v up
 * to, not including, its `up`; and that semidominator node[v].bucket      first of the vertices
 * whose semidominator is v; the next ones by idom idom[v]     at last the immediate dominator; with
 * DEFERRED, a vertex that has the same one Invariant: when vertex w is at hand, those above w have
 * their semidominator and are linked, those below are neither; so "is linked" is a comparison with
 * w.
 */
#include "edges.h"
#include "memory.h"

#define DEFERRED 0x80000000u

enum { AHEAD = 8 }; /* vertices */

struct node {
    u32 up, low, best, bucket;
};

struct job {
    struct graph *g;
    struct graph_dominators *d;
    struct node *node;
    u32 *cursor;
};

static u32 number(struct job *j, u32 block, u32 parent)
{
    struct graph_dominators *d = j->d;
    u32 v = ++d->count;
    d->vertex[block] = v;
    d->block[v] = block;
    j->node[v].up = parent;
    j->cursor[v] = j->g->s->edge_row[block - 1];
    return v;
}

/* Follows edges depth first from the block of one root edge. */
static void walk_from(struct job *j, u32 block)
{
    const struct graph *g = j->g;
    const u32 *row = g->s->edge_row, *target = g->s->edge_target;
    u32 *vertex = j->d->vertex;
    u32 v = number(j, block, 0);
    u32 edge = j->cursor[v], end = row[block];
    for (;;) {
        u32 to = 0;
        while (edge < end) {
            u32 e = edge++;
            if (!vertex[target[e]] && edges_count(g, j->d->include, e)) {
                to = target[e];
                break;
            }
        }
        if (to) {
            j->cursor[v] = edge;
            v = number(j, to, v);
            edge = j->cursor[v];
            end = row[to];
            for (u32 e = edge; e < end && e < edge + AHEAD; e++) {
                __builtin_prefetch(&vertex[target[e]]);
                __builtin_prefetch(&row[target[e] - 1]);
            }
        } else {
            v = j->node[v].up;
            if (v == 0)
                return;
            edge = j->cursor[v];
            end = row[j->d->block[v]];
        }
    }
}

static void walk(struct job *j)
{
    const struct snapshot *s = j->g->s;
    for (u32 i = 0; i < s->root_edge_count; i++) {
        u32 block = s->root_edges[i].target;
        if (edges_root_counts(j->g, j->d->include, i) && !j->d->vertex[block])
            walk_from(j, block);
    }
}

/* Makes every vertex from v upwards, whose `up` is linked, hang directly under the tree's top. */
static void compress(struct job *j, u32 v, u32 w)
{
    struct node *node = j->node;
    u32 depth = 0;
    for (; node[v].up > w; v = node[v].up)
        j->cursor[depth++] = v;
    /* v hangs under the top already */
    while (depth > 0) {
        u32 x = j->cursor[--depth];
        if (node[v].best < node[x].best) {
            node[x].best = node[v].best;
            node[x].low = node[v].low;
        }
        node[x].up = node[v].up;
        v = x;
    }
}

/* The vertex with the least semidominator on the way from linked v up to its tree's top. */
static const struct node *evaluate(struct job *j, u32 v, u32 w)
{
    if (j->node[v].up > w)
        compress(j, v, w);
    return &j->node[v];
}

/* Vertices whose semidominator is w: it dominates them, unless one on their way is dominated from
 * further up, and then they are like that one. */
static void empty_bucket(struct job *j, u32 w)
{
    u32 *idom = j->d->idom;
    for (u32 v = j->node[w].bucket, next; v; v = next) {
        next = idom[v];
        const struct node *low = evaluate(j, v, w);
        idom[v] = low->best < w ? low->low | DEFERRED : w;
    }
}

static u32 semidominator(struct job *j, u32 w)
{
    const struct graph *g = j->g;
    u32 b = j->d->block[w], semi = j->node[w].up;
    for (u32 i = g->in_row[b]; i < g->in_row[b + 1] && semi > 0; i++) {
        u32 entry = g->in[i];
        if (!edges_in_counts(g, j->d->include, entry))
            continue;
        if (entry & EDGES_ROOT)
            return 0;
        u32 v = j->d->vertex[entry & EDGES_SOURCE];
        if (v == 0) /* not reached: holds nothing */
            continue;
        u32 least = v > w ? evaluate(j, v, w)->best : v;
        semi = least < semi ? least : semi;
    }
    return semi;
}

static void look_ahead(const struct job *j, u32 w)
{
    const struct graph *g = j->g;
    const u32 *block = j->d->block;
    if (w <= 3 * AHEAD)
        return;
    __builtin_prefetch(&g->in_row[block[w - 3 * AHEAD]]);
    __builtin_prefetch(&g->in[g->in_row[block[w - 2 * AHEAD]]]);
    u32 first = g->in[g->in_row[block[w - AHEAD]]];
    if (!(first & EDGES_ROOT))
        __builtin_prefetch(&j->d->vertex[first & EDGES_SOURCE]);
}

static void link_all(struct job *j)
{
    u32 *idom = j->d->idom;
    for (u32 w = j->d->count; w > 0; w--) {
        look_ahead(j, w);
        empty_bucket(j, w);
        u32 semi = semidominator(j, w);
        struct node *node = &j->node[w];
        node->low = w;
        node->best = semi;
        if (semi == node->up || semi == 0) { /* nothing lies between, or nothing above */
            idom[w] = semi;
        } else {
            idom[w] = j->node[semi].bucket;
            j->node[semi].bucket = w;
        }
    }
    for (u32 w = 1; w <= j->d->count; w++)
        if (idom[w] & DEFERRED)
            idom[w] = idom[idom[w] & ~DEFERRED];
}

/* Dominated vertices come after their dominator, so one pass from the back adds everything up. */
static void add_up(const struct graph *g, struct graph_dominators *d)
{
    const struct snapshot *s = g->s;
    for (u32 v = d->count; v > 0; v--) {
        if (v > 2 * AHEAD)
            __builtin_prefetch(&s->block_size[d->block[v - 2 * AHEAD] - 1]);
        u32 up = d->idom[v];
        d->bytes[v] += snapshot_block_bytes(s, (block_id){d->block[v]});
        d->last[v] = d->last[v] > v ? d->last[v] : v;
        d->bytes[up] += d->bytes[v];
        d->last[up] = d->last[up] > d->last[v] ? d->last[up] : d->last[v];
    }
}

/* Of every array: a record for each block, and one for 0. */
static u64 room(const struct graph *g)
{
    return (u64)g->s->block_count + 1;
}

bool graph_dominators(struct graph *g, u32 include, struct graph_dominators *d, struct err *e)
{
    struct job j = {.g = g, .d = d};
    *d = (struct graph_dominators){.include = include};
    bool ok = (d->vertex = memory_take(g, room(g), sizeof *d->vertex, e)) &&
              (d->block = memory_take(g, room(g), sizeof *d->block, e)) &&
              (d->idom = memory_take(g, room(g), sizeof *d->idom, e)) &&
              (j.node = memory_take(g, room(g), sizeof *j.node, e)) &&
              (j.cursor = memory_take(g, room(g), sizeof *j.cursor, e));
    if (ok) {
        walk(&j);
        link_all(&j);
    }
    memory_give(g, j.node, room(g), sizeof *j.node);
    memory_give(g, j.cursor, room(g), sizeof *j.cursor);
    ok = ok && (d->bytes = memory_take(g, room(g), sizeof *d->bytes, e)) &&
         (d->last = memory_take(g, room(g), sizeof *d->last, e));
    if (ok)
        add_up(g, d);
    else
        graph_dominators_free(g, d);
    return ok;
}

void graph_dominators_free(struct graph *g, struct graph_dominators *d)
{
    memory_give(g, d->vertex, room(g), sizeof *d->vertex);
    memory_give(g, d->block, room(g), sizeof *d->block);
    memory_give(g, d->idom, room(g), sizeof *d->idom);
    memory_give(g, d->bytes, room(g), sizeof *d->bytes);
    memory_give(g, d->last, room(g), sizeof *d->last);
    *d = (struct graph_dominators){0};
}

block_id graph_dominator(const struct graph_dominators *d, block_id b)
{
    /* block[0] is 0, and so is the vertex of what is not reached, whose idom is 0 too. */
    return (block_id){d->block[d->idom[d->vertex[b.v]]]};
}
