/* SPDX-License-Identifier: MIT
 *
 * snapshot.h - the door of snapshot, the waist of Moonheap: one file format, one writer, one
 * bounds-checked read-only view. FORMAT.md says what each byte means.
 *
 * Context: pure; the writer also frozen (it takes memory from the kernel only, and no lock).
 * Invariant: a struct snapshot that snapshot_open_* has accepted is whole: every offset, index and
 * string in it has been checked once, so readers follow them without checks.
 */
#ifndef MOONHEAP_SNAPSHOT_SNAPSHOT_H
#define MOONHEAP_SNAPSHOT_SNAPSHOT_H

#include "base/base.h"

/* Everything a snapshot file can hold. X(NAME, code, bytes of a record, what a record is) */
#define SNAPSHOT_SECTIONS(X)                                                                       \
    X(META, 1, sizeof(struct snapshot_meta), "one record: when, who, how complete")                \
    X(STRINGS, 2, 1, "NUL-terminated strings; offset 0 is the empty string")                       \
    X(MODULES, 3, sizeof(struct snapshot_module), "files mapped with code, gone ones too")         \
    X(THREADS, 4, sizeof(struct snapshot_thread), "threads that allocated")                        \
    X(FRAMES, 5, sizeof(struct snapshot_frame), "distinct code addresses in stacks")               \
    X(STACKS, 6, sizeof(struct snapshot_stack), "nodes of the stack trie, parents first")          \
    X(EPOCHS, 7, sizeof(u64), "age in nanoseconds of birth epoch i, at the snapshot")              \
    X(BLOCK_ADDR, 8, sizeof(u64), "address of each block, ascending")                              \
    X(BLOCK_SIZE, 9, sizeof(u32), "bytes asked for; 0xffffffff: look in BIG_SIZES")                \
    X(BLOCK_STACK, 10, sizeof(u32), "stack_id of its birth")                                       \
    X(BLOCK_BIRTH, 11, sizeof(u32), "epoch of its birth")                                          \
    X(BLOCK_THREAD, 12, sizeof(u16), "thread number of its birth, 0 = unknown")                    \
    X(BIG_SIZES, 13, sizeof(struct snapshot_big_size), "sizes of 4 GiB and more")                  \
    X(VTABLES, 14, sizeof(struct snapshot_vtable), "C++ vtables that blocks begin with")           \
    X(BLOCK_VTABLE, 15, sizeof(u32), "1-based index into VTABLES of each block, 0 = none")         \
    X(NAMES, 16, 1, "strings of FRAME_NAMES; offset 0 is the empty string")                        \
    X(FRAME_NAMES, 17, sizeof(u32), "offset in NAMES of each frame's function, demangled")         \
    X(ROOTS, 18, sizeof(struct snapshot_root), "areas outside blocks that hold references")        \
    X(EDGE_ROW, 19, sizeof(u32), "first edge of each block, and one past the last of all")         \
    X(EDGE_TARGET, 20, sizeof(u32), "block_id that each edge leads to")                            \
    X(EDGE_AT, 21, sizeof(u16), "its word in the source block, the low 16 bits")                   \
    X(EDGE_FAR, 22, sizeof(struct snapshot_edge_far), "the bits above those, where not 0")         \
    X(EDGE_INTO, 23, sizeof(struct snapshot_edge_into), "edges into the middle of their target")   \
    X(ROOT_EDGES, 24, sizeof(struct snapshot_root_edge), "references from roots to blocks")        \
    X(TAILS, 25, sizeof(struct snapshot_tail), "blocks whose end is room not in use")              \
    X(LINES, 26, sizeof(struct snapshot_line), "places in the source, innermost inlined first")    \
    X(FRAME_LINES, 27, sizeof(u32), "first of each frame in LINES, and one past the last of all")  \
    X(MISSED, 28, sizeof(struct snapshot_missed), "threads that could not be stopped")             \
    X(NESTS, 29, sizeof(struct snapshot_nest), "blocks that other blocks lie in")                  \
    X(TAGS, 30, sizeof(u32), "offset in STRINGS of each tag of the program's")                     \
    X(BLOCK_TAG, 31, sizeof(u16), "1-based index into TAGS of each block, 0 = none")               \
    X(CUSTOM, 32, sizeof(struct snapshot_custom), "one record: what the program told of blocks")   \
    X(STANDING, 33, sizeof(struct snapshot_standing), "threads that stood, by their kernel's id")  \
    X(CALLS, 34, sizeof(struct snapshot_call), "frames of their stacks, innermost first")          \
    X(RECORDING, 35, sizeof(struct snapshot_recording), "one record: which recording it is of")

enum snapshot_section {
#define X(name, code, bytes, help) SNAPSHOT_##name = code,
    SNAPSHOT_SECTIONS(X)
#undef X
        SNAPSHOT_SECTION_LIMIT = 36
};

/* A complete snapshot has every flag that its kind asks for; the reader prints the rest as notes.
 */
enum {
    SNAPSHOT_FLAG_GRAPH = 1,   /* has references: EDGE_ROW is there */
    SNAPSHOT_FLAG_STOPPED = 2, /* every thread was stopped while it was taken */
    SNAPSHOT_FLAG_SAMPLED = 4, /* blocks are a sample: figures are estimates */
    SNAPSHOT_FLAG_PEAK = 8,    /* it is of the heap at its peak; some blocks may be gone */
};

/* How threads were stopped while it was taken. X(NAME, code, word) */
#define SNAPSHOT_STOPS(X)                                                                          \
    X(NONE, 0, "none")     /* they ran on */                                                       \
    X(TRACER, 1, "tracer") /* a tracer held them */                                                \
    X(SIGNALS, 2, "signals") /* they stood in our signal's handler */

enum snapshot_stop {
#define X(name, code, word) SNAPSHOT_STOP_##name = code,
    SNAPSHOT_STOPS(X)
#undef X
        SNAPSHOT_STOP_LIMIT = 3
};

struct snapshot_meta {
    u64 realtime_ns; /* when it was taken */
    u64 monotonic_ns;
    u64 pause_ns; /* how long threads were stopped */
    u64 build_ns; /* how long it took to make */
    u64 pid;
    u64 flags;
    u64 epoch;        /* blocks born in later epochs are not in it */
    u64 sample_bytes; /* with SNAPSHOT_FLAG_SAMPLED: bytes between samples on average */
    u64 allocations, frees, untracked_frees, lost, cut_stacks;
    u64 live_blocks, live_bytes, peak_blocks, peak_bytes;
    u64 rss_bytes, allocator_bytes, overhead_bytes;
    u64 process_start; /* of /proc/PID/stat field 22: tells a reused pid */
    u32 exe;           /* offset in STRINGS */
    u32 allocator;     /* offset in STRINGS: file of the allocator underneath, "" = libc */
    u32 notes;         /* offset in STRINGS: remarks, one a line */
    u32 stop;          /* enum snapshot_stop */
};

struct snapshot_module {
    u64 lo, hi, bias;
    u32 path; /* offset in STRINGS */
    u32 incarnation;
    u32 gone;
    u32 build_id_bytes;
    u8 build_id[32];
};

struct snapshot_thread {
    u32 number, tid;
    u32 name; /* offset in STRINGS */
    u32 alive;
};

struct snapshot_missed {
    u32 tid;
    u32 name, why; /* offsets in STRINGS */
    u32 reserved;
};

struct snapshot_frame {
    u64 pc;     /* return address: the call is the instruction before it */
    u32 module; /* 1-based index into MODULES, 0 = none */
    u32 reserved;
};

/* A frame is in as many functions as were inlined there, and one more. */
struct snapshot_line {
    u32 function; /* offset in NAMES, "" = unknown */
    u32 file;     /* offset in NAMES: path as the compiler has it, "" = unknown */
    u32 line;     /* from 1, 0 = unknown */
};

struct snapshot_stack {
    u32 parent; /* stack_id of the caller, 0 = none; always less than the node's own id */
    u32 frame;  /* 1-based index into FRAMES; high bit: the stack went on, but was cut here */
};
#define SNAPSHOT_STACK_CUT 0x80000000u

struct snapshot_big_size {
    u32 block, reserved; /* 1-based block_id */
    u64 size;
};

struct snapshot_vtable {
    u64 address; /* the value that the blocks begin with */
    i64 to_top;  /* offset from that vtable's object to the whole object, 0 for a primary one */
    u32 name;    /* offset in STRINGS: the type's name as typeinfo has it, mangled: "7session" */
    u32 module;  /* 1-based index into MODULES */
};

/* Where references come from that lie in no block. X(NAME, code, weak, word); a weak root holds
 * what nobody will read again, and is told apart. */
#define SNAPSHOT_ROOT_KINDS(X)                                                                     \
    X(REGISTER, 1, false, "register")         /* word i is register i */                           \
    X(STACK, 2, false, "stack")               /* the live part */                                  \
    X(DEAD_STACK, 3, true, "dead stack slot") /* below the live part */                            \
    X(THREAD_LOCAL, 4, false, "thread-local") /* TLS and thread-specific data */                   \
    X(DATA, 5, false, "data")                 /* writable data of a module */                      \
    X(MAPPING, 6, false, "mapping")           /* other writable memory */                          \
    X(DECLARED, 7, false, "declared")         /* named by the program */                           \
    X(IGNORED, 8, false, "ignored")           /* word i is a block not to be called unreachable */

enum snapshot_root_kind {
#define X(name, code, weak, word) SNAPSHOT_ROOT_##name = code,
    SNAPSHOT_ROOT_KINDS(X)
#undef X
        SNAPSHOT_ROOT_LIMIT = 9
};
#define SNAPSHOT_ROOT_CUT 1u /* flag: part of it could not be read */

struct snapshot_root {
    u64 lo, hi;      /* [lo, hi); of a register set: [0, 8 * registers) */
    u32 kind;        /* enum snapshot_root_kind */
    u32 thread, tid; /* thread number and kernel's id, 0 = none or unknown */
    u32 module;      /* 1-based index into MODULES, 0 = none */
    u32 name;        /* offset in STRINGS: the program's name, a mapping's path, or "" */
    u32 flags;       /* SNAPSHOT_ROOT_CUT */
};

/* Edges from this one on have these upper bits in EDGE_AT, to the end of its block's row or the
 * next record. */
struct snapshot_edge_far {
    u32 edge; /* 0-based index into EDGE_TARGET */
    u32 high; /* word = high << 16 | EDGE_AT */
};

struct snapshot_edge_into {
    u32 edge; /* 0-based index into EDGE_TARGET */
    u32 into; /* bytes from the target's start, not 0; SNAPSHOT_INTO_FAR: as many or more */
};
#define SNAPSHOT_INTO_FAR UINT32_MAX

struct snapshot_root_edge {
    u32 root;   /* 1-based index into ROOTS */
    u32 at;     /* word in the root */
    u32 target; /* block_id */
    u32 into;   /* bytes from the target's start, often 0; SNAPSHOT_INTO_FAR: as many or more */
};

struct snapshot_tail {
    u32 block, reserved; /* 1-based block_id */
    u64 used;            /* bytes in use; what stands behind is left over */
};

/* Blocks may lie in others: a pool's in the pool. A byte belongs to the innermost. */
struct snapshot_nest {
    u32 block, reserved; /* 1-based block_id */
    u64 own_bytes;       /* of it that are in no block inside of it */
};

/* Figures of the blocks that the program told of; they are in no figure of META. */
struct snapshot_recording {
    u64 number;   /* from 1; one more each time that recording is started or stopped */
    u64 began_ns; /* monotonic */
};

struct snapshot_custom {
    u64 blocks, bytes, allocations, frees;
    u64 misuses; /* what it told that made no sense */
};

/* A thread that stood while the snapshot was taken. */
struct snapshot_standing {
    u32 tid, thread; /* kernel's id; thread number, 0 = it has not allocated */
    u32 name;        /* offset in STRINGS */
    u32 first_call;  /* 0-based index into CALLS */
    u32 call_count;
    u32 flags; /* SNAPSHOT_STANDING_CUT */
};
#define SNAPSHOT_STANDING_CUT 1u /* its stack goes on beyond what is in CALLS */

/* One function's frame on a thread's stack. */
struct snapshot_call {
    u64 lo, hi; /* what it has of the stack: [lo, hi); equal = unknown */
    u32 frame;  /* 1-based index into FRAMES */
    u32 flags;  /* SNAPSHOT_CALL_* */
};
/* It has called nothing: FRAMES has the address one byte behind its instruction's. */
#define SNAPSHOT_CALL_EXACT  1u
#define SNAPSHOT_CALL_SIGNAL 2u /* what the kernel has put there for a signal handler */

/* --- reading ------------------------------------------------------------------------------- */

struct snapshot {
    const u8 *bytes;
    u64 size;
    void (*release)(struct snapshot *s); /* how the memory goes back */
    const struct snapshot_meta *meta;
    const char *strings, *names;
    const struct snapshot_module *modules; /* modules[0] is module_id 1; so for all below */
    const struct snapshot_thread *threads;
    const struct snapshot_frame *frames;
    const struct snapshot_stack *stacks;
    const u64 *epoch_age_ns; /* [0..epoch_count) */
    const u64 *block_addr;
    const u32 *block_size, *block_stack, *block_birth, *block_vtable; /* vtable: NULL when none */
    const u16 *block_thread, *block_tag; /* tag: NULL when none */
    const u32 *tags;
    const struct snapshot_nest *nests; /* by block */
    const struct snapshot_custom *custom; /* NULL when the program told of none */
    const struct snapshot_recording *recording; /* NULL = unknown */
    const struct snapshot_big_size *big_sizes;
    const struct snapshot_vtable *vtables;
    const u32 *frame_names; /* NULL when no names were resolved */
    const struct snapshot_line *lines;
    const u32 *frame_lines; /* [0..frame_count]; NULL when there are no lines */
    u32 module_count, thread_count, frame_count, stack_count, epoch_count, block_count,
        big_size_count, vtable_count, line_count, tag_count, nest_count;
    /* References; edge_row is NULL when the snapshot was taken without. Edges count from 0: those
     * of a block are edge_row[id - 1] to edge_row[id], in the order of their words. */
    const struct snapshot_root *roots;
    const u32 *edge_row, *edge_target;
    const u16 *edge_at;
    const struct snapshot_edge_far *edge_far;
    const struct snapshot_edge_into *edge_into;
    const struct snapshot_root_edge *root_edges; /* by root, then by word */
    const struct snapshot_tail *tails;           /* by block */
    u32 root_count, edge_count, edge_far_count, edge_into_count, root_edge_count, tail_count;
    const struct snapshot_missed *missed;
    u32 missed_count;
    const struct snapshot_standing *standing; /* by tid */
    const struct snapshot_call *calls;
    u32 standing_count, call_count;
};

/* Both check everything and fill *s; the memory version takes the mapping over only on success. */
bool snapshot_open_memory(struct snapshot *s, void *bytes, u64 size,
                          void (*release)(struct snapshot *), struct err *e);
/* Reads the file into memory: whatever happens to the file later, the view stays as checked. */
bool snapshot_open_file(struct snapshot *s, const char *path, struct err *e);
/* Writes a file (mode 0600) beside `path` and renames it: `path` is whole or untouched. */
bool snapshot_save(const struct snapshot *s, const char *path, struct err *e);
void snapshot_close(struct snapshot *s);
/* Memory that it takes: s->size less the room that a writer set aside between sections and never
 * touched. */
u64 snapshot_memory(const struct snapshot *s);

static inline u64 snapshot_block_addr(const struct snapshot *s, block_id b)
{
    return s->block_addr[b.v - 1];
}
u64 snapshot_block_bytes(const struct snapshot *s, block_id b);
/* Those of its bytes that are in no block inside of it: over all blocks, each byte once. */
u64 snapshot_block_own_bytes(const struct snapshot *s, block_id b);
/* Nanoseconds from its birth (the start of its epoch) to the snapshot. */
u64 snapshot_block_age_ns(const struct snapshot *s, block_id b);
/* The innermost block that holds `address` (one past its last byte does not count, but a block of 0 bytes
 * holds its own address); none = {0}. */
block_id snapshot_block_at(const struct snapshot *s, u64 address);
/* Bytes from the start of `source` to the word of its edge. */
u64 snapshot_edge_offset(const struct snapshot *s, block_id source, u32 edge);
/* Bytes from the start of the edge's target to where it points; SNAPSHOT_INTO_FAR: or more. */
u32 snapshot_edge_into(const struct snapshot *s, u32 edge);
/* Address of the word of a root's edge; of a register, 8 * its number. */
u64 snapshot_root_edge_address(const struct snapshot *s, const struct snapshot_root_edge *edge);
/* "tracer", "signals" or "none". */
const char *snapshot_stop_word(enum snapshot_stop stop);
/* "stack", "data"... of a kind. */
const char *snapshot_root_word(enum snapshot_root_kind kind);
bool snapshot_root_weak(enum snapshot_root_kind kind);
/* The thread record of a thread number; NULL when there is none. */
const struct snapshot_thread *snapshot_thread_of(const struct snapshot *s, u32 number);
/* The thread of a kernel's id, if it stood; NULL when it did not. */
const struct snapshot_standing *snapshot_standing_of(const struct snapshot *s, u32 tid);
/* The innermost frame of that thread (NULL: of none) that an address lies in; NULL when none is
 * known. */
const struct snapshot_call *snapshot_call_at(const struct snapshot *s,
                                             const struct snapshot_standing *t, u64 address);
/* Writes the function of a frame as people read it: "make_session", or "server+0x1234" (file name
 * + offset) when no symbol is known, or "0x7f..." without a module. Returns the bytes written. */
size_t snapshot_frame_text(const struct snapshot *s, frame_id f, char *out, size_t size);

/* --- writing ------------------------------------------------------------------------------- */

struct snapshot_writer {
    u8 *base;
    u64 reserved, used;
    enum status status; /* the first failure; later calls do nothing */
    u32 open;           /* section that is growing, 0 = none */
};

/* Reserves `reserve` bytes of shared address space (a child's writes are seen by its parent). */
bool snapshot_writer_begin(struct snapshot_writer *w, u64 reserve);
/* Opens a section that grows at the end of the file. */
void snapshot_writer_section(struct snapshot_writer *w, enum snapshot_section kind);
/* Room for `count` more records of the open section, zeroed; NULL on failure. Never moves. */
void *snapshot_writer_add(struct snapshot_writer *w, u64 count);
/* A whole section at once: opens it, adds `count` zeroed records, closes it. */
void *snapshot_writer_whole(struct snapshot_writer *w, enum snapshot_section kind, u64 count);
/* Lowers the count of a section: columns are filled side by side when each was given room for more
 * records than there can be. The room left over is address space only, and is not saved. */
void snapshot_writer_trim(struct snapshot_writer *w, enum snapshot_section kind, u64 count);
/* The records of a section written so far, e.g. FRAMES by whoever adds FRAME_NAMES; NULL and a
 * count of 0 when there is no such section. */
void *snapshot_writer_written(const struct snapshot_writer *w, enum snapshot_section kind,
                              u64 *count);
/* Finishes: gives back what was reserved and not used. The view owns the memory from then on. */
bool snapshot_writer_finish(struct snapshot_writer *w, struct snapshot *s, struct err *e);
void snapshot_writer_abandon(struct snapshot_writer *w);

#endif
