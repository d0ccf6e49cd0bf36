/* SPDX-License-Identifier: MIT
 *
 * delta.c - the difference of two partitions by one key, of one snapshot or of two.
 *
 * Context: pure.
 * Invariant: a key is in at most one row; the deltas of all rows add up to the difference of the
 * two sets, since rows that are left out differ by nothing.
 * Why by hash, then by key: ids mean nothing outside their snapshot, and the text of a call stack
 * is long; hashes of keys are the same everywhere, and equal ones are compared in full.
 */
#include <stdlib.h>
#include <string.h>

#include "query.h"

/* A table from hashes of `then`'s keys to its rows. */
struct index {
    u32 *slots; /* row + 1 */
    u64 mask;
    const struct query_partition *then;
    u8 *met;
};

static void index_make(struct index *x, const struct query_partition *then,
                       const struct types_memory *scratch)
{
    u64 slots = 16;
    while (slots < 2 * (u64)then->row_count)
        slots *= 2;
    x->slots = types_take(scratch, slots, sizeof *x->slots);
    x->mask = slots - 1;
    x->then = then;
    x->met = types_take(scratch, then->row_count, 1);
    for (u32 i = 0; i < then->row_count; i++) {
        u64 at = query_group_hash(&then->by, then->rows[i].group) & x->mask;
        while (x->slots[at])
            at = (at + 1) & x->mask;
        x->slots[at] = i + 1;
    }
}

static u32 index_find(const struct index *x, const struct query_partition *now, u32 group)
{
    u64 at = query_group_hash(&now->by, group) & x->mask;
    for (; x->slots[at]; at = (at + 1) & x->mask) {
        u32 row = x->slots[at] - 1;
        if (query_group_same(now->view, &now->by, group, x->then->view, &x->then->by,
                             x->then->rows[row].group))
            return row;
    }
    return QUERY_NO_ROW;
}

static struct query_delta_row difference(const struct query_delta *d, u32 now, u32 then)
{
    static const struct query_row none;
    const struct query_row *a = now == QUERY_NO_ROW ? &none : &d->now->rows[now];
    const struct query_row *b = then == QUERY_NO_ROW ? &none : &d->then->rows[then];
    return (struct query_delta_row){
        .now = now, .then = then, .count = a->count, .bytes = a->bytes,
        .count_delta = (i64)(a->count - b->count), .bytes_delta = (i64)(a->bytes - b->bytes)};
}

/* The side on which a row's key is to be found. */
static const struct query_grouping *side(const struct query_delta *d,
                                         const struct query_delta_row *r, u32 *group)
{
    bool now = r->now != QUERY_NO_ROW;
    *group = now ? d->now->rows[r->now].group : d->then->rows[r->then].group;
    return now ? &d->now->by : &d->then->by;
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct query_delta_row *a = left, *b = right;
    const struct query_delta *d = context;
    if (a->bytes_delta != b->bytes_delta)
        return a->bytes_delta > b->bytes_delta ? -1 : 1;
    if (a->count_delta != b->count_delta)
        return a->count_delta > b->count_delta ? -1 : 1;
    u32 ga, gb;
    const struct query_grouping *x = side(d, a, &ga), *y = side(d, b, &gb);
    if (x->texts)
        return strcmp(x->texts[ga], y->texts[gb]);
    return x->fold_hash[ga] < y->fold_hash[gb] ? -1 : 1;
}

void query_delta_build(struct query_delta *d, const struct query_partition *now,
                       const struct query_partition *then, const struct types_memory *keep,
                       const struct types_memory *scratch)
{
    struct index x;
    index_make(&x, then, scratch);
    *d = (struct query_delta){now, then, NULL, 0};
    struct query_delta_row *rows =
        types_take(keep, (u64)now->row_count + then->row_count, sizeof *rows);
    for (u32 i = 0; i < now->row_count; i++) {
        u32 row = index_find(&x, now, now->rows[i].group);
        if (row != QUERY_NO_ROW)
            x.met[row] = 1;
        rows[d->row_count++] = difference(d, i, row);
    }
    for (u32 i = 0; i < then->row_count; i++)
        if (!x.met[i])
            rows[d->row_count++] = difference(d, QUERY_NO_ROW, i);
    d->rows = rows;
    if (now->view->sample_bytes || then->view->sample_bytes)
        query_delta_estimate(d, scratch);
    u32 differing = 0;
    for (u32 i = 0; i < d->row_count; i++)
        if (rows[i].count_delta || rows[i].bytes_delta)
            rows[differing++] = rows[i];
    d->row_count = differing;
    qsort_r(rows, d->row_count, sizeof *rows, compare_rows, d);
}
