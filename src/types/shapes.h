/* SPDX-License-Identifier: MIT
 *
 * shapes.h - what blocks can be made of: types out of all catalogues of a snapshot, each once.
 *
 * Context: pure; inside the room only.
 * Invariant: two catalogues' types of one name and one layout are one shape; of one name and two
 * layouts, two, whose names differ. Shapes are made when something first asks for them, since a
 * program uses a few of the hundred thousand types that its debug information knows.
 */
#ifndef MOONHEAP_TYPES_SHAPES_H
#define MOONHEAP_TYPES_SHAPES_H

#include "arena.h"

enum {
    SHAPE_BYTES = 1,    /* characters: says of memory only that somebody looks at its bytes */
    SHAPE_STRUCT = 2,   /* has members */
    SHAPE_BEGINS = 4,   /* begins several structs: a block that begins with one may be more */
    SHAPE_EMBEDDED = 8, /* lies in the middle of some struct: a link, a lock, a list's head */
    SHAPE_MADE_UP = 16, /* known by name alone */
    SHAPE_TWIN = 32,    /* another layout has the same name: the module stands behind it */
    SHAPE_BASE_TYPE = 64,
};

struct shape {
    const struct catalog *catalog; /* NULL: known by name alone */
    u32 module;                    /* 1-based, of the snapshot; whose catalogue it is */
    u32 type;                      /* neither a typedef nor an array */
    u64 size;                      /* 0: not known */
    const char *name;
    u32 flags;
    u32 base; /* shape of what it begins with: first member or base class; 0 = none */
    u32 unit; /* shape of an element of its flexible array, 0 = none */
    u64 unit_at, unit_bytes; /* of the flexible array: offset, bytes of an element */
    u32 shift; /* bytes in front of it in its block: a header that nothing has typed */
    u32 of;    /* with a shift: the shape itself */
    struct shape_word *words; /* by word, made at first use; NULL */
};

/* What a word of a shape is. */
enum { WORD_NONE, WORD_POINTER, WORD_CHOICE, WORD_OPEN };
struct shape_word {
    u32 kind, shape; /* POINTER: to it; CHOICE: to it, or what else the union can hold there */
    u32 also;        /* of a CHOICE: index of more of them in shapes.choices, 0 = none */
    u32 link;        /* 1 + offset of the member of that very shape that it lies in */
};

/* A place in catalogues that is known by a name. */
struct shapes_entry {
    u64 hash;
    u32 module, type;
};

/* What else a word of a union can point to. */
struct shapes_choice {
    u32 shape, next;
};

struct shapes {
    const struct types_memory *m;
    const struct snapshot *s;
    const struct catalog *const *catalogs; /* by module id, NULL where there is none */
    u32 **of_type;                         /* by module, by type: its shape, 0 = not made */
    u8 **marks;                            /* by module, by type: SHAPE_BEGINS, _EMBEDDED */
    u32 **alias;                /* by module, by struct: a typedef of it that is public */
    struct shapes_entry *index; /* named structs, unions, base types and typedefs */
    u64 index_mask;
    struct shape *list; /* [1..count) */
    u32 count, room;
    u32 *shifted;                  /* by shape: the last one made with a shift, 0 = none */
    struct shapes_choice *choices; /* [1..choice_count] */
    u32 choice_count, choice_room;
    struct shapes_part *parts; /* answers of shapes_whole */
    u32 part_count;
    u64 *of_size;   /* named structs by size: a slot of the index + 1, by the size's low bits */
    u64 *next_size; /* by slot of the index: the next one, 0 = none */
};

void shapes_init(struct shapes *x, const struct snapshot *s, const struct catalog *const *catalogs,
                 const struct types_memory *m);

/* The shape of a type of a module's catalogue: below typedefs and arrays, and for a struct that is
 * only declared there its definition elsewhere. 0: void, a function, or nothing that has bytes. */
u32 shapes_of(struct shapes *x, u32 module, u32 type);
/* The shape that people call so: a struct, union, typedef or base type; of several, the lowest
 * module's. 0 when no catalogue knows it. */
u32 shapes_named(struct shapes *x, const char *name);
/* The same, made up when no catalogue knows it. `name` must outlive the shapes. */
u32 shapes_called(struct shapes *x, const char *name);
/* The shape as it lies behind a header of so many bytes. */
u32 shapes_shifted(struct shapes *x, u32 shape, u32 shift);
/* The only struct of that size that has a `part` at that offset; 0: there is none, or several. */
u32 shapes_whole(struct shapes *x, u32 part, u64 offset, u64 size);
/* Does `shape` begin with `base`, or with what begins with it? At the same shift. */
bool shapes_begins_with(const struct shapes *x, u32 shape, u32 base);

/* What lies at an offset of the shape (without arrays of it): see enum above. */
struct shape_word shapes_word(struct shapes *x, u32 shape, u64 offset);

/* The variable at a place; NULL when none is known there. */
const struct catalog_variable *shapes_variable(const struct shapes *x,
                                               struct types_variable_place place);
/* What lies at a place among variables, which may be arrays too. */
struct shape_word shapes_variable_word(struct shapes *x, struct types_variable_place place);

/* How a shape fills a block of so many bytes. */
enum shape_form {
    FORM_NONE,   /* it does not */
    FORM_PREFIX, /* begins it */
    FORM_BYTES,  /* it is bytes */
    FORM_ARRAY,  /* several in a row */
    FORM_TAIL,   /* one with elements in its flexible array */
    FORM_EXACT,  /* one */
};
enum shape_form shapes_form(const struct shape *p, u64 bytes);
/* The word at `offset` of a block of that shape and form. */
struct shape_word shapes_block_word(struct shapes *x, u32 shape, enum shape_form form, u64 offset);

static inline const struct shape *shapes_get(const struct shapes *x, u32 shape)
{
    return &x->list[shape];
}

/* The hash of a name without regard to spaces that mean nothing ("> >" and ">>"). */
u64 shapes_hash(const char *name);
bool shapes_same_name(const char *a, const char *b);

#endif
