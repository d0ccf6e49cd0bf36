/* SPDX-License-Identifier: MIT
 *
 * spread.c - types along pointers: from typed variables and typed blocks to what they refer to.
 *
 * Context: pure.
 * Invariant: a block is decided once and enters the queue once, so the whole is O(blocks and
 * references). Candidates of a block are weighed against each other by majority vote in constant
 * room (Boyer and Moore, "MJRTY", 1981): what is of the same mind adds, what is not takes away.
 * Why in rounds: all that is known so far speaks before a block is decided, and what is only weak
 * (a char *, a pointer to what is less than the block) waits until nothing stronger comes.
 * Source: the idea of a type graph over a heap is that of mdb's ::typegraph (Solaris Modular
 * Debugger Guide), which reads kernel crash dumps.
 */
#include <string.h>

#include "solve.h"

enum { SCORE_MOST = 250, AHEAD = 8, FEW = 4 };

void solve_decide(struct solve *x, u32 block, u32 shape, enum types_source source)
{
    x->shape[block] = shape;
    x->source[block] = (u8)source;
    x->score[block] = 0;
    x->queue[x->queue_tail++] = block;
}

static void propose(struct solve *x, u32 block, u32 shape, u32 weight)
{
    u32 score = x->score[block];
    if (x->source[block] == TYPES_SOURCE_UNKNOWN) {
        x->source[block] = SOLVE_PENDING;
        x->shape[block] = shape;
        score = weight;
        x->touched[x->touched_count++] = block;
    } else if (x->shape[block] == shape || shapes_begins_with(&x->shapes, x->shape[block], shape)) {
        score += weight;
    } else if (shapes_begins_with(&x->shapes, shape, x->shape[block])) {
        x->shape[block] = shape; /* the same, and more is known of it */
        score += weight;
    } else if (weight > score) {
        x->shape[block] = shape;
        score = weight - score;
    } else {
        score -= weight;
    }
    x->score[block] = (u8)(score < SCORE_MOST ? score : SCORE_MOST);
}

static void follow(struct solve *x, u32 source_shape, struct shape_word w, u32 target, u64 into)
{
    u8 source = x->source[target];
    u32 weight;
    if (source != TYPES_SOURCE_UNKNOWN && source != SOLVE_PENDING)
        return;
    u32 shape = solve_fit(x, w, source_shape, into, snapshot_block_bytes(x->s, (block_id){target}),
                          &weight);
    if (shape)
        propose(x, target, shape, weight);
}

static void ask_target(const struct solve *x, u32 target)
{
    __builtin_prefetch(&x->source[target]);
    __builtin_prefetch(&x->shape[target]);
    __builtin_prefetch(&x->s->block_size[target - 1]);
}

static void follow_block(struct solve *x, u32 block)
{
    const struct snapshot *s = x->s;
    u32 edge = s->edge_row[block - 1], end = s->edge_row[block], shape = x->shape[block];
    if (edge == end)
        return;
    block_id id = {block};
    const struct shape *p = shapes_get(&x->shapes, shape);
    if (!p->catalog || p->flags & SHAPE_BYTES)
        return;
    enum shape_form form = shapes_form(p, snapshot_block_bytes(s, id));
    u64 skew = -s->block_addr[block - 1] & 7;
    for (; edge < end; edge++) {
        if (edge + AHEAD < s->edge_count)
            ask_target(x, s->edge_target[edge + AHEAD]);
        u8 known = x->source[s->edge_target[edge]];
        if (known != TYPES_SOURCE_UNKNOWN && known != SOLVE_PENDING)
            continue;
        u64 offset = s->edge_far_count ? snapshot_edge_offset(s, id, edge)
                                       : skew + 8 * (u64)s->edge_at[edge];
        struct shape_word w = shapes_block_word(&x->shapes, shape, form, offset);
        if (w.kind != WORD_POINTER && w.kind != WORD_CHOICE)
            continue;
        bool middle = x->into && (x->into[edge / 64] >> (edge % 64) & 1);
        follow(x, shape, w, s->edge_target[edge], middle ? snapshot_edge_into(s, edge) : 0);
    }
}

/* Decides what is known well enough, and keeps the rest for later. */
static void settle(struct solve *x, u32 least)
{
    u32 kept = 0;
    for (u32 i = 0; i < x->touched_count; i++) {
        u32 block = x->touched[i];
        if (x->source[block] != SOLVE_PENDING)
            continue;
        if (x->score[block] >= least)
            solve_decide(x, block, x->shape[block], TYPES_SOURCE_PROPAGATION);
        else
            x->touched[kept++] = block;
    }
    x->touched_count = kept;
}

/* Blocks in the queue lie anywhere, and what they refer to as well: their memory is asked for some
 * blocks ahead, what it leads to when it is there. */
static void ask_memory(const struct solve *x, u32 end)
{
    const struct snapshot *s = x->s;
    u32 head = x->queue_head;
    if (head + 3 * AHEAD < end) {
        u32 next = x->queue[head + 3 * AHEAD] - 1;
        __builtin_prefetch(&s->edge_row[next]);
        __builtin_prefetch(&s->block_size[next]);
        __builtin_prefetch(&s->block_addr[next]);
        __builtin_prefetch(&x->shape[next + 1]);
    }
    if (head + 2 * AHEAD < end) {
        u32 edge = s->edge_row[x->queue[head + 2 * AHEAD] - 1];
        __builtin_prefetch(&s->edge_target[edge]);
        __builtin_prefetch(&s->edge_at[edge]);
    }
    if (head + AHEAD < end) {
        u32 next = x->queue[head + AHEAD];
        u32 edge = s->edge_row[next - 1], last = s->edge_row[next];
        for (last = last - edge < FEW ? last : edge + FEW; edge < last; edge++)
            ask_target(x, s->edge_target[edge]);
    }
}

void solve_spread(struct solve *x, u32 least)
{
    if (!x->s->edge_row)
        return;
    settle(x, least);
    while (x->queue_head < x->queue_tail) {
        for (u32 end = x->queue_tail; x->queue_head < end; x->queue_head++) {
            ask_memory(x, end);
            follow_block(x, x->queue[x->queue_head]);
        }
        settle(x, SCORE_STRONG);
        if (x->queue_head == x->queue_tail)
            settle(x, least);
    }
}

/* --- roots --------------------------------------------------------------------------------- */

void solve_roots(struct solve *x)
{
    const struct snapshot *s = x->s;
    for (u32 i = 0; s->edge_row && i < s->root_edge_count; i++) {
        const struct snapshot_root_edge *edge = &s->root_edges[i];
        struct types_variable_place place = types_variable_place(
            s, &s->roots[edge->root - 1], snapshot_root_edge_address(s, edge));
        if (place.module)
            follow(x, 0, shapes_variable_word(&x->shapes, place), edge->target, edge->into);
    }
}
