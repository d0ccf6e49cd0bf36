/* SPDX-License-Identifier: MIT
 *
 * fit.c - what one pointer says of the block that it leads into.
 *
 * Context: pure.
 * Invariant: what does not fit the block's size is never said; what could be by accident weighs
 * little. The weights are in one table.
 */
#include "solve.h"

enum {
    WEIGHT_EXACT = 16,  /* a T *, and the block has sizeof(T) bytes */
    WEIGHT_TAIL = 12,   /* a T * to a T whose flexible array fills the rest */
    WEIGHT_LINK = 14,   /* from a link in a T into the same link of a block of sizeof(T) bytes */
    WEIGHT_BEHIND = 10, /* a T * behind a header, up to the block's end */
    WEIGHT_WHOLE = 9,   /* a part of the only struct that has it there and is of that size */
    WEIGHT_ARRAY = 8,   /* a T *, and the block is a multiple of it */
    WEIGHT_INSIDE = 5,  /* the same, into the middle */
    WEIGHT_CHOICE = 5,  /* one of a union's members, and only that fits */
    WEIGHT_PREFIX = 3,  /* a T *, and the block has more */
    WEIGHT_BYTES = 2,   /* a char * */
    WEIGHT_SHIFTED = 2, /* a T * behind a header, and there is more */
    HEADER_MOST = 64,
};

static u32 at_start(struct solve *x, u32 shape, u64 bytes, u32 *weight)
{
    const struct shape *p = shapes_get(&x->shapes, shape);
    enum shape_form form = shapes_form(p, bytes);
    u32 whole;
    switch (form) {
    case FORM_EXACT:
        *weight = WEIGHT_EXACT;
        return shape;
    case FORM_TAIL:
        *weight = WEIGHT_TAIL;
        return shape;
    case FORM_BYTES:
        *weight = WEIGHT_BYTES;
        return shape;
    case FORM_ARRAY:
    case FORM_PREFIX:
        whole = p->flags & SHAPE_STRUCT ? shapes_whole(&x->shapes, shape, 0, bytes) : 0;
        *weight = whole ? WEIGHT_WHOLE : form == FORM_ARRAY ? WEIGHT_ARRAY : WEIGHT_PREFIX;
        return whole ? whole : shape;
    case FORM_NONE:
        break;
    }
    return 0;
}

static u32 in_middle(struct solve *x, u32 shape, u64 into, u64 bytes, u32 *weight)
{
    const struct shape *p = shapes_get(&x->shapes, shape);
    if (p->flags & (SHAPE_BYTES | SHAPE_MADE_UP) || !p->size || p->shift)
        return 0;
    u32 whole = p->flags & SHAPE_STRUCT ? shapes_whole(&x->shapes, shape, into, bytes) : 0;
    if (whole) {
        *weight = WEIGHT_WHOLE;
        return whole;
    }
    if (into % p->size == 0 && shapes_form(p, bytes) == FORM_ARRAY) {
        *weight = WEIGHT_INSIDE;
        return shape;
    }
    if (!(p->flags & SHAPE_STRUCT) || p->flags & SHAPE_EMBEDDED || into > HEADER_MOST || into % 8 ||
        into + p->size > bytes)
        return 0;
    bool to_end = into + p->size == bytes;
    *weight = to_end ? WEIGHT_BEHIND : WEIGHT_SHIFTED;
    return shapes_shifted(&x->shapes, shape, (u32)into);
}

/* One of a union's members is only believed where its size speaks for it, and for no other. */
static u32 choose(struct solve *x, struct shape_word w, u64 into, u64 bytes, u32 *weight)
{
    u32 best = 0, most = 0, possible = 0, text = 0;
    for (u32 shape = w.shape, next = w.also; shape && !into;) {
        u32 its = 0, found = at_start(x, shape, bytes, &its);
        possible += found && its > WEIGHT_BYTES;
        if (found && its == WEIGHT_BYTES)
            text = found;
        if (found && its >= WEIGHT_TAIL) {
            best = most ? 0 : found; /* two that fit are none */
            most++;
        }
        shape = next ? x->shapes.choices[next].shape : 0;
        next = next ? x->shapes.choices[next].next : 0;
    }
    *weight = best ? WEIGHT_CHOICE : WEIGHT_BYTES;
    return most ? best : possible ? 0 : text;
}

u32 solve_fit(struct solve *x, struct shape_word w, u32 source_shape, u64 into, u64 bytes,
              u32 *weight)
{
    const struct shape *from = source_shape ? shapes_get(&x->shapes, source_shape) : NULL;
    *weight = 0;
    if (w.kind != WORD_POINTER && w.kind != WORD_CHOICE)
        return 0;
    if (w.link && from && !from->shift && w.link - 1 == into && from->size == bytes) {
        *weight = WEIGHT_LINK;
        return source_shape;
    }
    if (w.kind == WORD_CHOICE)
        return choose(x, w, into, bytes, weight);
    return into ? in_middle(x, w.shape, into, bytes, weight) : at_start(x, w.shape, bytes, weight);
}
