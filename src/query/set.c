/* SPDX-License-Identifier: MIT
 *
 * set.c - sets of blocks as bitmaps, and their algebra.
 *
 * Context: pure.
 * Invariant: bits past the last block are 0 in every set, so counting and comparing need no mask.
 * Why bitmaps: a set of ten million blocks is 1.25 MB, and an operation on two of them is a
 * millisecond; nothing sparser is worth its branches.
 */
#include <string.h>

#include "query.h"

u32 query_set_words(const struct query_view *v)
{
    return (u32)(((u64)v->snapshot->block_count + 63) / 64);
}

void query_set_init(struct query_set *s, const struct query_view *v, u64 *bits)
{
    s->view = v;
    s->bits = bits;
    s->words = query_set_words(v);
}

void query_set_fill(struct query_set *s)
{
    u32 blocks = s->view->snapshot->block_count;
    memset(s->bits, 0xff, (size_t)s->words * sizeof *s->bits);
    if (blocks % 64)
        s->bits[s->words - 1] = (1ull << (blocks % 64)) - 1;
}

void query_set_combine(struct query_set *out, enum query_operation op, const struct query_set *a,
                       const struct query_set *b)
{
    const u64 *x = a->bits, *y = b->bits;
    u64 *z = out->bits;
    switch (op) {
    case QUERY_OR:
        for (u32 i = 0; i < out->words; i++)
            z[i] = x[i] | y[i];
        break;
    case QUERY_AND:
        for (u32 i = 0; i < out->words; i++)
            z[i] = x[i] & y[i];
        break;
    case QUERY_MINUS:
        for (u32 i = 0; i < out->words; i++)
            z[i] = x[i] & ~y[i];
        break;
    case QUERY_XOR:
        for (u32 i = 0; i < out->words; i++)
            z[i] = x[i] ^ y[i];
        break;
    }
}

bool query_set_equal(const struct query_set *a, const struct query_set *b)
{
    return !a->words || !memcmp(a->bits, b->bits, (size_t)a->words * sizeof *a->bits);
}

bool query_set_within(const struct query_set *a, const struct query_set *b)
{
    for (u32 i = 0; i < a->words; i++)
        if (a->bits[i] & ~b->bits[i])
            return false;
    return true;
}

u32 query_set_blocks(const struct query_set *s)
{
    u32 n = 0;
    for (u32 i = 0; i < s->words; i++)
        n += (u32)__builtin_popcountll(s->bits[i]);
    return n;
}

struct query_sum query_set_sum(const struct query_set *s)
{
    struct query_sum sum = {0};
    block_id b = {0};
    if (s->view->sample_bytes) {
        struct query_part all = {0};
        QUERY_EACH (s, b) {
            struct query_part part = query_part_of(s->view, b);
            query_part_add(&all, &part);
        }
        return all.count > 0 ? query_part_sum(&all) : query_unseen(s->view->sample_bytes);
    }
    QUERY_EACH (s, b)
        sum.bytes += snapshot_block_own_bytes(s->view->snapshot, b);
    sum.count = query_set_blocks(s);
    return sum;
}

struct query_sum query_blocks_sum(const struct snapshot *s)
{
    struct query_view view;
    struct query_part all = {0};
    query_view_init(&view, s, NULL);
    for (block_id b = {1}; b.v <= s->block_count; b.v++) {
        struct query_part part = query_part_of(&view, b);
        query_part_add(&all, &part);
    }
    return all.count > 0 || !view.sample_bytes ? query_part_sum(&all)
                                               : query_unseen(view.sample_bytes);
}

block_id query_set_next(const struct query_set *s, block_id after)
{
    u32 word = after.v / 64;
    if (word >= s->words)
        return (block_id){0};
    u64 bits = s->bits[word] & (~0ull << (after.v % 64));
    while (!bits) {
        if (++word >= s->words)
            return (block_id){0};
        bits = s->bits[word];
    }
    return (block_id){word * 64 + (u32)__builtin_ctzll(bits) + 1};
}

void query_set_filter(struct query_set *out, const struct query_set *in,
                      const struct query_filter *f)
{
    const struct snapshot *s = in->view->snapshot;
    block_id b = {0};
    if (f->nothing)
        return;
    QUERY_EACH (in, b) {
        u32 i = b.v - 1;
        u64 bytes = snapshot_block_bytes(s, b);
        if (bytes < f->min_bytes || bytes > f->max_bytes)
            continue;
        u64 age = snapshot_block_age_ns(s, b);
        if (age < f->min_age_ns || age > f->max_age_ns)
            continue;
        if (f->stack_ok && !f->stack_ok[s->block_stack[i]])
            continue;
        if (f->thread_ok && !f->thread_ok[s->block_thread[i]])
            continue;
        if (f->tag_ok && !f->tag_ok[s->block_tag ? s->block_tag[i] : 0])
            continue;
        if (f->type_ok && !f->type_ok[types_of_block(in->view->types, b).v])
            continue;
        query_set_add(out, b);
    }
}

void query_set_absent(struct query_set *out, const struct query_set *in,
                      const struct query_view *other)
{
    const struct snapshot *s = in->view->snapshot, *o = other->snapshot;
    u32 at = 0;
    block_id b = {0};
    QUERY_EACH (in, b) {
        u64 addr = s->block_addr[b.v - 1];
        while (at < o->block_count && o->block_addr[at] < addr)
            at++;
        bool there = false; /* a pool and its first block may have one address */
        for (u32 k = at; k < o->block_count && o->block_addr[k] == addr; k++)
            there |= o->block_birth[k] == s->block_birth[b.v - 1];
        if (!there)
            query_set_add(out, b);
    }
}
