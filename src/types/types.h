/* SPDX-License-Identifier: MIT
 *
 * types.h - the door of types: what each block of a snapshot is, and how we know.
 *
 * Context: pure.
 * Invariant: id 0 of every name table is "unknown"; ids are dense and a name has one id, so two
 * blocks are of one type exactly when their type ids are equal. What types_build computes is by
 * stack, frame and vtable; types_solve, which the first question about types calls, makes a column
 * by block of that, of debug information and of references.
 */
#ifndef MOONHEAP_TYPES_TYPES_H
#define MOONHEAP_TYPES_TYPES_H

#include "catalog/catalog.h"
#include "snapshot/snapshot.h"

/* Where results live. `take` gives memory of 8-byte alignment that stays until its owner lets all
 * of it go at once. It never returns NULL: when memory is out it unwinds (longjmp) past its
 * caller, which therefore holds nothing that would have to be given back. */
struct types_memory {
    void *(*take)(void *context, size_t bytes);
    void *context;
};

/* Zeroed room for count records. */
void *types_take(const struct types_memory *m, u64 count, size_t record_bytes);

/* Names by id and ids by name: open addressing, at most half full, sized once. */
struct types_names {
    const char **text; /* [0..count) */
    u64 *hash;
    u32 *slots; /* id + 1, 0 = free */
    u32 count, capacity, mask;
};
#define TYPES_NO_NAME UINT32_MAX

/* Makes a table for at most `capacity` names, "unknown" among them as id 0. */
void types_names_init(struct types_names *n, u32 capacity, const struct types_memory *m);
/* The id of a name, TYPES_NO_NAME when it is not in the table. */
u32 types_names_find(const struct types_names *n, const char *text);
/* The id of a name that outlives the table; it is added when new. */
u32 types_names_add(struct types_names *n, const char *text);
/* The same for a name that does not; it is copied when new. */
u32 types_names_copy(struct types_names *n, const char *text, const struct types_memory *m);
/* 64 well-mixed bits of a name. */
u64 types_hash(const char *text);

/* How we know a type, best last. X(NAME, word) */
#define TYPES_SOURCES(X)                                                                           \
    X(UNKNOWN, "unknown")         /* no call stack was recorded */                                 \
    X(SITE, "site")               /* named after the function that allocated it */                 \
    X(VOTE, "vote")               /* nearly all that the same call stack allocated are of it */    \
    X(PROPAGATION, "propagation") /* typed pointers lead to it */                                  \
    X(ALLOCATION, "allocation")   /* what the code that allocated it handles */                    \
    X(RTTI, "rtti")               /* begins with the vtable of a C++ class */                      \
    X(TAG, "tag")                 /* the program says so */                                        \
    X(TOLD, "told")               /* the script says so: heap.istype */

enum types_source {
#define X(name, word) TYPES_SOURCE_##name,
    TYPES_SOURCES(X)
#undef X
        TYPES_SOURCE_COUNT
};
const char *types_source_word(enum types_source source);

/* One of the places in the source that a frame stands for: as many as functions were inlined there,
 * and one more. */
struct types_place {
    u32 function; /* id in functions */
    u32 file;     /* offset in NAMES: its path, "" = unknown */
    u32 line;     /* 0 = unknown */
    bool named;   /* else the function is only an address */
};

struct types_solution;

struct types {
    const struct snapshot *snapshot;
    struct types_names types; /* id = type_id */
    struct types_names functions;
    struct types_names sites;         /* id = site_id: function, file and line */
    const u8 *sources;                /* enum types_source of each type, before types_solve */
    const struct types_place *places; /* [0..place_count); place 0 is nowhere */
    const u32 *place_row; /* those of frame f, innermost first: place_row[f] to place_row[f + 1] */
    u32 place_count;
    const u32 *site_frame;       /* [0..stack_count] frame_id at which a stack's site is */
    const u32 *site_place;       /* [0..stack_count] which of its places */
    const u32 *site_of_stack;    /* [0..stack_count] */
    const u32 *function_of_site; /* [0..sites.count) */
    const u32 *type_of_site;     /* [0..sites.count) */
    const u32 *type_of_stack;    /* [0..stack_count] type of blocks that nothing better types */
    const u32 *type_of_vtable;   /* [0..vtable_count] 0 = says nothing about the whole block */
    const u32 *type_of_tag;      /* [0..tag_count] */
    /* By block id, from 1; NULL before types_solve. */
    const u32 *type_of_block;
    const u8 *source_of_block;
    struct types_solution *solution;
};

/* Fills *t, which refers to *s and lives in m. O(stacks + frames + lines + vtables + tags). */
void types_build(struct types *t, const struct snapshot *s, const struct types_memory *m);

/* What somebody who knows says of a site: "blocks that `site` allocates are `type`". */
struct types_told {
    const char *site, *type; /* a site's text, or its function alone */
};

/* Objects of a type told apart by what a field points to: by its symbol, or by the string that
 * `name_field` of it is. */
struct types_sub {
    const char *type, *field, *name_field; /* NULL: by symbol */
};

struct types_ask {
    const struct catalog *const *catalogs; /* by module id, NULL where none is; NULL: none at all */
    const struct types_told *told;         /* the later ones overrule */
    u32 told_count;
    const struct types_sub *subs;
    u32 sub_count;
    /* Reads the program's memory: bytes copied, fewer where there is none. NULL: subs have no say.
     */
    size_t (*read)(void *context, u64 address, void *out, size_t bytes);
    void *context;
    u64 memory_limit; /* bytes, for the time of the call and after */
};

/* Finds the type of every block. Ids that types_build gave stay. O(blocks + references). Takes
 * about 19 bytes a block for the time and 5 after, which types_free gives back. False, with *e
 * filled and *t as types_build left it: no memory, or more than the limit. Catalogues, the
 * array of them and the texts of what was told must outlive *t. */
bool types_solve(struct types *t, const struct types_ask *ask, struct err *e);
/* Gives back what types_solve took; *t is as types_build left it. */
void types_free(struct types *t);

/* --- members ------------------------------------------------------------------------------- */

/* The member at an offset of a block: "next", "buckets[7].key", "[3].next" in an array; returns the
 * bytes written, 0 when nothing is known of the place. */
size_t types_field_text(const struct types *t, block_id b, u64 offset, char *out, size_t size);
/* The same of a type: of blocks that are alike. */
size_t types_member_text(const struct types *t, type_id type, u64 offset, char *out, size_t size);
/* A place among the variables of a module. */
struct types_variable_place {
    u32 module; /* module id, 0 = it is in none */
    bool thread_local;
    u64 at; /* address in the module's file; of a thread-local, offset in the module's block */
};
/* The same of an address in a root. */
struct types_variable_place types_variable_place(const struct snapshot *s,
                                                 const struct snapshot_root *root, u64 address);
/* The variable at a place, with the member of it: "table.buckets[7]". */
size_t types_variable_text(const struct types *t, struct types_variable_place place, char *out,
                           size_t size);

/* A reference: from a block, or from a variable. */
struct types_witness {
    block_id source; /* {0}: a variable */
    u64 offset;      /* of the word in the block */
    struct types_variable_place place;
    block_id target;
    u64 into; /* bytes from the target's start */
};
/* The type that it says its target to be (without the length of an array), and how much that
 * weighs; NULL when it says nothing. */
const char *types_hear(struct types *t, const struct types_witness *w, u32 *weight);

/* X(NAME) */
#define TYPES_VALUES(X)                                                                            \
    X(INTEGER)                                                                                     \
    X(UNSIGNED)                                                                                    \
    X(FLOAT)                                                                                       \
    X(BOOLEAN)                                                                                     \
    X(POINTER)                                                                                     \
    X(STRING)     /* a pointer to characters */                                                    \
    X(CHARACTERS) /* an array of them */                                                           \
    X(WHOLE)      /* a struct, a union, another array */
enum types_value {
#define X(name) TYPES_VALUE_##name,
    TYPES_VALUES(X)
#undef X
};

/* What lies in a block under a name. */
struct types_field {
    u64 offset, bytes; /* in the block */
    enum types_value value;
    u32 bit_offset, bit_size; /* size 0: no bit field */
};
/* "id", "link.next", "buckets[7]", "[3].id"; false when the block's type has no such member, or it
 * lies beyond the block. */
bool types_field_find(const struct types *t, block_id b, const char *path, struct types_field *f);

static inline type_id types_of_block(const struct types *t, block_id b)
{
    const struct snapshot *s = t->snapshot;
    if (t->type_of_block)
        return (type_id){t->type_of_block[b.v]};
    if (s->block_tag && s->block_tag[b.v - 1])
        return (type_id){t->type_of_tag[s->block_tag[b.v - 1]]};
    u32 type = s->block_vtable ? t->type_of_vtable[s->block_vtable[b.v - 1]] : 0;
    return (type_id){type ? type : t->type_of_stack[s->block_stack[b.v - 1]]};
}

static inline enum types_source types_source_of_block(const struct types *t, block_id b)
{
    const struct snapshot *s = t->snapshot;
    if (t->source_of_block)
        return (enum types_source)t->source_of_block[b.v];
    if (s->block_tag && s->block_tag[b.v - 1])
        return TYPES_SOURCE_TAG;
    return (enum types_source)t->sources[types_of_block(t, b).v];
}

static inline site_id types_site_of_block(const struct types *t, block_id b)
{
    return (site_id){t->site_of_stack[t->snapshot->block_stack[b.v - 1]]};
}

/* A place as people read it: "make_session (server.c:42)", or the function alone. */
size_t types_place_text(const struct types *t, u32 place, char *out, size_t size);
/* The name of its file without folders, "" when it is not known. */
const char *types_place_file(const struct types *t, u32 place);

/* The site rule: a block's site is the innermost place of its stack that is neither in the C or
 * C++ runtime nor an allocation wrapper; when every place is one of those, the innermost one.
 * Is this place passed over? `function` is the demangled name, NULL when there is no symbol. */
bool types_site_passes_over(const char *module_file, const char *function);
/* Is a source file one of a language's own library that is compiled into programs? Its places are
 * passed over too. */
bool types_site_is_library(const char *source_file);

/* The class that a mangled typeinfo name ("7session", "*N2ns7sessionE") stands for, as people
 * write it ("ns::session"); a copy of the name when it is not understood. Cut to size - 1 bytes. */
void types_rtti_name(const char *mangled, char *out, size_t size);

#endif
