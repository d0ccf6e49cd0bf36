/* SPDX-License-Identifier: MIT
 *
 * vote.c - blocks of one stack and size are of one type: those that are known speak for the rest.
 *
 * Context: pure.
 * Invariant: a vote is only taken where nearly all that are known agree, and for characters where
 * enough are known; blocks that something else has typed are never overruled.
 * Why it is needed: references do not reach what is leaked, or what hangs on a void *.
 * How: one pass over the blocks finds for each class (stack and size) which shape may have the
 * majority (Boyer and Moore), a second counts. Larger groups are summed up from classes: stacks,
 * for what comes in many sizes (arrays, strings); then, for objects of several types that all begin
 * alike, site and size; and sites, where each class has one vote, so that many objects of one kind
 * do not speak for the few of another.
 */
#include "solve.h"

enum {
    SHARE_OF = 10,
    SHARE = 9, /* nine in ten of those that are known */
    QUORUM_OF = 16,
};

struct tally {
    u32 shape;
    u64 ahead, known, agreeing;
    u64 all; /* known or not */
};

struct election {
    struct solve *x;
    const u32 *group_of; /* by class */
    struct tally *tallies;
    bool beginnings; /* votes are for what the shapes begin with */
    bool one_each;   /* each class has one vote */
};

/* Blocks without a stack have nothing in common. */
static bool has_vote(const struct solve *x, u32 block)
{
    u8 source = x->source[block];
    return source != TYPES_SOURCE_UNKNOWN && source != SOLVE_PENDING &&
           source != TYPES_SOURCE_VOTE && x->s->block_stack[block - 1];
}

/* What objects of several types begin with. */
static u32 beginning(const struct solve *x, u32 shape)
{
    while (shapes_get(&x->shapes, shape)->base)
        shape = shapes_get(&x->shapes, shape)->base;
    return shape;
}

static void cast(struct tally *t, u32 shape, u64 votes)
{
    if (t->shape == shape) {
        t->ahead += votes;
    } else if (t->ahead < votes) {
        t->shape = shape;
        t->ahead = votes - t->ahead;
    } else {
        t->ahead -= votes;
    }
}

/* Characters fill a block of any size, so that one stray pointer to them is as good as any other:
 * a sixteenth of the blocks must be known (in a redis-server of which only the C library has debug
 * information, one such pointer made characters of 5000 entries of a hash table). */
static bool is_elected(const struct solve *x, const struct tally *t)
{
    bool anything = t->agreeing && shapes_get(&x->shapes, t->shape)->flags &
                                       (SHAPE_BYTES | SHAPE_BASE_TYPE);
    return t->agreeing && t->agreeing * SHARE_OF >= t->known * SHARE &&
           (!anything || t->known * QUORUM_OF >= t->all);
}

static struct tally *count_classes(struct solve *x)
{
    struct tally *tallies = types_take(x->scratch, x->class_count, sizeof *tallies);
    u32 blocks = x->s->block_count;
    for (u32 i = 0; i < x->class_count; i++)
        tallies[i].all = x->classes[i].blocks;
    for (u32 b = 1; b <= blocks; b++)
        if (has_vote(x, b)) {
            struct tally *t = &tallies[x->class_of[b]];
            t->known++;
            cast(t, x->shape[b], 1);
        }
    for (u32 b = 1; b <= blocks; b++)
        if (has_vote(x, b)) {
            struct tally *t = &tallies[x->class_of[b]];
            t->agreeing += x->shape[b] == t->shape;
        }
    return tallies;
}

static void count_groups(struct election *e, const struct tally *classes)
{
    struct solve *x = e->x;
    for (u32 pass = 0; pass < 2; pass++)
        for (u32 i = 0; i < x->class_count; i++) {
            const struct tally *c = &classes[i];
            struct tally *t = &e->tallies[e->group_of[i]];
            if (!pass)
                t->all += e->one_each ? 1 : c->all;
            if (!c->known)
                continue;
            u32 shape = e->beginnings ? beginning(x, c->shape) : c->shape;
            u64 votes = e->one_each ? is_elected(x, c) : c->agreeing;
            if (pass)
                t->agreeing += shape == t->shape ? votes : 0;
            else
                cast(t, shape, votes);
            if (!pass)
                t->known += e->one_each ? votes : c->known;
        }
}

/* Of another size than those that voted: does the shape fill it, and not just begin it? */
static bool fits_any_size(const struct solve *x, u64 bytes, u32 shape)
{
    const struct shape *p = shapes_get(&x->shapes, shape);
    enum shape_form form = shapes_form(p, bytes);
    return !(p->flags & SHAPE_MADE_UP) &&
           (form > FORM_PREFIX || (form == FORM_PREFIX && p->flags & SHAPE_BEGINS));
}

/* Is all that is known of the shape how a block of so many bytes begins? */
static bool is_beginning(const struct solve *x, u32 shape, u64 bytes)
{
    return shape && shapes_form(shapes_get(&x->shapes, shape), bytes) == FORM_PREFIX;
}

/* What each class gets for those of its blocks that are not typed: of the first election that gives
 * anything; but of how blocks begin, of the one with the most voters, since one stray pointer may
 * be all that a class knows. */
static u32 *elect(struct solve *x, const struct tally *classes, const struct election *groups,
                  u32 count)
{
    u32 *elected = types_take(x->scratch, x->class_count, sizeof *elected);
    for (u32 i = 0; i < x->class_count; i++) {
        if (!x->classes[i].stack)
            continue;
        if (is_elected(x, &classes[i]))
            elected[i] = classes[i].shape;
        for (u32 k = 0; k < count; k++) {
            const struct tally *t = &groups[k].tallies[groups[k].group_of[i]];
            bool open = !elected[i] ||
                        (groups[k].beginnings && is_beginning(x, elected[i], x->classes[i].size));
            if (!open || !is_elected(x, t) || !fits_any_size(x, x->classes[i].size, t->shape))
                continue;
            elected[i] = t->shape;
            if (groups[k].beginnings)
                break;
        }
        /* How blocks begin is for the last election, when all that is known speaks. */
        if (count == 1 && is_beginning(x, elected[i], x->classes[i].size))
            elected[i] = 0;
    }
    return elected;
}

/* Numbers the pairs of site and size that there are. */
static u32 *group_by_site_and_size(struct solve *x)
{
    u64 slots = 16;
    while (slots < 2 * ((u64)x->class_count + 1))
        slots *= 2;
    u32 *first = types_take(x->scratch, slots, sizeof *first); /* class + 1 */
    u32 *group = types_take(x->scratch, x->class_count, sizeof *group);
    for (u32 i = 0; i < x->class_count; i++) {
        const struct solve_class *c = &x->classes[i];
        u32 site = x->t->site_of_stack[c->stack];
        u64 h = (site * 0x9e3779b97f4a7c15u) ^ (c->size * 0xff51afd7ed558ccdu);
        u64 at = h >> 20 & (slots - 1);
        for (; first[at]; at = (at + 1) & (slots - 1)) {
            const struct solve_class *other = &x->classes[first[at] - 1];
            if (x->t->site_of_stack[other->stack] == site && other->size == c->size)
                break;
        }
        first[at] = first[at] ? first[at] : i + 1;
        group[i] = first[at] - 1;
    }
    return group;
}

/* A T that is returned at the beginning of a larger block: not where the site's blocks are known to
 * be something else, or to have it elsewhere. */
static void drop_contradicted(struct solve *x, const struct election *sites)
{
    for (u32 i = 0; i < x->class_count; i++) {
        struct solve_class *c = &x->classes[i];
        const struct tally *t = &sites->tallies[sites->group_of[i]];
        if (c->weight == CLUE_LAST && t->known &&
            (t->shape != beginning(x, c->clue) || !is_elected(x, t)))
            c->clue = 0;
    }
}

void solve_vote(struct solve *x, bool sites)
{
    u32 *stack_of = types_take(x->scratch, x->class_count, sizeof *stack_of);
    u32 *site_of = types_take(x->scratch, x->class_count, sizeof *site_of);
    for (u32 i = 0; i < x->class_count; i++) {
        stack_of[i] = x->classes[i].stack;
        site_of[i] = x->t->site_of_stack[stack_of[i]];
    }
    struct election groups[] = {
        {x, stack_of, NULL, false, false},
        {x, sites ? group_by_site_and_size(x) : site_of, NULL, true, false},
        {x, site_of, NULL, true, true},
    };
    u64 rooms[] = {(u64)x->s->stack_count + 1, x->class_count + 1ull, x->t->sites.count};
    const struct tally *classes = count_classes(x);
    u32 count = sites ? COUNT_OF(groups) : 1;
    for (u32 k = 0; k < count; k++) {
        groups[k].tallies = types_take(x->scratch, rooms[k], sizeof(struct tally));
        count_groups(&groups[k], classes);
    }
    if (sites)
        drop_contradicted(x, &groups[count - 1]);

    const u32 *elected = elect(x, classes, groups, count);
    for (u32 b = 1; b <= x->s->block_count; b++) {
        bool unknown = x->source[b] == TYPES_SOURCE_UNKNOWN;
        if (!unknown && x->source[b] != SOLVE_PENDING)
            continue;
        u32 shape = elected[x->class_of[b]];
        if (shape && (unknown || is_elected(x, &classes[x->class_of[b]])))
            solve_decide(x, b, shape, TYPES_SOURCE_VOTE);
    }
}
