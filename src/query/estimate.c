/* SPDX-License-Identifier: MIT
 *
 * estimate.c - what the blocks of a sample stand for, and how far that may be from the truth.
 *
 * Context: pure.
 * Invariant: a block of s bytes is in the sample with the chance p = 1 - exp(-s / interval), by the
 * bytes that were asked for, and independently of all others. So the sum of 1 / p (of bytes: s / p)
 * is right on average, and its variance is estimated without bias by the sum of (1 - p) / p^2 (of
 * bytes: s^2 times that): Horvitz and Thompson, 1952. Of enough samples the sum is distributed
 * normally; of a few the variance is itself uncertain, and most when it is too small, as when only
 * the heavier blocks were met. So the error is taken at the highest truth that would still be
 * within it of the estimate (a score interval: Wilson, 1927, for Poisson counts), with the variance
 * growing along with the truth. Of many samples that is the same.
 *
 * Of a difference between two snapshots of one recording: a sampled block that is in both, in rows
 * of one key, adds the same to both sides, so it is no error. Only blocks that came or went are.
 */
#include <math.h>

#include "query.h"

#define QUERY_DEVIATIONS 1.959964 /* of a normal distribution, on either side, hold 95 % */

double query_weight(const struct query_view *v, u64 bytes)
{
    if (!v->sample_bytes)
        return 1;
    return -1 / expm1(-(double)(bytes ? bytes : 1) / (double)v->sample_bytes);
}

struct query_part query_part_of(const struct query_view *v, block_id b)
{
    double weight = query_weight(v, snapshot_block_bytes(v->snapshot, b));
    double own = (double)snapshot_block_own_bytes(v->snapshot, b), variance = weight * (weight - 1);
    return (struct query_part){weight, weight * own, variance, variance * own * own};
}

void query_part_add(struct query_part *sum, const struct query_part *part)
{
    sum->count += part->count;
    sum->bytes += part->bytes;
    sum->count_variance += part->count_variance;
    sum->bytes_variance += part->bytes_variance;
}

/* The root of: error = deviations * sqrt(variance * (amount + error) / amount). */
u64 query_error(double variance, double amount)
{
    double half = amount > 0 ? QUERY_DEVIATIONS * QUERY_DEVIATIONS * variance / amount / 2 : 0;
    return (u64)(half + sqrt(QUERY_DEVIATIONS * QUERY_DEVIATIONS * variance + half * half) + 0.5);
}

struct query_sum query_part_sum(const struct query_part *part)
{
    return (struct query_sum){
        .count = (u64)(part->count + 0.5),
        .bytes = (u64)(part->bytes + 0.5),
        .count_error = query_error(part->count_variance, part->count),
        .bytes_error = query_error(part->bytes_variance, part->bytes),
    };
}

/* The same root where amount and variance go to 0: n small blocks are unseen with the chance
 * exp(-n * size / interval), and a score interval ends where that is 2 %. Of their number nothing is
 * known but that none is smaller than an allocator makes them. */
struct query_sum query_unseen(u64 sample_bytes)
{
    enum { LEAST_BYTES = 16 };
    double bytes = QUERY_DEVIATIONS * QUERY_DEVIATIONS * (double)sample_bytes;
    return (struct query_sum){.count_error = (u64)(bytes / LEAST_BYTES + 0.5),
                              .bytes_error = (u64)(bytes + 0.5)};
}

/* --- differences --------------------------------------------------------------------------- */

bool query_same_recording(const struct query_view *a, const struct query_view *b)
{
    const struct snapshot_meta *m = a->snapshot->meta, *n = b->snapshot->meta;
    const struct snapshot_recording *r = a->snapshot->recording, *q = b->snapshot->recording;
    return m->pid == n->pid && m->process_start == n->process_start &&
           a->sample_bytes == b->sample_bytes && (!r || !q || r->number == q->number);
}

/* Of each group of a partition: which row of the delta holds it? */
static u32 *rows_by_group(const struct query_delta *d, const struct query_partition *p, bool now,
                          const struct types_memory *scratch)
{
    u32 *row_of = types_take(scratch, p->by.group_count, sizeof *row_of);
    for (u32 i = 0; i < d->row_count; i++) {
        u32 row = now ? d->rows[i].now : d->rows[i].then;
        if (row != QUERY_NO_ROW)
            row_of[p->rows[row].group] = i;
    }
    return row_of;
}

/* The same block of another snapshot's set, by address, birth and size; *at moves on. */
static block_id same_block(const struct query_view *v, block_id b, const struct query_set *others,
                           u32 *at)
{
    const struct snapshot *s = v->snapshot, *o = others->view->snapshot;
    u64 addr = s->block_addr[b.v - 1];
    while (*at < o->block_count && o->block_addr[*at] < addr)
        ++*at;
    for (u32 k = *at; k < o->block_count && o->block_addr[k] == addr; k++) {
        block_id other = {k + 1};
        if (o->block_birth[k] == s->block_birth[b.v - 1] && query_set_has(others, other) &&
            snapshot_block_bytes(o, other) == snapshot_block_bytes(s, b))
            return other;
    }
    return (block_id){0};
}

/* Adds the blocks of one side to `moved` of their rows, but for those that the other side has in the
 * same row. */
static void add_side(struct query_part *moved, const struct query_partition *p, const u32 *row_of,
                     const struct query_partition *other, const u32 *other_row_of)
{
    bool shared = query_same_recording(p->view, other->view);
    u32 at = 0;
    block_id b = {0};
    QUERY_EACH (p->set, b) {
        u32 row = row_of[query_group_of(p->view, &p->by, b)];
        block_id same = shared ? same_block(p->view, b, other->set, &at) : (block_id){0};
        if (same.v && other_row_of[query_group_of(other->view, &other->by, same)] == row)
            continue;
        struct query_part part = query_part_of(p->view, b);
        query_part_add(&moved[row], &part);
    }
}

void query_delta_estimate(struct query_delta *d, const struct types_memory *scratch)
{
    u32 *now = rows_by_group(d, d->now, true, scratch);
    u32 *then = rows_by_group(d, d->then, false, scratch);
    struct query_part *moved = types_take(scratch, d->row_count, sizeof *moved);
    add_side(moved, d->now, now, d->then, then);
    add_side(moved, d->then, then, d->now, now);
    for (u32 i = 0; i < d->row_count; i++) {
        struct query_sum sum = query_part_sum(&moved[i]);
        d->rows[i].count_delta_error = sum.count_error;
        d->rows[i].bytes_delta_error = sum.bytes_error;
    }
}
