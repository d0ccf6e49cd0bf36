/* SPDX-License-Identifier: MIT
 *
 * graph.h - the door of graph: who refers to whom in a snapshot, what roots reach, by which path,
 * and what would go with a block.
 *
 * Context: pure.
 * Invariant: every pass asks the same predicate, graph_counts, which references count; nothing
 * recurses, so the depth of a structure is no limit; what a pass took it has given back when it
 * returns, but for its result. Functions that return bool fill *e when they return false: no
 * memory, or more than the graph may take; then there is no result to free.
 *
 * A set of blocks is a bitmap: block id b is bit (b - 1) % 64 of word (b - 1) / 64, bits past the
 * last block are 0. The caller owns the words, graph_set_words() of them.
 */
#ifndef MOONHEAP_GRAPH_GRAPH_H
#define MOONHEAP_GRAPH_GRAPH_H

#include "snapshot/snapshot.h"

/* What can be weak about a reference. X(NAME, bit, word) */
#define GRAPH_CLASSES(X)                                                                           \
    X(INTERIOR, 1, "interior pointer") /* leads into the middle of its target */                   \
    X(TAIL, 2, "unused tail")          /* lies where its source has no elements any more */        \
    X(WEAK_ROOT, 4, "dead stack slot") /* its root holds what nobody will read again */

enum {
#define X(name, bit, word) GRAPH_##name = bit,
    GRAPH_CLASSES(X)
#undef X
    /* What a pass can be asked to include: */
    GRAPH_STRONG = 0,                            /* only references with nothing weak */
    GRAPH_HOLDING = GRAPH_INTERIOR | GRAPH_TAIL, /* what LeakSanitizer follows */
    GRAPH_ANY = GRAPH_HOLDING | GRAPH_WEAK_ROOT,
};

/* The one predicate: does a reference of that class count for a pass that includes so much? */
static inline bool graph_counts(u32 include, u32 class)
{
    return (class & ~include) == 0;
}
/* "interior pointer"... of the lowest bit of a class; "" of none. */
const char *graph_class_word(u32 class);

struct graph {
    const struct snapshot *s;
    u64 memory_limit; /* bytes that all of its arrays and those of its results may have */
    u64 memory_bytes; /* that they have */
    /* The edges, as the snapshot has them; but where blocks lie in others, each such has one more at
     * the end of its row: to the block around it, which cannot go while it is used. */
    const u32 *row, *target;
    u32 edge_count;
    u32 *inner; /* ids of those blocks, ascending; NULL when there are none, and rows are the
                   snapshot's own */
    u32 inner_count;
    u32 *in_row;      /* references to block id b are in[in_row[b]] to in[in_row[b + 1]]; NULL before
                         graph_rows */
    u32 *in;          /* roots' first, then by source; edges.h says how to read one */
    u64 *interior;    /* a bit an edge: leads into the middle; NULL when none does */
    u64 *tail;        /* a bit an edge: lies in an unused tail; NULL when none does */
    u64 in_count;
};

/* Enough for what follows references forwards only: reach, closures, referents, retained sets. The
 * snapshot must have references (STATUS_UNSUPPORTED else) and outlive the graph. */
bool graph_open(struct graph *g, const struct snapshot *s, u64 memory_limit, struct err *e);
/* Makes the rows of references to each block, which everything else needs, unless they are there.
 * O(blocks + edges); 4 bytes a block and a reference (160 MB for 10 million blocks with three
 * each). */
bool graph_rows(struct graph *g, struct err *e);
/* Both; after a failure nothing is to be freed. */
bool graph_build(struct graph *g, const struct snapshot *s, u64 memory_limit, struct err *e);
void graph_free(struct graph *g);

static inline u32 graph_set_words(const struct snapshot *s)
{
    return (u32)(((u64)s->block_count + 63) / 64);
}
static inline bool graph_set_has(const u64 *set, block_id b)
{
    return set[(b.v - 1) / 64] >> ((b.v - 1) % 64) & 1;
}
static inline void graph_set_add(u64 *set, block_id b)
{
    set[(b.v - 1) / 64] |= 1ull << ((b.v - 1) % 64);
}

/* --- references one by one ----------------------------------------------------------------- */

#define GRAPH_PART UINT64_MAX

struct graph_ref {
    u32 root_edge;   /* 1-based index into the snapshot's root_edges; 0 = from the block `source` */
    block_id source; /* {0} when from a root */
    block_id target;
    u64 offset; /* of its word in the source; of a root, the word's address; GRAPH_PART: no word,
                   the source lies in the target */
    u32 into;   /* bytes from the target's start; SNAPSHOT_INTO_FAR: or more */
    u32 class;  /* GRAPH_ bits */
};

/* A walk over references; copied freely, nothing to free. */
struct graph_walk {
    const struct graph *g;
    u32 include;
    block_id block;
    bool back;
    u32 at, end; /* of the row of references to the block, not yet walked */
    u32 source;  /* whose edges are being looked through */
    u32 edge, edge_end;
};

/* References from a block, in the order of its words; to a block, roots' first. */
struct graph_walk graph_referents(const struct graph *g, u32 include, block_id block);
struct graph_walk graph_referrers(const struct graph *g, u32 include, block_id block);
bool graph_next(struct graph_walk *w, struct graph_ref *ref);
/* The reference that a root's edge is (1-based). */
struct graph_ref graph_root_ref(const struct graph *g, u32 root_edge);
/* The blocks that a block of `set` refers to, or that refer to one; `out` is overwritten. */
void graph_set_referents(const struct graph *g, u32 include, const u64 *set, u64 *out);
void graph_set_referrers(const struct graph *g, u32 include, const u64 *set, u64 *out);

/* --- what is reached ----------------------------------------------------------------------- */

struct graph_ask {
    u32 include;        /* GRAPH_ bits of references that count too */
    u32 root_kinds;     /* bits 1 << enum snapshot_root_kind; 0 = all */
    const u64 *without; /* a set of blocks to do as if they were not there; NULL = none */
};

/* out: the blocks that a root reaches. O(reached + their edges), 4 bytes a block for the time. */
bool graph_reach(struct graph *g, const struct graph_ask *ask, u64 *out, struct err *e);
/* out: the blocks that no root reaches. */
bool graph_unreachable(struct graph *g, const struct graph_ask *ask, u64 *out, struct err *e);
/* out: `from` and what its blocks reach (root_kinds has no say). */
bool graph_closure(struct graph *g, const struct graph_ask *ask, const u64 *from, u64 *out,
                   struct err *e);
/* Leaves in `set` the blocks that are in the older snapshot's `older_set` too, by identity, which
 * is (address, birth): unreachable in both is confirmed. Both must be of one process. */
void graph_confirm(const struct snapshot *s, u64 *set, const struct snapshot *older,
                   const u64 *older_set);

/* --- paths --------------------------------------------------------------------------------- */

/* From a root to a block. steps[0] is the block that the root refers to, the last is the one asked
 * for. */
struct graph_path {
    block_id *steps;
    u32 count;     /* 0 = there is no path */
    u32 root_edge; /* 1-based index into the snapshot's root_edges */
    u32 include;   /* what it had to include */
};

/* A shortest path to the block. O(what leads to the block), 8 bytes a block for the time. */
bool graph_path(struct graph *g, u32 include, block_id block, struct graph_path *p, struct err *e);
/* The same for the strongest references that give any path: strong ones, then interior ones too,
 * then unused tails, then weak roots. path->include says which: GRAPH_ bits that were needed. */
bool graph_why(struct graph *g, block_id block, struct graph_path *p, struct err *e);
/* At most `room` paths, shortest first, each from another root edge; *count says how many. Each
 * block leads to the one asked for in one way only, so paths that meet go on together. */
bool graph_paths(struct graph *g, u32 include, block_id block, struct graph_path *paths, u32 room,
                 u32 *count, struct err *e);
/* The reference by which the path comes to steps[i]. */
struct graph_ref graph_path_ref(const struct graph *g, const struct graph_path *p, u32 i);
void graph_path_free(struct graph *g, struct graph_path *p);

/* Shortest paths from roots to all blocks at once. */
struct graph_tree {
    u32 *holder; /* by block id; 0 = not reached; else as an entry of graph.in */
    u32 include;
};
/* O(blocks + edges), 4 bytes a block, and 4 more for the time. */
bool graph_tree(struct graph *g, const struct graph_ask *ask, struct graph_tree *t, struct err *e);
bool graph_tree_path(struct graph *g, const struct graph_tree *t, block_id block,
                     struct graph_path *p, struct err *e);
void graph_tree_free(struct graph *g, struct graph_tree *t);

/* --- dominators and what is retained ------------------------------------------------------- */

/* Block a dominates b when every path from a root to b goes through a; the immediate dominator is
 * the last such before b. Vertices are blocks in the order of a depth-first walk, from 1; 0 stands
 * for all roots together. */
struct graph_vertex {
    u64 bytes; /* the sum of the sizes of the blocks that it dominates, itself too */
    u32 idom;  /* vertex of its immediate dominator: less than its own */
    u32 last;  /* the highest vertex that it dominates */
};

struct graph_dominators {
    u32 include;
    u32 count;               /* vertices but 0: the blocks that are reached */
    u32 *vertex;             /* by block id; 0 = not reached */
    u32 *block;              /* block id of each vertex */
    struct graph_vertex *at; /* by vertex */
};

/* O(edges * log(blocks)); 24 bytes a block stay (240 MB for 10 million), 8 more for the time. */
bool graph_dominators(struct graph *g, u32 include, struct graph_dominators *d, struct err *e);
void graph_dominators_free(struct graph *g, struct graph_dominators *d);

/* Its immediate dominator; {0} when no block dominates it, or it is not reached. */
block_id graph_dominator(const struct graph_dominators *d, block_id b);
/* The bytes that would be free if the block were: its own and those of all that it dominates; of a
 * block that is not reached, 0. */
u64 graph_retained_bytes(const struct graph_dominators *d, block_id b);
/* out: the block and all that it dominates; empty for a block that is not reached. */
void graph_retained_block(const struct graph *g, const struct graph_dominators *d, block_id b,
                          u64 *out);
/* out: the set, and what only it keeps: what it reaches and no root reaches without it. Of blocks
 * that are not reached: all that hangs on them. O(blocks + edges). */
bool graph_retained_set(struct graph *g, u32 include, const u64 *set, u64 *out, struct err *e);
/* At most n blocks into out[0..n), those that retain most first, ties by address; returns how many.
 */
u32 graph_retained_largest(const struct graph_dominators *d, block_id *out, u32 n);

/* --- clusters: paths folded by shape ------------------------------------------------------- */

/* What a block or a root is to the shape of a path: any number, say a type or a symbol. */
struct graph_kinds {
    u32 (*block)(void *context, block_id b);
    u32 (*root)(void *context, u32 root_edge); /* 1-based */
    void *context;
};

/* A shape is a chain of kinds from a root down to a block. A kind occurs once in a chain: a path
 * that comes back to a kind goes on from where it was first (a list of any length is one link). */
struct graph_shape {
    u32 parent;  /* index of the shape above; 0 above a root's */
    u32 kind;    /* of the root when parent is 0 */
    bool folded; /* some path came back to it */
    u32 count;   /* blocks of the set whose path has this shape */
    u64 bytes;
    block_id first; /* the lowest of those */
};

struct graph_clusters {
    struct graph_shape *shapes; /* [0..shape_count); shapes[0] stands for "not reached" */
    u32 shape_count, shape_room;
    u32 *order; /* shapes that have blocks, most blocks first, ties by bytes, then first block */
    u32 cluster_count;
    u32 *shape_of; /* by block id, valid for blocks of the set: index of its shape */
};

/* O(the paths of the set's blocks, each block once); 8 bytes a block for the time and 4 after. */
bool graph_clusters(struct graph *g, const struct graph_tree *t, const u64 *set,
                    const struct graph_kinds *kinds, struct graph_clusters *c, struct err *e);
/* out: the blocks of `set`, which the clusters were made of, that have the shape. */
void graph_cluster_members(const struct graph *g, const struct graph_clusters *c, const u64 *set,
                           u32 shape, u64 *out);
void graph_clusters_free(struct graph *g, struct graph_clusters *c);

/* --- Graphviz ------------------------------------------------------------------------------ */

/* Where DOT text goes, and what stands on it. A text callback writes at most `size` bytes with NUL
 * and returns its length; NULL: addresses stand for blocks and roots, offsets for references. */
struct graph_dot {
    bool (*write)(void *context, const char *text, size_t bytes); /* false stops it */
    size_t (*block)(void *context, block_id b, char *out, size_t size);
    size_t (*root)(void *context, u32 root_edge, char *out, size_t size);
    size_t (*ref)(void *context, const struct graph_ref *ref, char *out, size_t size);
    void *context;
};

/* The path from its root; false when `write` stopped it. */
bool graph_dot_path(const struct graph *g, const struct graph_path *p, const struct graph_dot *d);
/* The blocks of the set (at most `limit`, by address), the references among them and the roots that
 * refer to them; when there are more blocks, a note says so. */
bool graph_dot_set(const struct graph *g, u32 include, const u64 *set, u32 limit,
                   const struct graph_dot *d);

#endif
