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
 * Vertices are numbered from 1 in the order of a depth-first walk; 0 is all roots together.
 * Invariant: when vertex w is at hand, those above w have their semidominator and are linked, those
 * below are neither; so "is linked" is a comparison with w.
 * Most blocks of a heap have one reference only. Such a vertex hangs under the one that refers to
 * it, and nothing else need be looked at: the walk notes the others, the joins.
 */
#include "edges.h"
#include "memory.h"

#define DEFERRED 0x80000000u

enum { AHEAD = 8, FIRST_FEW = 4 }; /* vertices or edges; far enough for memory to answer */

/* Of a vertex. */
struct node {
    u32 up;     /* its parent in the walk; once it is linked, some ancestor in the forest */
    u32 low;    /* the vertex with the least semidominator on the way from it up to, not including,
                   its `up` */
    u32 best;   /* that semidominator */
    u32 bucket; /* first of the vertices whose semidominator it is; the next ones by idom */
};
_Static_assert(sizeof(struct node) == sizeof(struct graph_vertex), "one becomes the other");

struct job {
    struct graph *g;
    struct graph_dominators *d;
    struct node *node; /* by vertex; the memory that the result's vertices lie in afterwards */
    u32 *idom;  /* by vertex: at last its immediate dominator; with DEFERRED, a vertex that has
                   the same one; before, the next of its bucket */
    u64 *joins; /* a bit a vertex: more than one reference leads to it */
    u32 *stack; /* compress's */
};

static void note_join(struct job *j, u32 v)
{
    j->joins[v / 64] |= 1ull << (v % 64);
}

static bool is_join(const struct job *j, u32 v)
{
    return j->joins[v / 64] >> (v % 64) & 1;
}

static u32 number(struct job *j, u32 block, u32 parent)
{
    struct graph_dominators *d = j->d;
    u32 v = ++d->count;
    d->vertex[block] = v;
    d->block[v] = block;
    j->node[v].up = parent;
    return v;
}

/* A vertex some of whose edges are still to be followed. While walking, a stack of these lies in
 * those fields of the nodes that are not yet in use: vertex in `low`, edges in `best`, `bucket`. */
static void push(struct job *j, u32 depth, u32 v, u32 edge, u32 end)
{
    struct node *at = &j->node[depth];
    at->low = v;
    at->best = edge;
    at->bucket = end;
}

/* Asks memory for what following a row needs. */
static ALWAYS_INLINE void ask_ahead(const struct job *j, u32 edge, u32 end)
{
    const u32 *row = j->g->row, *target = j->g->target;
    for (u32 e = edge; e < end && e < edge + AHEAD; e++) {
        __builtin_prefetch(&j->d->vertex[target[e]], 1);
        __builtin_prefetch(&row[target[e] - 1]);
    }
}

/* Follows edges depth first from the block of one root edge. Returns how deep the stack was. */
static u32 walk_from(struct job *j, u32 block)
{
    const struct graph *g = j->g;
    const u32 *row = g->row, *target = g->target, *vertex = j->d->vertex;
    u32 v = number(j, block, 0), depth = 0, deepest = 0;
    u32 edge = row[block - 1], end = row[block];
    ask_ahead(j, edge, end);
    for (;;) {
        if (edge == end) {
            if (depth == 0)
                return deepest;
            const struct node *at = &j->node[--depth];
            v = at->low;
            edge = at->best;
            end = at->bucket;
        }
        u32 e = edge++, to = target[e];
        if (edge + AHEAD < end) {
            u32 later = target[edge + AHEAD];
            __builtin_prefetch(&vertex[later], 1);
            __builtin_prefetch(&row[later - 1]);
            __builtin_prefetch(&target[row[target[edge + AHEAD / 2] - 1]]);
        }
        if (!edges_count(g, j->d->include, e))
            continue;
        if (vertex[to]) {
            note_join(j, vertex[to]);
            continue;
        }
        u32 first = row[to - 1], last = row[to], w = number(j, to, v);
        if (first == last)
            continue;
        if (edge < end) {
            push(j, depth++, v, edge, end);
            deepest = depth > deepest ? depth : deepest;
        }
        v = w;
        edge = first;
        end = last;
        ask_ahead(j, edge, end);
    }
}

static void walk(struct job *j)
{
    const struct snapshot *s = j->g->s;
    u32 deepest = 0;
    for (u32 i = 0; i < s->root_edge_count; i++) {
        u32 block = s->root_edges[i].target;
        if (!edges_root_counts(j->g, j->d->include, i))
            continue;
        if (j->d->vertex[block]) {
            note_join(j, j->d->vertex[block]);
            continue;
        }
        u32 depth = walk_from(j, block);
        deepest = depth > deepest ? depth : deepest;
    }
    for (u32 i = 0; i < deepest; i++)
        j->node[i].bucket = 0;
}

/* Makes every vertex from v upwards, whose `up` is linked, hang directly under the tree's top. */
static void compress(struct job *j, u32 v, u32 w)
{
    struct node *node = j->node;
    u32 depth = 0;
    for (; node[v].up > w; v = node[v].up)
        j->stack[depth++] = v;
    /* v hangs under the top already */
    while (depth > 0) {
        u32 x = j->stack[--depth];
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
    u32 *idom = j->idom;
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

/* The entries of the row of references to a vertex, the first few of them. */
static const u32 *first_entries(const struct graph *g, u32 block, u32 *count)
{
    u32 entries = g->in_row[block + 1] - g->in_row[block];
    *count = entries < FIRST_FEW ? entries : FIRST_FEW;
    return &g->in[g->in_row[block]];
}

/* Asks memory for what joins soon to come need: the row, its entries, their vertices and nodes. */
static void look_ahead(const struct job *j, u32 w)
{
    const struct graph *g = j->g;
    const u32 *block = j->d->block, *vertex = j->d->vertex, *entry;
    u32 count;
    if (w <= 4 * AHEAD)
        return;
    if (is_join(j, w - 4 * AHEAD))
        __builtin_prefetch(&g->in_row[block[w - 4 * AHEAD]]);
    if (is_join(j, w - 3 * AHEAD))
        __builtin_prefetch(&g->in[g->in_row[block[w - 3 * AHEAD]]]);
    if (is_join(j, w - 2 * AHEAD)) {
        entry = first_entries(g, block[w - 2 * AHEAD], &count);
        for (u32 i = 0; i < count; i++)
            __builtin_prefetch(&vertex[entry[i] & EDGES_ROOT ? 0 : entry[i] & EDGES_SOURCE]);
    }
    if (is_join(j, w - AHEAD)) {
        entry = first_entries(g, block[w - AHEAD], &count);
        for (u32 i = 0; i < count; i++)
            if (!(entry[i] & EDGES_ROOT))
                __builtin_prefetch(&j->node[vertex[entry[i] & EDGES_SOURCE]]);
    }
}

static void link_all(struct job *j)
{
    u32 *idom = j->idom;
    for (u32 w = j->d->count; w > 0; w--) {
        look_ahead(j, w);
        empty_bucket(j, w);
        struct node *node = &j->node[w];
        u32 semi = is_join(j, w) ? semidominator(j, w) : node->up;
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
static void add_up(const struct job *j)
{
    const struct snapshot *s = j->g->s;
    const u32 *block = j->d->block;
    struct graph_vertex *at = j->d->at;
    for (u32 v = 0; v <= j->d->count; v++)
        at[v] = (struct graph_vertex){.idom = j->idom[v], .last = v};
    for (u32 v = j->d->count; v > 0; v--) {
        if (v > 2 * AHEAD) {
            __builtin_prefetch(&s->block_size[block[v - 2 * AHEAD] - 1]);
            __builtin_prefetch(&at[at[v - 2 * AHEAD].idom], 1);
        }
        struct graph_vertex *up = &at[at[v].idom];
        at[v].bytes += snapshot_block_own_bytes(s, (block_id){block[v]});
        up->bytes += at[v].bytes;
        up->last = up->last > at[v].last ? up->last : at[v].last;
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
              (d->at = memory_take(g, room(g), sizeof *d->at, e)) &&
              (j.idom = memory_take(g, room(g), sizeof *j.idom, e)) &&
              (j.stack = memory_take(g, room(g), sizeof *j.stack, e)) &&
              (j.joins = memory_take(g, room(g) / 64 + 1, sizeof *j.joins, e));
    if (ok) {
        j.node = (struct node *)d->at;
        walk(&j);
        link_all(&j);
        add_up(&j);
    }
    memory_give(g, j.idom, room(g), sizeof *j.idom);
    memory_give(g, j.stack, room(g), sizeof *j.stack);
    memory_give(g, j.joins, room(g) / 64 + 1, sizeof *j.joins);
    if (!ok)
        graph_dominators_free(g, d);
    return ok;
}

void graph_dominators_free(struct graph *g, struct graph_dominators *d)
{
    memory_give(g, d->vertex, room(g), sizeof *d->vertex);
    memory_give(g, d->block, room(g), sizeof *d->block);
    memory_give(g, d->at, room(g), sizeof *d->at);
    *d = (struct graph_dominators){0};
}

block_id graph_dominator(const struct graph_dominators *d, block_id b)
{
    /* block[0] is 0, and so is the vertex of what is not reached, whose idom is 0 too. */
    return (block_id){d->block[d->at[d->vertex[b.v]].idom]};
}
