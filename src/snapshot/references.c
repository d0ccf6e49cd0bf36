/* SPDX-License-Identifier: MIT
 *
 * references.c - the part of the check that is about references: roots, and the rows of edges.
 *
 * Context: pure. The file may come from anywhere; nothing in it is trusted.
 * Invariant: once accepted, every edge leads from a whole word of its source to a byte of its
 * target, a row's words ascend, and the sparse sections are in the order of the edges and blocks
 * that they speak of, so that readers search them by halving.
 */
#include "layout.h"
#include "view.h"

static bool check_roots(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    s->roots = view_records(c, SNAPSHOT_ROOTS, &s->root_count);
    for (u32 i = 0; i < s->root_count; i++) {
        const struct snapshot_root *r = &s->roots[i];
        if (r->kind == 0 || r->kind >= SNAPSHOT_ROOT_LIMIT)
            return view_bad(c, "section ROOTS: root %u is of the unknown kind %u", i + 1, r->kind);
        if (r->lo > r->hi)
            return view_bad(c, "section ROOTS: root %u ends before it begins", i + 1);
        if (r->module > s->module_count)
            return view_bad(c, "section ROOTS: root %u names module %u of %u", i + 1, r->module,
                            s->module_count);
        if (r->name >= string_bytes)
            return view_bad(c, "section ROOTS: name of root %u lies outside STRINGS", i + 1);
    }
    return true;
}

/* Does that word lie whole inside an area of so many bytes? */
static bool word_fits(u64 area, u64 bytes, u64 word)
{
    u64 offset = snapshot_word_offset(area, word);
    return offset <= bytes && bytes - offset >= 8;
}

static bool check_edges(const struct view_check *c, struct snapshot *s)
{
    u32 rows, words;
    s->edge_row = view_records(c, SNAPSHOT_EDGE_ROW, &rows);
    s->edge_target = view_records(c, SNAPSHOT_EDGE_TARGET, &s->edge_count);
    s->edge_at = view_records(c, SNAPSHOT_EDGE_AT, &words);
    s->edge_far = view_records(c, SNAPSHOT_EDGE_FAR, &s->edge_far_count);
    if (rows != s->block_count + 1)
        return view_bad(c, "section EDGE_ROW: %u records for %u blocks", rows, s->block_count);
    if (words != s->edge_count)
        return view_bad(c, "section EDGE_AT: %u records for %u edges", words, s->edge_count);
    if (s->edge_row[0] != 0 || s->edge_row[s->block_count] != s->edge_count)
        return view_bad(c, "section EDGE_ROW: does not span the %u edges", s->edge_count);

    for (u32 i = 0; i < s->edge_count; i++)
        if (s->edge_target[i] == 0 || s->edge_target[i] > s->block_count)
            return view_bad(c, "section EDGE_TARGET: edge %u leads to block %u of %u", i,
                            s->edge_target[i], s->block_count);

    u32 far = 0;
    for (u32 i = 0; i < s->block_count; i++) {
        u32 edge = s->edge_row[i], end = s->edge_row[i + 1];
        if (edge > end || end > s->edge_count)
            return view_bad(c, "section EDGE_ROW: the row of block %u is out of order", i + 1);
        if (edge == end)
            continue;
        u64 high = 0, word = 0, next = 0; /* next: the least word that the next edge may have */
        for (; edge < end; edge++, next = word + 1) {
            if (far < s->edge_far_count && s->edge_far[far].edge == edge)
                high = (u64)s->edge_far[far++].high << 16;
            word = high | s->edge_at[edge];
            if (word < next)
                return view_bad(c, "section EDGE_AT: the edges of block %u are out of order",
                                i + 1);
        }
        if (!word_fits(s->block_addr[i], snapshot_block_bytes(s, (block_id){i + 1}), word))
            return view_bad(c, "section EDGE_AT: an edge of block %u lies outside it", i + 1);
    }
    if (far != s->edge_far_count)
        return view_bad(c, "section EDGE_FAR: record %u belongs to no edge", far + 1);
    return true;
}

/* Is `into` a byte of the block? A pointer to its start always is, even of a block of 0 bytes. */
static bool is_inside(const struct snapshot *s, u32 block, u32 into)
{
    return into == 0 || into < snapshot_block_bytes(s, (block_id){block});
}

static bool check_into(const struct view_check *c, struct snapshot *s)
{
    s->edge_into = view_records(c, SNAPSHOT_EDGE_INTO, &s->edge_into_count);
    for (u32 i = 0; i < s->edge_into_count; i++) {
        const struct snapshot_edge_into *r = &s->edge_into[i];
        if (r->edge >= s->edge_count || (i > 0 && r->edge <= r[-1].edge))
            return view_bad(c, "section EDGE_INTO: record %u is out of order", i + 1);
        if (r->into == 0 || !is_inside(s, s->edge_target[r->edge], r->into))
            return view_bad(c, "section EDGE_INTO: edge %u does not lead into its block", r->edge);
    }
    return true;
}

static bool check_root_edges(const struct view_check *c, struct snapshot *s)
{
    s->root_edges = view_records(c, SNAPSHOT_ROOT_EDGES, &s->root_edge_count);
    for (u32 i = 0; i < s->root_edge_count; i++) {
        const struct snapshot_root_edge *r = &s->root_edges[i];
        if (r->root == 0 || r->root > s->root_count)
            return view_bad(c, "section ROOT_EDGES: edge %u is of root %u of %u", i, r->root,
                            s->root_count);
        if (i > 0 && (r->root < r[-1].root || (r->root == r[-1].root && r->at <= r[-1].at)))
            return view_bad(c, "section ROOT_EDGES: edge %u is out of order", i);
        const struct snapshot_root *from = &s->roots[r->root - 1];
        if (!word_fits(from->lo, from->hi - from->lo, r->at))
            return view_bad(c, "section ROOT_EDGES: edge %u lies outside its root", i);
        if (r->target == 0 || r->target > s->block_count)
            return view_bad(c, "section ROOT_EDGES: edge %u leads to block %u of %u", i, r->target,
                            s->block_count);
        if (!is_inside(s, r->target, r->into))
            return view_bad(c, "section ROOT_EDGES: edge %u leads beyond its block", i);
    }
    return true;
}

static bool check_tails(const struct view_check *c, struct snapshot *s)
{
    s->tails = view_records(c, SNAPSHOT_TAILS, &s->tail_count);
    for (u32 i = 0; i < s->tail_count; i++) {
        const struct snapshot_tail *t = &s->tails[i];
        if (t->block == 0 || t->block > s->block_count || (i > 0 && t->block <= t[-1].block))
            return view_bad(c, "section TAILS: record %u is out of order", i + 1);
        if (t->used > snapshot_block_bytes(s, (block_id){t->block}))
            return view_bad(c, "section TAILS: block %u is not that long", t->block);
    }
    return true;
}

bool references_check(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    bool there = c->found[SNAPSHOT_EDGE_ROW] != NULL;
    if (there != ((s->meta->flags & SNAPSHOT_FLAG_GRAPH) != 0))
        return view_bad(c, there
                               ? "section EDGE_ROW: META says that there are no references"
                               : "section EDGE_ROW: missing, META says that there are references");
    return !there || (check_roots(c, s, string_bytes) && check_edges(c, s) && check_into(c, s) &&
                      check_root_edges(c, s) && check_tails(c, s));
}
