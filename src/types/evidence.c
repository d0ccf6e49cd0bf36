/* SPDX-License-Identifier: MIT
 *
 * evidence.c - what one reference says of the block that it leads to, for those who ask why a block
 * has its type.
 *
 * Context: pure.
 * Invariant: it is heard by the rule that types were found by (fit.c), so what is shown is what
 * counted. Nothing of it is stored: it is found again for the one block that is asked about.
 */
#include "solve.h"

static struct shape_word word_of(struct solve *x, const struct types_witness *w, u32 *source_shape)
{
    struct shape_word none = {.kind = WORD_NONE};
    *source_shape = 0;
    if (w->source.v) {
        u32 shape = x->t->solution->shape_of_type[types_of_block(x->t, w->source).v];
        const struct shape *p = shapes_get(&x->shapes, shape);
        if (!shape || !p->catalog || p->flags & SHAPE_BYTES)
            return none;
        *source_shape = shape;
        u64 bytes = snapshot_block_bytes(x->s, w->source);
        return shapes_block_word(&x->shapes, shape, shapes_form(p, bytes), w->offset);
    }
    return shapes_variable_word(&x->shapes, w->place);
}

const char *types_hear(struct types *t, const struct types_witness *w, u32 *weight)
{
    struct types_solution *solution = t->solution;
    *weight = 0;
    if (!solution)
        return NULL;
    struct solve x = {.s = t->snapshot, .t = t, .shapes = solution->shapes};
    if (setjmp(solution->out))
        return NULL;
    u32 source_shape, found;
    struct shape_word word = word_of(&x, w, &source_shape);
    found =
        solve_fit(&x, word, source_shape, w->into, snapshot_block_bytes(x.s, w->target), weight);
    solution->shapes = x.shapes;
    return found ? shapes_get(&solution->shapes, found)->name : NULL;
}
