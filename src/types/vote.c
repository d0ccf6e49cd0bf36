/* SPDX-License-Identifier: MIT
 *
 * vote.c - blocks of one stack and size are of one type: those that are known speak for the rest.
 *
 * Context: pure.
 * Invariant: a vote is only taken where nearly all that are known agree; blocks that the program or
 * its virtual tables have named are never overruled.
 * Why it is needed: references do not reach what is leaked, or what hangs on a void *.
 * How: one pass finds who may have the majority (Boyer and Moore), a second counts; first by stack
 * and size, then by stack alone for what comes in many sizes (arrays, strings).
 */
#include "solve.h"

enum { SHARE_OF = 10, SHARE = 9 }; /* nine in ten */

struct tally {
    u32 shape, ahead;
    u32 known, agreeing;
};

/* Blocks without a stack have nothing in common. */
static bool counts(const struct solve *x, u32 block)
{
    u8 source = x->source[block];
    return x->s->block_stack[block - 1] && source != TYPES_SOURCE_UNKNOWN &&
           source != SOLVE_PENDING && source != TYPES_SOURCE_VOTE;
}

static u32 group_of(const struct solve *x, u32 block, bool by_stack)
{
    return by_stack ? x->s->block_stack[block - 1] : x->class_of[block];
}

/* Of another size than those that voted: does the shape fill it, and not just begin it? */
static bool fits_any_size(const struct solve *x, u32 block, u32 shape)
{
    const struct shape *p = shapes_get(&x->shapes, shape);
    enum shape_form form = shapes_form(p, snapshot_block_bytes(x->s, (block_id){block}));
    return !(p->flags & SHAPE_MADE_UP) &&
           (form > FORM_PREFIX || (form == FORM_PREFIX && p->flags & SHAPE_BEGINS));
}

/* Gives the blocks that are not known the shape that nearly all of their group have. */
static void vote(struct solve *x, struct tally *tallies, bool by_stack)
{
    u32 blocks = x->s->block_count;
    for (u32 b = 1; b <= blocks; b++) {
        struct tally *t = &tallies[group_of(x, b, by_stack)];
        if (!counts(x, b))
            continue;
        t->known++;
        if (t->shape == x->shape[b]) {
            t->ahead++;
        } else if (!t->ahead) {
            t->shape = x->shape[b];
            t->ahead = 1;
        } else {
            t->ahead--;
        }
    }
    for (u32 b = 1; b <= blocks; b++) {
        struct tally *t = &tallies[group_of(x, b, by_stack)];
        t->agreeing += counts(x, b) && x->shape[b] == t->shape;
    }
    for (u32 b = 1; b <= blocks; b++) {
        const struct tally *t = &tallies[group_of(x, b, by_stack)];
        u8 source = x->source[b];
        if ((source != TYPES_SOURCE_UNKNOWN && source != SOLVE_PENDING) || !t->agreeing ||
            (u64)t->agreeing * SHARE_OF < (u64)t->known * SHARE)
            continue;
        if (!by_stack || fits_any_size(x, b, t->shape))
            solve_decide(x, b, t->shape, TYPES_SOURCE_VOTE);
    }
}

void solve_vote(struct solve *x)
{
    struct tally *by_class = types_take(x->scratch, x->class_count, sizeof *by_class);
    vote(x, by_class, false);
    struct tally *by_stack = types_take(x->scratch, (u64)x->s->stack_count + 1, sizeof *by_stack);
    vote(x, by_stack, true);
}
