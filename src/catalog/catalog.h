/* SPDX-License-Identifier: MIT
 *
 * catalog.h - the door of catalog: what the debug information of one module says of types, as a
 * compact file that is mapped and never parsed. FORMAT.md says what each byte means.
 *
 * Context: pure; whoever opens a file may block.
 * Invariant: a struct catalog that catalog_open has accepted is whole: every offset, index and
 * string in it has been checked once, so readers follow them without checks. Chains of types end:
 * each type has a depth below CATALOG_DEPTH_MAX, and what a typedef, an array or a member leads to
 * has a lesser one. Members, variables, hints and elements of arrays have a type that is not 0.
 * Why a file: debug information is read once, by the tool, perhaps on another machine; a program
 * that is looked at only maps the result, and pays for the pages that it touches.
 */
#ifndef MOONHEAP_CATALOG_CATALOG_H
#define MOONHEAP_CATALOG_CATALOG_H

#include "base/base.h"

/* Everything a catalogue can hold. X(NAME, code, bytes of a record, what a record is) */
#define CATALOG_SECTIONS(X)                                                                        \
    X(STRINGS, 1, 1, "NUL-terminated strings; offset 0 is the empty string")                       \
    X(TYPES, 2, sizeof(struct catalog_type), "one for each distinct type")                         \
    X(MEMBERS, 3, sizeof(struct catalog_member), "members and bases, by struct, then by offset")   \
    X(VARIABLES, 4, sizeof(struct catalog_variable), "global and static variables, by address")    \
    X(THREAD_LOCALS, 5, sizeof(struct catalog_variable), "thread-local ones, by offset")           \
    X(FUNCTIONS, 6, sizeof(struct catalog_function), "functions that may allocate typed memory")   \
    X(HINTS, 7, sizeof(u32), "types that a function's pointers lead to, by function")              \
    X(RANGES, 8, sizeof(struct catalog_range), "code of those functions, inlined ones too")

enum catalog_section {
#define X(name, code, bytes, help) CATALOG_##name##_SECTION = code,
    CATALOG_SECTIONS(X)
#undef X
        CATALOG_SECTION_LIMIT = 9
};

/* X(NAME, what `target`, `first` and `count` are) */
#define CATALOG_KINDS(X)                                                                           \
    X(OPAQUE, 1)   /* a struct, union or class that is only declared; size 0 */                    \
    X(BASE, 2)     /* integer, floating point, enumeration, pointer to member; name */             \
    X(POINTER, 3)  /* target: what it points to, 0 = void; references too */                       \
    X(STRUCT, 4)   /* members first..first + count; classes too */                                 \
    X(UNION, 5)    /* members first..first + count */                                              \
    X(ARRAY, 6)    /* target: of an element; count elements, 0 = flexible */                       \
    X(TYPEDEF, 7)  /* target: what it is another name for, 0 = void */                             \
    X(FUNCTION, 8) /* code: what a function pointer points to */

enum catalog_kind {
#define X(name, code) CATALOG_##name = code,
    CATALOG_KINDS(X)
#undef X
        CATALOG_KIND_LIMIT = 9
};

enum {
    CATALOG_BUILD_ID_MAX = 32,
    CATALOG_DEPTH_MAX = 32, /* typedefs, arrays and structs around one another */
};

/* Types are counted from 1; 0 is void, or "not known". const and volatile are not kept. Names are
 * as people write them, qualified: "session", "ns::box<int>"; a struct without a name that has a
 * typedef is named by it; else the name is "". */
struct catalog_type {
    u64 size;   /* bytes; of a flexible array 0, of a typedef its target's */
    u32 name;   /* offset in STRINGS */
    u32 kind;   /* enum catalog_kind */
    u32 target; /* type id, see CATALOG_KINDS */
    u32 first, count;
    u16 flags; /* CATALOG_POLYMORPHIC */
    u16 depth; /* 0 = holds no other type; else 1 + the greatest depth of what it holds */
};
#define CATALOG_POLYMORPHIC 1u /* has a vtable pointer, its own or a base's */

/* A member lies within its struct; only a base may seem to reach beyond, when it shares a virtual
 * base that lies elsewhere. */
struct catalog_member {
    u64 offset; /* bytes from the start of its struct; of a virtual base 0: not known */
    u32 name;   /* offset in STRINGS; "" = anonymous struct or union, or a base */
    u32 type;
    u16 bit_offset, bit_size; /* of a bit field, from `offset`, low bits first; size 0 = none */
    u32 flags;                /* CATALOG_MEMBER_* */
};
#define CATALOG_MEMBER_BASE         1u /* a base class */
#define CATALOG_MEMBER_VIRTUAL_BASE 2u /* where it lies depends on the whole object */
#define CATALOG_MEMBER_VPTR         4u /* the vtable pointer */

struct catalog_variable {
    u64 address; /* in the file (pc - bias); of a thread-local, offset in the module's TLS block */
    u64 size;    /* bytes, not 0 */
    u32 name;    /* offset in STRINGS, qualified */
    u32 type;
};

/* What an allocation in this function may be for: what it returns a pointer to, and what its
 * parameters and local variables point to. `std::allocator<T>::allocate` returns T *, so it says
 * what it allocates; `make_session` returns session *, or has a session *s. */
struct catalog_function {
    u32 name;         /* offset in STRINGS, qualified, without parameters */
    u32 returns;      /* type it returns a pointer to, 0 = none or void */
    u32 first, count; /* HINTS: types that its other pointers lead to, distinct, without void */
};

/* Code of a function, or of a copy of it inlined into others. Ascending by lo, then descending by
 * bytes: an inlined copy follows what it lies in. */
struct catalog_range {
    u32 lo; /* from code_base */
    u32 bytes;
    u32 function; /* counted from 1 */
    u32 outer;    /* the range that it lies in, counted from 1; 0 = none */
};

struct catalog {
    const u8 *bytes;
    u64 size;
    bool mapped; /* by catalog_open */
    const u8 *build_id;
    u32 build_id_bytes;
    u64 code_base; /* file address that RANGES count from */
    const char *strings;
    const struct catalog_type *types; /* types[0] is type 1; so for functions */
    const struct catalog_member *members;
    const struct catalog_variable *variables, *thread_locals; /* by address, one at each */
    const struct catalog_function *functions;
    const u32 *hints;
    const struct catalog_range *ranges;
    u32 string_bytes, type_count, member_count, variable_count, thread_local_count, function_count,
        hint_count, range_count;
};

/* --- reading ------------------------------------------------------------------------------- */

/* Maps the file read-only and checks it. The file must be the caller's own or root's and writable
 * by nobody else. Fills *e: no such file, no catalogue, damaged, of another version. */
bool catalog_open(struct catalog *c, const char *path, struct err *e);
/* The same for bytes that stay the caller's. */
bool catalog_view(struct catalog *c, const void *bytes, u64 size, struct err *e);
void catalog_close(struct catalog *c);

/* Where the catalogue of a build-id is kept: $MOONHEAP_CATALOG/ab/cdef..., else
 * $XDG_CACHE_HOME/moonheap/catalog/..., else $HOME/.cache/moonheap/catalog/...; false when none of
 * them is an absolute path in `environment` ("NAME=value" strings, NULL at the end), or it does not
 * fit. */
bool catalog_path(char *const *environment, const u8 *build_id, u32 build_id_bytes, char *out,
                  size_t size);

/* Catalogues by build-id, each opened at the first question and open until the shelf goes. The
 * environment must outlive it. NULL: out of memory. */
struct catalog_shelf *catalog_shelf_create(char *const *environment);
void catalog_shelf_destroy(struct catalog_shelf *shelf);
/* NULL: there is none, or it is damaged. A missing one is looked for again the next time. */
const struct catalog *catalog_shelf_find(struct catalog_shelf *shelf, const u8 *build_id,
                                         u32 build_id_bytes);

/* The type below all typedefs; 0 for void. */
u32 catalog_plain(const struct catalog *c, u32 type);
/* The variable that holds an address of the file; NULL = none. */
const struct catalog_variable *catalog_variable_at(const struct catalog *c, u64 address);
const struct catalog_variable *catalog_thread_local_at(const struct catalog *c, u64 offset);
/* The functions whose code holds the address, innermost inlined first, at most n; returns how
 * many. */
u32 catalog_functions_at(const struct catalog *c, u64 address, u32 *functions, u32 n);

/* --- writing ------------------------------------------------------------------------------- */

/* Lays tables out as the bytes of a file: malloc'ed, the caller's, *size of them; NULL and *e when
 * memory is out or the tables are no whole catalogue. `parts` names arrays of the caller, with
 * variables and ranges in any order and without what follows from the rest: it sorts them, keeps
 * one variable at an address and one range of a function at a place, finds `outer`, sizes of
 * typedefs, arrays and depths. Types that contain themselves or are too deep are cut: such a struct
 * is left without members. Ranges that overlap without one lying in the other are left out. */
void *catalog_pack(const struct catalog *parts, u64 *size, struct err *e);
/* Writes them beside `path`, mode 0600, and renames; makes its directories, mode 0700. */
bool catalog_save(const void *bytes, u64 size, const char *path, struct err *e);

#endif
