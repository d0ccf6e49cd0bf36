/* SPDX-License-Identifier: MIT
 *
 * vote.c - blocks of one stack and size are of one type: those that are known speak for the rest.
 *
 * Context: pure.
 * Invariant: a vote is only taken where nearly all that are known agree; blocks that the program or
 * its virtual tables have named are never overruled.
 * Why it is needed: references do not reach what is leaked, or what hangs on a void *.
 * How: one pass finds who may have the majority (Boyer and Moore), a second counts; by stack and
 * size, then by stack alone for what comes in many sizes (arrays, strings). At last by site, for
 * objects of several types that all begin alike: by site and size, then by site alone, where each
 * class has one vote, so that many objects of one kind do not speak for the few of another.
 */
#include "solve.h"

enum { SHARE_OF = 10, SHARE = 9 }; /* nine in ten */

struct tally {
    u32 shape, ahead;
    u32 known, agreeing;
};

/* Which group a block is in. */
enum group { BY_CLASS, BY_STACK, BY_SITE_AND_SIZE, BY_SITE };

struct election {
    struct solve *x;
    enum group by;
    const u32 *group_of_class; /* BY_SITE_AND_SIZE */
    struct tally *tallies;
};

/* Blocks without a stack have nothing in common. */
static bool has_vote(const struct solve *x, u32 block)
{
    u8 source = x->source[block];
    return x->s->block_stack[block - 1] && source != TYPES_SOURCE_UNKNOWN &&
           source != SOLVE_PENDING && source != TYPES_SOURCE_VOTE;
}

static struct tally *tally_of(const struct election *e, u32 block)
{
    const struct solve *x = e->x;
    u32 stack = x->s->block_stack[block - 1];
    switch (e->by) {
    case BY_CLASS:
        return &e->tallies[x->class_of[block]];
    case BY_STACK:
        return &e->tallies[stack];
    case BY_SITE_AND_SIZE:
        return &e->tallies[e->group_of_class[x->class_of[block]]];
    case BY_SITE:
        break;
    }
    return &e->tallies[x->t->site_of_stack[stack]];
}

/* What objects of several types begin with. */
static u32 beginning(const struct solve *x, u32 shape)
{
    while (shapes_get(&x->shapes, shape)->base)
        shape = shapes_get(&x->shapes, shape)->base;
    return shape;
}

static u32 ballot(const struct election *e, u32 block)
{
    u32 shape = e->x->shape[block];
    return e->by == BY_SITE_AND_SIZE ? beginning(e->x, shape) : shape;
}

static void cast(struct tally *t, u32 shape)
{
    t->known++;
    if (t->shape == shape) {
        t->ahead++;
    } else if (!t->ahead) {
        t->shape = shape;
        t->ahead = 1;
    } else {
        t->ahead--;
    }
}

static bool is_elected(const struct tally *t)
{
    return t->agreeing && (u64)t->agreeing * SHARE_OF >= (u64)t->known * SHARE;
}

static void count_blocks(struct election *e)
{
    u32 blocks = e->x->s->block_count;
    for (u32 b = 1; b <= blocks; b++)
        if (has_vote(e->x, b))
            cast(tally_of(e, b), ballot(e, b));
    for (u32 b = 1; b <= blocks; b++)
        if (has_vote(e->x, b)) {
            struct tally *t = tally_of(e, b);
            t->agreeing += ballot(e, b) == t->shape;
        }
}

/* Of another size than those that voted: does the shape fill it, and not just begin it? */
static bool fits_any_size(const struct solve *x, u32 block, u32 shape)
{
    const struct shape *p = shapes_get(&x->shapes, shape);
    enum shape_form form = shapes_form(p, snapshot_block_bytes(x->s, (block_id){block}));
    return !(p->flags & SHAPE_MADE_UP) &&
           (form > FORM_PREFIX || (form == FORM_PREFIX && p->flags & SHAPE_BEGINS));
}

/* Gives the blocks that are not known what their group has elected. */
static void apply(const struct election *e)
{
    struct solve *x = e->x;
    for (u32 b = 1; b <= x->s->block_count; b++) {
        bool undecided = x->source[b] == TYPES_SOURCE_UNKNOWN ||
                         (x->source[b] == SOLVE_PENDING && e->by == BY_CLASS);
        if (!undecided || !x->s->block_stack[b - 1])
            continue;
        const struct tally *t = tally_of(e, b);
        if (is_elected(t) && (e->by == BY_CLASS || fits_any_size(x, b, t->shape)))
            solve_decide(x, b, t->shape, TYPES_SOURCE_VOTE);
    }
}

/* Numbers the pairs of site and size that there are; *count of them. */
static u32 *group_classes(struct solve *x, u32 *count)
{
    u64 slots = 16;
    while (slots < 2 * ((u64)x->class_count + 1))
        slots *= 2;
    u32 *first = types_take(x->scratch, slots, sizeof *first); /* class + 1 */
    u32 *group = types_take(x->scratch, x->class_count, sizeof *group);
    *count = 0;
    for (u32 i = 0; i < x->class_count; i++) {
        const struct solve_class *c = &x->classes[i];
        u32 site = x->t->site_of_stack[c->stack];
        u64 at = (site * 0x9e3779b97f4a7c15u ^ c->size * 0xff51afd7ed558ccdu) >> 20 & (slots - 1);
        for (; first[at]; at = (at + 1) & (slots - 1)) {
            const struct solve_class *other = &x->classes[first[at] - 1];
            if (x->t->site_of_stack[other->stack] == site && other->size == c->size)
                break;
        }
        if (first[at]) {
            group[i] = group[first[at] - 1];
        } else {
            first[at] = i + 1;
            group[i] = (*count)++;
        }
    }
    return group;
}

/* Each class has one vote, for what its own majority begins with. */
static void count_classes(struct election *sites, const struct tally *classes)
{
    struct solve *x = sites->x;
    for (u32 pass = 0; pass < 2; pass++)
        for (u32 i = 0; i < x->class_count; i++) {
            if (!is_elected(&classes[i]))
                continue;
            struct tally *t = &sites->tallies[x->t->site_of_stack[x->classes[i].stack]];
            u32 shape = beginning(x, classes[i].shape);
            if (pass)
                t->agreeing += shape == t->shape;
            else
                cast(t, shape);
        }
}

/* A T that is returned at the beginning of a larger block: not where the site's blocks are known to
 * be something else, or to have it elsewhere. */
static void drop_contradicted(const struct election *sites)
{
    struct solve *x = sites->x;
    for (u32 i = 0; i < x->class_count; i++) {
        struct solve_class *c = &x->classes[i];
        const struct tally *t = &sites->tallies[x->t->site_of_stack[c->stack]];
        if (c->weight == CLUE_LAST && t->known &&
            (t->shape != beginning(x, c->clue) || !is_elected(t)))
            c->clue = 0;
    }
}

void solve_vote(struct solve *x, bool sites)
{
    struct election by_class = {x, BY_CLASS, NULL,
                                types_take(x->scratch, x->class_count, sizeof(struct tally))};
    struct election by_stack = {
        x, BY_STACK, NULL,
        types_take(x->scratch, (u64)x->s->stack_count + 1, sizeof(struct tally))};
    count_blocks(&by_class);
    apply(&by_class);
    count_blocks(&by_stack);
    apply(&by_stack);
    if (!sites)
        return;
    u32 count;
    struct election by_size = {x, BY_SITE_AND_SIZE, group_classes(x, &count), NULL};
    by_size.tallies = types_take(x->scratch, count, sizeof(struct tally));
    count_blocks(&by_size);
    apply(&by_size);
    struct election by_site = {x, BY_SITE, NULL,
                               types_take(x->scratch, x->t->sites.count, sizeof(struct tally))};
    count_classes(&by_site, by_class.tallies);
    apply(&by_site);
    drop_contradicted(&by_site);
}
