/* SPDX-License-Identifier: MIT
 *
 * edges.h - how the rows are read: the class of an edge from its source's side, and an entry of the
 * rows of references to each block.
 *
 * Context: pure; inside the room only.
 * Invariant: both sides give one edge the same class.
 */
#ifndef MOONHEAP_GRAPH_EDGES_H
#define MOONHEAP_GRAPH_EDGES_H

#include "graph.h"

/* An entry of graph.in: a root's edge (its 0-based index), or a source block with the class of the
 * edge, so that walking backwards need not look the edge up. */
#define EDGES_ROOT      0x80000000u
#define EDGES_CLASS_AT  29
#define EDGES_SOURCE    ((1u << EDGES_CLASS_AT) - 1)
#define EDGES_MAX_BLOCK EDGES_SOURCE /* highest block id that fits */
_Static_assert(GRAPH_HOLDING == 3, "the class of an edge between blocks has two bits");

static inline bool edges_bit(const u64 *bits, u32 edge)
{
    return bits && (bits[edge / 64] >> (edge % 64) & 1);
}

static inline u32 edges_class(const struct graph *g, u32 edge)
{
    return (edges_bit(g->interior, edge) ? GRAPH_INTERIOR : 0) |
           (edges_bit(g->tail, edge) ? GRAPH_TAIL : 0);
}

/* nests.c: makes the rows of the graph. */
bool nests_build(struct graph *g, struct err *e);
void nests_free(struct graph *g);
/* How many blocks below id `block` lie in others: so many edges of theirs are not in the snapshot. */
u32 nests_below(const struct graph *g, u32 block);
/* Is that the edge of a block to the one around it? */
static inline bool edges_part(const struct graph *g, u32 source, u32 edge)
{
    return g->inner && edge + 1 == g->row[source] &&
           nests_below(g, source + 1) != nests_below(g, source);
}

static inline bool edges_count(const struct graph *g, u32 include, u32 edge)
{
    /* The first half only saves reading the bits when they have no say. */
    return graph_counts(include, GRAPH_HOLDING) || graph_counts(include, edges_class(g, edge));
}

static inline u32 edges_root_class(const struct graph *g, const struct snapshot_root_edge *r)
{
    return (r->into ? GRAPH_INTERIOR : 0) |
           (snapshot_root_weak(g->s->roots[r->root - 1].kind) ? GRAPH_WEAK_ROOT : 0);
}

static inline bool edges_root_counts(const struct graph *g, u32 include, u32 root_edge)
{
    return graph_counts(include, edges_root_class(g, &g->s->root_edges[root_edge]));
}

static inline bool edges_in_counts(const struct graph *g, u32 include, u32 entry)
{
    if (entry & EDGES_ROOT)
        return edges_root_counts(g, include, entry & ~EDGES_ROOT);
    return graph_counts(include, entry >> EDGES_CLASS_AT);
}

#endif
