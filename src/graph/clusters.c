/* SPDX-License-Identifier: MIT
 *
 * clusters.c - the shortest paths of a set's blocks, folded by shape.
 *
 * Context: pure.
 * Invariant: shapes form a tree with shapes[0] above the roots' ones; a parent and a kind have one
 * shape; shape_of[b] is 0 until b's shape is known (shapes[0] needs none).
 * Why by the tree: a block's shape is that of its holder and its own kind, so each block on any of
 * the paths is asked once, however many paths go through it, and no path is ever written down. Why
 * a kind occurs once in a shape: lists, trees and rings of any size become one link each, and a
 * shape is never longer than there are kinds.
 */
#include <stdlib.h>
#include <string.h>

#include "edges.h"
#include "memory.h"
#include "spread.h"

struct fold {
    struct graph *g;
    const struct graph_tree *t;
    const struct graph_kinds *kinds;
    struct graph_clusters *c;
    u32 *slots; /* open addressing, at most half full: index of a shape, 0 = free */
    u64 slot_count;
    u32 *way; /* blocks from one whose shape is asked up to one whose shape is known */
    struct err *e;
};

static u64 slot_of(u32 parent, u32 kind, u64 slot_count)
{
    u64 h = ((u64)parent << 32 | kind) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 32) & (slot_count - 1);
}

static bool grow(struct fold *f)
{
    struct graph_clusters *c = f->c;
    u32 room = c->shape_room ? 2 * c->shape_room : 256;
    u64 slot_count = 2 * (u64)room;
    struct graph_shape *shapes = memory_take(f->g, room, sizeof *shapes, f->e);
    u32 *slots = shapes ? memory_take(f->g, slot_count, sizeof *slots, f->e) : NULL;
    if (!slots) {
        memory_give(f->g, shapes, room, sizeof *shapes);
        return false;
    }
    if (c->shape_count)
        memcpy(shapes, c->shapes, c->shape_count * sizeof *shapes);
    for (u32 i = 1; i < c->shape_count; i++) {
        u64 at = slot_of(shapes[i].parent, shapes[i].kind, slot_count);
        while (slots[at])
            at = (at + 1) & (slot_count - 1);
        slots[at] = i;
    }
    memory_give(f->g, c->shapes, c->shape_room, sizeof *shapes);
    memory_give(f->g, f->slots, f->slot_count, sizeof *slots);
    c->shapes = shapes;
    c->shape_room = room;
    f->slots = slots;
    f->slot_count = slot_count;
    return true;
}

/* The shape of a kind below a shape; 0 when memory is out. */
static u32 shape_below(struct fold *f, u32 parent, u32 kind)
{
    struct graph_clusters *c = f->c;
    u64 at = slot_of(parent, kind, f->slot_count);
    for (; f->slots[at]; at = (at + 1) & (f->slot_count - 1)) {
        const struct graph_shape *found = &c->shapes[f->slots[at]];
        if (found->parent == parent && found->kind == kind)
            return f->slots[at];
    }
    if (c->shape_count == c->shape_room) {
        if (!grow(f))
            return 0;
        return shape_below(f, parent, kind);
    }
    c->shapes[c->shape_count] = (struct graph_shape){.parent = parent, .kind = kind};
    f->slots[at] = c->shape_count;
    return c->shape_count++;
}

/* The shape of a block whose holder has that shape. The kind of a root is not one of a block. */
static u32 shape_under(struct fold *f, u32 holder, u32 kind)
{
    for (u32 i = holder; f->c->shapes[i].parent; i = f->c->shapes[i].parent)
        if (f->c->shapes[i].kind == kind) {
            f->c->shapes[i].folded = true;
            return i;
        }
    return shape_below(f, holder, kind);
}

/* Shape of a reached block, and of all on its path; 0 when memory is out. */
static u32 shape_of_block(struct fold *f, u32 block)
{
    const struct graph_kinds *k = f->kinds;
    u32 *shape_of = f->c->shape_of, depth = 0, entry = block, shape;
    for (; !(entry & EDGES_ROOT) && !shape_of[entry]; entry = f->t->holder[entry])
        f->way[depth++] = entry;
    if (entry & EDGES_ROOT)
        shape = shape_below(f, 0, k->root(k->context, (entry & ~EDGES_ROOT) + 1));
    else
        shape = shape_of[entry];
    while (shape && depth > 0) {
        u32 b = f->way[--depth];
        shape = shape_under(f, shape, k->block(k->context, (block_id){b}));
        shape_of[b] = shape;
    }
    return shape;
}

static bool fold_set(struct fold *f, const u64 *set)
{
    u32 b = 0;
    if (!grow(f))
        return false;
    f->c->shape_count = 1;
    SPREAD_EACH(set, graph_set_words(f->g->s), b)
    {
        u32 shape = 0;
        if (f->t->holder[b] && !(shape = shape_of_block(f, b)))
            return false;
        struct graph_shape *x = &f->c->shapes[shape];
        if (x->count++ == 0)
            x->first = (block_id){b};
        x->bytes += snapshot_block_own_bytes(f->g->s, (block_id){b});
    }
    return true;
}

static int by_blocks(const void *x, const void *y, void *shapes)
{
    const struct graph_shape *a = (const struct graph_shape *)shapes + *(const u32 *)x;
    const struct graph_shape *b = (const struct graph_shape *)shapes + *(const u32 *)y;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->first.v < b->first.v ? -1 : 1;
}

static bool put_in_order(struct fold *f)
{
    struct graph_clusters *c = f->c;
    c->order = memory_take(f->g, c->shape_room, sizeof *c->order, f->e);
    if (!c->order)
        return false;
    for (u32 i = 0; i < c->shape_count; i++)
        if (c->shapes[i].count)
            c->order[c->cluster_count++] = i;
    qsort_r(c->order, c->cluster_count, sizeof *c->order, by_blocks, c->shapes);
    return true;
}

bool graph_clusters(struct graph *g, const struct graph_tree *t, const u64 *set,
                    const struct graph_kinds *kinds, struct graph_clusters *c, struct err *e)
{
    u64 blocks = g->s->block_count;
    struct fold f = {.g = g, .t = t, .kinds = kinds, .c = c, .e = e};
    *c = (struct graph_clusters){0};
    c->shape_of = memory_take(g, blocks + 1, sizeof *c->shape_of, e);
    f.way = c->shape_of ? memory_take(g, blocks, sizeof *f.way, e) : NULL;
    bool ok = f.way && fold_set(&f, set) && put_in_order(&f);
    memory_give(g, f.way, blocks, sizeof *f.way);
    memory_give(g, f.slots, f.slot_count, sizeof *f.slots);
    if (!ok)
        graph_clusters_free(g, c);
    return ok;
}

void graph_cluster_members(const struct graph *g, const struct graph_clusters *c, const u64 *set,
                           u32 shape, u64 *out)
{
    u32 words = graph_set_words(g->s), b = 0;
    memset(out, 0, words * sizeof *out);
    SPREAD_EACH(set, words, b)
    if (c->shape_of[b] == shape)
        graph_set_add(out, (block_id){b});
}

void graph_clusters_free(struct graph *g, struct graph_clusters *c)
{
    memory_give(g, c->shape_of, (u64)g->s->block_count + 1, sizeof *c->shape_of);
    memory_give(g, c->order, c->shape_room, sizeof *c->order);
    memory_give(g, c->shapes, c->shape_room, sizeof *c->shapes);
    *c = (struct graph_clusters){0};
}
