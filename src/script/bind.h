/* SPDX-License-Identifier: MIT
 *
 * bind.h - what the bindings share: the handles that Lua holds, and how they are checked.
 *
 * Context: pure.
 * Invariant: a handle refers to its snapshot through its first user value, so a snapshot outlives
 * all that came from it; once it is closed, every use of them is the error "snapshot closed".
 * All memory of handles is Lua's: the collector frees it, the cap counts it, and nothing leaks
 * when an error unwinds. The graph of a snapshot is C memory that hangs on the snapshot from the
 * moment it is there, so it goes with the snapshot, whatever happens in between.
 */
#ifndef MOONHEAP_SCRIPT_BIND_H
#define MOONHEAP_SCRIPT_BIND_H

#include "query/query.h"
#include "state.h"

/* What was worked out about the references of a snapshot. C memory, freed by script_graph_drop. */
struct bind_graph {
    struct graph graph;
    bool opened, warned;
    u64 *reached; /* a set; NULL until asked for */
    struct graph_dominators dominators;
    bool dominated;
    struct graph_tree tree; /* shortest paths */
    bool treed;
    struct graph_path *paths; /* found, and not yet copied into handles */
    u32 path_count, path_room;
    struct graph_clusters clusters;
};

struct bind_snapshot {
    struct snapshot snapshot;
    struct types types;
    struct query_view view;
    struct query_mark marks[SCRIPT_MARKS_MAX];
    char mark_names[SCRIPT_MARKS_MAX][SCRIPT_MARK_BYTES];
    struct bind_graph references;
    bool open, live;        /* live: of the process that we are in */
    bool contents;          /* were asked for: blocks are read as they were then, or not at all */
    struct host_held *held; /* those contents; NULL where they could not be kept */
    bool typed;             /* its blocks have their types */
};                          /* user value 1: the memory of types and view */

struct bind_set {
    struct bind_snapshot *owner;
    struct query_set set;
    struct query_sum sum;
    bool summed;
    u64 bits[];
}; /* user value 1: snapshot */

struct bind_partition {
    struct bind_snapshot *owner;
    struct query_partition partition;
}; /* user values: snapshot, set, memory */

struct bind_row {
    struct bind_partition *of;
    u32 index;
}; /* user values: snapshot, partition */

struct bind_delta {
    struct bind_partition *now, *then;
    struct query_delta delta;
}; /* user values: snapshot, now, then, memory */

struct bind_block {
    struct bind_snapshot *owner;
    block_id id;
}; /* user value 1: snapshot */

struct bind_path {
    struct bind_snapshot *owner;
    struct graph_path path; /* its steps are below */
    u32 classes;            /* GRAPH_ bits of its references together */
    block_id steps[];
}; /* user value 1: snapshot */

/* The nouns. X(noun, metatable) */
#define BIND_NOUNS(X)                                                                              \
    X(snapshot, "snapshot")                                                                        \
    X(set, "set")                                                                                  \
    X(partition, "partition")                                                                      \
    X(row, "row")                                                                                  \
    X(delta, "delta")                                                                              \
    X(block, "block")                                                                              \
    X(path, "path")

#define X(noun, word)                                                                              \
    /* The handle at `arg`, its snapshot open; throws. */                                          \
    struct bind_##noun *script_check_##noun(lua_State *L, int arg);                                \
    void script_open_##noun(lua_State *L);
BIND_NOUNS(X)
#undef X
/* set:where{...}, a file of its own. */
int script_set_where(lua_State *L);
/* [-0, +1] the table `heap`. */
void script_open_heap(lua_State *L);

/* [-0, +0] makes the metatable of a noun: methods go through __index, which falls back on `index`
 * (may be NULL) with the handle and the key. */
void script_noun(lua_State *L, const char *noun, const luaL_Reg *methods,
                 const luaL_Reg *metamethods, lua_CFunction index);
/* [-0, +1] the table of a noun's methods. */
void script_push_methods(lua_State *L, const char *noun);

/* [-0, +1] a new handle. `at` is where the snapshot (set, partition...) is on the stack. */
struct bind_set *script_push_set(lua_State *L, struct bind_snapshot *owner, int at);
void script_push_block(lua_State *L, struct bind_snapshot *owner, int at, block_id id);
/* [-0, +1] the partition of the set at `set_at` by the key (a word or function) at `key_at`. */
void script_push_partition(lua_State *L, int set_at, int key_at);
/* [-0, +1] the delta of two partitions on the stack. */
void script_push_delta(lua_State *L, int now_at, int then_at);
/* [-0, +1] the snapshot handle for what the host gave; it is empty and not open yet. */
struct bind_snapshot *script_push_snapshot(lua_State *L);
/* The handle on top of the stack has its snapshot now: works out types, notes the marks. */
void script_snapshot_ready(lua_State *L, struct bind_snapshot *b, bool live);
/* [-0, +1] the snapshot that the handle at `at` belongs to. */
void script_push_owner(lua_State *L, int at);
/* [-0, +1] the set of all blocks. */
struct bind_set *script_push_all(lua_State *L, struct bind_snapshot *owner, int at);
/* [-0, +1] "a < b < c" */
void script_push_stack_text(lua_State *L, const struct query_view *v,
                            const struct query_grouping *g, u32 group);
/* [-0, +1] the same with file and line: "a (x.c:3) < b (x.c:9) < c" */
void script_push_stack_places(lua_State *L, const struct query_view *v, stack_id stack);
/* [-0, +1] the same of where a thread stood. */
void script_push_standing(lua_State *L, const struct types *t, const struct snapshot_standing *s);
/* [-0, +1] {{tid=, number=, name=, stack=, why=}...} */
void script_push_threads(lua_State *L, const struct bind_snapshot *b);
/* [-0, +1] the key of a partition's row. */
void script_push_key(lua_State *L, const struct query_partition *p, u32 row);
/* The grouping by a key, in the snapshot's memory; `at` is where the snapshot is. */
const struct query_grouping *script_grouping(lua_State *L, struct bind_snapshot *owner, int at,
                                             enum query_key key);

/* Memory that the table at `table` keeps; see struct types_memory. */
struct script_pieces {
    struct types_memory memory;
    lua_State *L;
    int table;
    u8 *chunk; /* small pieces are cut from here */
    size_t left;
};
void script_pieces_init(struct script_pieces *k, lua_State *L, int table);
/* [-0, +1] a new table to keep pieces, and *k that fills it. */
void script_push_pieces(lua_State *L, struct script_pieces *k);

/* --- types: bind_types.c, bind_field.c, bind_unknown.c, bind_evidence.c ---------------------- */

/* The types of the snapshot's blocks, found at the first use; throws when memory is out. `at` is
 * where the snapshot, or what belongs to it, is. Everything that looks at types begins here. */
const struct types *script_types(lua_State *L, struct bind_snapshot *b, int at);
int script_heap_istype(lua_State *L);
int script_heap_subtype(lua_State *L);
int script_block_field(lua_State *L);
int script_snapshot_unknown(lua_State *L);
/* [-0, +1] what references say of the block. */
void script_push_evidence(lua_State *L, struct bind_block *b);
/* A member of a block behind its type: ".next", "[7].key", or "+0x18" where no name is known. */
size_t script_field_text(const struct bind_snapshot *b, block_id id, u64 offset, char *out,
                         size_t size);
/* A type's name without the length of an array: what an element's index is put behind. */
size_t script_element_text(const char *type, char *out, size_t size);
enum { SCRIPT_FIELD_BYTES = 300 };
/* [-0, +1] the bytes of the block from `offset` on, at most `bytes`; false: nil and a message. */
bool script_push_bytes(lua_State *L, struct bind_block *b, u64 offset, u64 bytes);
/* Bytes of the program's memory, as they were at the snapshot where that was kept: how many could
 * be had. */
size_t script_read_memory(struct script *s, const struct bind_snapshot *b, u64 address, void *out,
                          size_t bytes);

/* --- references: bind_graph.c, bind_reach.c, bind_held.c, bind_path.c, bind_cluster.c, root.c ---
 */

/* The graph, made at its first use; throws when there are no references or no memory. `what` is
 * what needs them. Of script_edges, references can be followed forwards only. */
struct graph *script_edges(lua_State *L, struct bind_snapshot *b, const char *what);
struct graph *script_graph(lua_State *L, struct bind_snapshot *b, const char *what);
/* The set of blocks that roots reach. */
const u64 *script_reached(lua_State *L, struct bind_snapshot *b, const char *what);
const struct graph_dominators *script_dominators(lua_State *L, struct bind_snapshot *b,
                                                 const char *what);
const struct graph_tree *script_tree(lua_State *L, struct bind_snapshot *b, const char *what);
/* Room for paths in b->references.paths, all empty; those of before are freed. NULL for none. */
struct graph_path *script_graph_paths(lua_State *L, struct bind_snapshot *b, u32 room);
/* Frees all that there is. */
void script_graph_drop(struct bind_snapshot *b);

/* Throws when recording was started or stopped between two snapshots of one process. */
void script_check_recording(lua_State *L, const struct bind_snapshot *a,
                            const struct bind_snapshot *b);
/* The same, and when they are of different processes. */
void script_check_process(lua_State *L, const struct bind_snapshot *a,
                          const struct bind_snapshot *b);
int script_snapshot_unreachable(lua_State *L);
int script_snapshot_roots(lua_State *L);
int script_set_referrers(lua_State *L);
int script_set_referents(lua_State *L);
int script_set_closure(lua_State *L);
int script_set_retained(lua_State *L);
int script_set_paths(lua_State *L);
int script_set_clusters(lua_State *L);
int script_snapshot_threads(lua_State *L);
int script_path_dot(lua_State *L);
int script_set_dot(lua_State *L);
int script_block_referrers(lua_State *L);
int script_block_referents(lua_State *L);
int script_block_why(lua_State *L);
int script_block_retained(lua_State *L);
int script_block_dominator(lua_State *L);

/* [-0, +1] the partition of the set at `set_at` by a grouping; `keep` is the table on top of the
 * stack that keeps it. */
void script_push_grouped(lua_State *L, int set_at, const struct query_grouping *by);

/* What holds a reference outside of blocks: "global table.buckets[7]", "global server+0x4040",
 * "stack of thread worker 12 +0x80, in serve (server.c:9)"... `whole`: without the place in it, but
 * for the function. Returns the bytes written. */
size_t script_root_text(const struct bind_snapshot *b, u32 root_edge, bool whole, char *out,
                        size_t size);
/* The same of an address; 0 when no root has it. */
size_t script_address_text(const struct bind_snapshot *b, u64 address, char *out, size_t size);
/* The frame that a stack's or register's word belongs to; NULL = unknown. */
const struct snapshot_call *script_root_call(const struct snapshot *s,
                                             const struct snapshot_root *root, u64 address);
#define SCRIPT_SIGNAL_FRAME "<signal handler called>" /* a frame of no function; gdb's words */
enum { SCRIPT_ROOT_BYTES = 400 };

/* [-0, +1] what an estimate may be wrong by; nil when figures of that view are exact. */
void script_push_error(lua_State *L, const struct query_view *v, u64 error);
/* A sum as people read it: "33 blocks, 3.2 KiB", "≈ 33 ± 8 blocks, ≈ 3.2 KiB ± 820 B". */
void script_push_sum(lua_State *L, const struct query_view *v, const struct query_sum *sum);

/* nil, message. */
int script_fail(lua_State *L, const struct err *e);
int script_offline(lua_State *L);

/* Options in a table argument (none or nil is an empty one). Unknown words are errors. */
void script_check_options(lua_State *L, int arg, const char *const *words);
bool script_option_bool(lua_State *L, int arg, const char *word, bool fallback);
/* A number that is not negative; false when it is not given. */
bool script_option_number(lua_State *L, int arg, const char *word, double *number);
/* Seconds to nanoseconds, at most some centuries. */
u64 script_seconds(double seconds);

/* [-0, +0] ok[id] = 1 for each name that is `wanted` (or matches it as a pattern). False when
 * none is. */
bool script_match_names(lua_State *L, const struct types_names *names, const char *wanted,
                        bool pattern, u8 *ok);
/* The same of sites, by their whole text or by their function alone; and of types: "site:" and a
 * function are all sites there. */
bool script_match_sites(lua_State *L, const struct types *t, const char *wanted, bool pattern,
                        const struct types_memory *scratch, u8 *ok);
bool script_match_types(lua_State *L, const struct types *t, const char *wanted, bool pattern,
                        u8 *ok);

#endif
