/* SPDX-License-Identifier: MIT
 *
 * catalog_build.h - what the parts of the builder of catalogues share: units, scopes, what types
 * look like before they are merged, and what code says.
 *
 * Context: tool, in the builder's child process.
 * Invariant: a reference to a named struct, union or class is to its tag, whatever file it was
 * found in; a reference to anything else is to a shape. So shapes hold no circles, and two entries
 * that say the same have the same shape, in whatever compilation unit they stand.
 */
#ifndef MOONHEAP_SYMBOLS_CATALOG_BUILD_H
#define MOONHEAP_SYMBOLS_CATALOG_BUILD_H

#include "catalog/catalog.h"
#include "catalog_die.h"
#include "catalog_pool.h"

/* A reference: 0 = void; with this bit a tag, else a shape; both count from 1. */
#define CATALOG_REF_TAG 0x80000000u

/* A name that types may be declared by before they are defined. */
struct catalog_tag {
    u32 name;        /* as people write it, without what tells equal names apart */
    u32 shape, unit; /* the first definition that was met; 0 = only declared */
    bool several;    /* definitions of different shape were met */
};

/* Unit `unit` knows the tag as this definition, which stands in unit `home`. */
struct catalog_known {
    u32 unit, tag, shape, home;
};

/* A definition whose members have not been read yet. */
struct catalog_pending {
    Dwarf_Die die;
    u32 unit, tag;
};

/* The same, of a definition that may be pending. */
struct catalog_note {
    u64 entry;
    u32 unit, tag, home;
};

struct catalog_scope {
    Dwarf_Die die; /* namespace, struct or function */
    u32 unit, parent;
    u32 name; /* offset in names, when named */
    bool named, is_function;
};

typedef CATALOG_LIST(Dwarf_Die) catalog_dies;

/* A compilation, partial or type unit. */
struct catalog_unit {
    Dwarf_Die root;
    bool is_c; /* types in functions are not named after them */
    bool is_gcc;
    bool walked;                /* the maps and lists are filled */
    bool shared;                /* others refer into it: the maps stay */
    bool processed;             /* what it defines has been taken over */
    struct catalog_map scopes;  /* entry -> scope it stands in */
    struct catalog_map aliases; /* unnamed type -> name of the typedef that names it */
    struct catalog_map refs;    /* type entry -> reference + 1 */
    struct catalog_map shapes;  /* entry of a named definition -> shape */
    catalog_dies types, variables, functions;
};

/* A variable whose type is known to the unit it stands in. */
struct catalog_found {
    u64 address;
    u32 name, type, unit;
};

struct catalog_hinted {
    u32 name, unit;
    u32 returns;      /* reference */
    u32 first, count; /* in `hints`, references */
    bool only_uses;   /* all its pointers are given to it, and it gives none back */
};

/* Code, or memory that the program may write to. */
struct catalog_span {
    u64 lo, hi;
    u32 function;
};

struct catalog_build {
    struct catalog_pool pool;
    struct catalog_strings names;
    char text[1 << 16]; /* a name that is being put together */
    CATALOG_LIST(struct catalog_unit) units;
    struct catalog_map unit_of_cu;
    CATALOG_LIST(struct catalog_scope) scopes;
    CATALOG_LIST(struct catalog_tag) tags;
    struct catalog_map tag_of_name; /* key's offset in names -> tag */
    CATALOG_LIST(struct catalog_type) shapes;
    CATALOG_LIST(struct catalog_member) members;
    struct catalog_map shape_of_hash;
    CATALOG_LIST(struct catalog_known) known;
    CATALOG_LIST(struct catalog_pending) pending;
    CATALOG_LIST(struct catalog_note) notes;
    CATALOG_LIST(struct catalog_span) writable, sealed; /* sealed: by the loader, at the start */
    struct catalog_span thread_local_image;
    CATALOG_LIST(struct catalog_found) variables, thread_locals;
    CATALOG_LIST(struct catalog_hinted) functions;
    CATALOG_LIST(u32) hints;
    struct catalog_map function_of_die;
    CATALOG_LIST(struct catalog_span) spans;
    CATALOG_LIST(u64) calls; /* return addresses in the function that is being read */
    catalog_dies imports;    /* units of other files that have not been taken over yet */
    u32 skeletons, split_missing;
    void (*progress)(void *context, u32 per_mille);
    void *context;
};

/* --- units and names (catalog_unit.c) ------------------------------------------------------- */

/* Reads all of the debug information into the tables above. */
void catalog_unit_read_all(struct catalog_build *b, Dwarf *dwarf, u64 info_bytes);
/* The unit of an entry that unit `from` refers to, walked. Units may move when another is met: keep
 * the number. */
u32 catalog_unit_of(struct catalog_build *b, Dwarf_Die *die, u32 from);
/* The entry that an entry completes or is a copy of, at the end of that chain. */
Dwarf_Die catalog_unit_origin(Dwarf_Die die);
/* Qualified name of an entry of that unit; 0 = it has none. */
u32 catalog_unit_name(struct catalog_build *b, u32 unit, Dwarf_Die *die);
/* Does the entry stand in a class or a function of that unit? */
bool catalog_unit_is_inner(const struct catalog_build *b, u32 unit, const Dwarf_Die *die);
/* The tag of a struct, union or class of that unit; 0 = it has no name. */
u32 catalog_unit_tag(struct catalog_build *b, u32 unit, Dwarf_Die *die, struct catalog_die *d);

/* --- types (catalog_shape.c) ----------------------------------------------------------------- */

/* The reference that unit `unit` has to a type entry, which may stand in another. What a named
 * struct holds is read later: catalog_shape_finish. */
u32 catalog_shape_of(struct catalog_build *b, u32 unit, Dwarf_Die *die);
/* Reads all that was put off. Before a unit is let go. */
void catalog_shape_finish(struct catalog_build *b);
/* The type that an entry's DW_AT_type names. */
u32 catalog_shape_of_type(struct catalog_build *b, u32 unit, struct catalog_die *d);
/* What a pointer to data leads to, through typedefs; 0 = it is none, or leads to void or code. */
u32 catalog_shape_pointee(const struct catalog_build *b, u32 reference);

/* --- code (catalog_code.c) ------------------------------------------------------------------- */

/* Takes over what a function with code says about what it may allocate. */
void catalog_code_read(struct catalog_build *b, u32 unit, Dwarf_Die *function);

/* --- the end (catalog_merge.c) ---------------------------------------------------------------- */

/* Makes one type of each that is the same, and lays the catalogue out; malloc'ed bytes. */
void *catalog_merge(struct catalog_build *b, const u8 *build_id, u32 build_id_bytes, u64 *size);

#endif
