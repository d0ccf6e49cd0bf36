/* SPDX-License-Identifier: MIT
 *
 * solve.h - what the files that find the types of blocks share.
 *
 * Context: pure; inside the room only.
 * Invariant: a block that has a source other than UNKNOWN or PENDING has a shape, and is in the
 * queue: what it refers to has been told of it, or will be.
 */
#ifndef MOONHEAP_TYPES_SOLVE_H
#define MOONHEAP_TYPES_SOLVE_H

#include "shapes.h"

/* What stays after types_solve. */
struct types_solution {
    struct types_arena arena;
    struct shapes shapes;
    u32 *shape_of_type;        /* by type id, 0 = a name alone */
    struct types_names before; /* t->types as types_build left it */
    jmp_buf out;
};

/* Blocks of one stack and one size: as good as always of one type. */
struct solve_class {
    u32 stack, blocks;
    u64 size;
    u32 clue;  /* shape that debug information of the allocating code says, 0 = none */
    u8 weight; /* of the clue, 0..CLUE_SURE */
};

enum {
    CLUE_SURE = 100,  /* std::allocator<T>::allocate, and what fits as exactly */
    CLUE_STRONG = 60, /* from here on, believed before references are looked at */
    CLUE_WEAK = 10,   /* from here on, believed before what only one pointer of many says */
    CLUE_LAST = 6, /* a T is returned, and the block is larger: believed when all else is silent */
};

/* Candidates that are not decided yet. */
#define SOLVE_PENDING 0xffu

struct solve {
    const struct snapshot *s;
    struct types *t;
    struct shapes shapes;
    const struct types_memory *keep, *scratch;
    u32 *shape;    /* by block id */
    u8 *source;    /* by block id: enum types_source; SOLVE_PENDING: `shape` is a candidate */
    u8 *score;     /* by block id: how much speaks for the candidate */
    u32 *class_of; /* by block id */
    struct solve_class *classes; /* [0..class_count) */
    u32 class_count, class_room;
    u32 *queue; /* blocks whose references are to be followed; each block comes once */
    u32 queue_head, queue_tail;
    u32 *touched; /* blocks that are PENDING and are not in the list for nothing */
    u32 touched_count;
    u64 *into; /* a bit an edge: leads into the middle of its target */
};

/* Puts the blocks into classes. */
void solve_classes(struct solve *x);
/* Fills the clues of all classes from what debug information says of the code that allocated. */
void solve_clues(struct solve *x);
/* Decides a block. */
void solve_decide(struct solve *x, u32 block, u32 shape, enum types_source source);
/* Tells what roots refer to what their variables' types say of it. */
void solve_roots(struct solve *x);
/* Follows the references of the blocks in the queue, and of those that become known by it.
 * Candidates for which less than `least` speaks stay pending. */
void solve_spread(struct solve *x, u32 least);
enum { SCORE_STRONG = 8, SCORE_FAIR = 5, SCORE_WEAK = 1 };
/* Gives blocks the type that nearly all of their class have, or else of their stack; and with
 * `sites` what those of their site begin with. */
void solve_vote(struct solve *x, bool sites);
/* What a reference of that kind into a block says of it: a shape, and how much it weighs; 0. */
u32 solve_fit(struct solve *x, struct shape_word w, u32 source_shape, u64 into, u64 bytes,
              u32 *weight);

#endif
