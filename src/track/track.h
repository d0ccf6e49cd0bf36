/* SPDX-License-Identifier: MIT
 *
 * track.h - the door of track: the recorder of allocations.
 *
 * Context: hot, except the calls marked "agent", which the agent or the frozen child makes.
 * Invariant: a block is in the index exactly while the program owns it: it is erased before the
 * real free or realloc and recorded after the real allocation, by the thread that owns it at that
 * moment; so every slot has one writer at a time and no lock is taken.
 */
#ifndef MOONHEAP_TRACK_TRACK_H
#define MOONHEAP_TRACK_TRACK_H

#include <ucontext.h>

#include "base/base.h"

/* --- life ---------------------------------------------------------------------------------- */

/* Constructor of the library: decides what is recorded from here on. Blocks that were allocated
 * before (by other constructors) are recorded too, since the first malloc reads the options. */
void track_start(const struct options *o);

/* agent: starts recording (full or sampled) or stops it; stopping forgets what was recorded. */
void track_record(const struct option_track *how, u32 stack_limit);
void track_stop(void);
struct option_track track_recording(void);
/* agent: from here to the next track_record, what the heap was made of at its peak is kept. */
void track_keep_peak(void);
/* Bytes between samples on average; 0 when every block is recorded. */
u64 track_sample_bytes(void);

/* --- threads' roles and the way into the agent --------------------------------------------- */

/* From now on the calling thread's mallocs are served from `private`, and are in no figure. */
void track_become_agent(struct heap *private);
/* The same for the length of a call that libc makes on our behalf (pthread_create in the handler
 * allocates the new thread's bookkeeping). Pairs; false, and nothing changed, when there are too
 * many private heaps to tell their blocks from the program's: a chain of forked children, each
 * with an agent of its own, has left them behind. */
bool track_borrow_begin(struct heap *private);
void track_borrow_end(void);

/* For the length of our constructor: what libc allocates for us stays in the program's allocator,
 * since libc may keep it, but is not recorded. Pairs. */
void track_unseen_begin(void);
void track_unseen_end(void);

/* Signal handler: is the interrupted thread inside the malloc family? Then `act` is called once,
 * on that thread, as soon as it leaves, and true is returned. */
bool track_defer(void (*act)(void));

/* Signal handler: the call stack at an interrupted context, innermost first, `pcs[0]` being the
 * interrupted instruction. Sets *whole when the walk reached the thread's outermost frame. */
u32 track_walk(const ucontext_t *context, u64 *pcs, u32 max, bool *whole);
/* The same of a thread that stands, by its registers, in whatever memory `read` knows: for a clone
 * of the process. Nothing of it is read but what `read` gives, so its registers may hold anything.
 * Takes no lock and no memory. The walker keeps which modules it has met, for the next thread. */
enum { TRACK_REGISTERS = 17, TRACK_WALKER_MODULES = 32 };
struct track_walker {
    void *context;
    bool (*read)(void *context, u64 address, u64 *value); /* a word; false: it is not there */
    const struct track_module *met[TRACK_WALKER_MODULES];
    u32 met_count; /* ever; the latest of them are kept */
};
struct track_call {
    u64 pc;          /* return address, or with `exact` the instruction itself */
    u64 sp, next_sp; /* the frame lies between them; next_sp 0 = it is not known how far */
    u32 incarnation; /* of the module there */
    bool exact;      /* the innermost frame, or one that a signal came to */
    bool signal;     /* what the kernel has put on the stack for a signal handler */
};
/* registers: in the order of the ABI's numbers, rax, rdx, ... r15, rip. Frames innermost first. */
u32 track_walk_stopped(struct track_walker *w, const u64 registers[TRACK_REGISTERS],
                       struct track_call *out, u32 max, bool *whole);
/* First address of the function that holds `pc` by its unwind information, and in *end (may be
 * NULL) the one behind its last; 0 when unknown. */
u64 track_function_start(u64 pc, u64 *end);

/* Called in a forked child, before anything else is asked of track there. */
void track_after_fork(void);

/* --- what was recorded (agent, frozen) ----------------------------------------------------- */

struct track_block {
    u64 addr;   /* as malloc returned it */
    u64 size;   /* bytes asked for */
    u32 stack;  /* node of the stack trie, 0 = none */
    u32 birth;  /* epoch */
    u32 thread; /* number of the thread that allocated it, 0 = unknown */
};

struct track_cursor {
    u64 next;    /* address from which the walk goes on; starts at 0 */
    bool custom; /* which blocks: those that the program told of, or those of the malloc family */
    u64 ahead[2]; /* for the listing's own use: where rare blocks are looked for next; starts at 0 */
};

/* Lists live blocks by address into out[0..max); returns how many, 0 at the end. Takes no lock
 * and stops nobody: a block that lives through the whole listing is in it exactly once. */
u32 track_list(struct track_cursor *c, struct track_block *out, u32 max);
/* The live block of that sort that begins at `address`; false when none does. */
bool track_at(u64 address, bool custom, struct track_block *out);

/* agent: gives back memory of the recorder's that blocks have left. Threads run on. */
void track_trim(void);

/* Before the process is cloned: makes the recorder's memory quick to clone. Takes
 * a tenth of a second for each 200 MB of it, where it is not yet. */
void track_collapse(void);

/* Moves the epoch: blocks recorded from now on are born later than the returned epoch, blocks
 * recorded before are born in it or earlier. Epochs also move by themselves as time passes. */
u32 track_epoch_advance(void);
/* Monotonic nanoseconds at which an epoch began. */
u64 track_epoch_ns(u32 epoch);

/* One node of the stack trie: a frame and the node of the caller. parent < the node's own number;
 * 0 is the root and stands for "no more frames". */
struct track_node {
    u64 pc;          /* return address */
    u32 parent;      /* the caller */
    u32 incarnation; /* which module lay there, see struct track_module */
    bool cut;        /* the stack went on, but the frame limit or missing unwind rules ended it */
    /* Innermost nodes may be no frames but marks, which the program has put on the blocks. */
    u32 tag;      /* name of the tag that it stands for, 0 = none */
    bool ignored; /* the block is not to be called unreachable */
};
u32 track_node_count(void); /* numbers run from 1 to this */
struct track_node track_node(u32 number);

/* Has the program put a mark on any block? If not, no node is one. */
bool track_marked(void);
/* Names that the program gave, from 1; "" beyond. */
u32 track_name_count(void);
const char *track_name(u32 name);

/* Memory that the program declared a root. */
struct track_root {
    u64 lo, bytes;
    u32 name; /* 0 = none */
};
u32 track_roots(struct track_root *out, u32 max);

/* A file that is or was mapped with executable code. */
struct track_module {
    u64 lo, hi;       /* addresses it spans */
    u64 bias;         /* added to the file's virtual addresses */
    u64 eh_frame_hdr; /* where its unwind index is mapped, 0 = none */
    u32 incarnation;  /* 0, or how many modules lay in its range before it */
    bool gone;        /* unloaded meanwhile */
    u8 build_id_bytes;
    u8 build_id[32];
    char path[400];
};
/* agent: looks for modules not met by any stack yet. Returns how many there are, gone ones too. */
u32 track_modules_refresh(void);
const struct track_module *track_module(u32 index);

struct track_thread {
    u32 number; /* as in track_block.thread */
    int tid;
    bool alive;
    u64 stack_hi; /* end of its stack, 0 = unknown */
    char name[16];
};
/* agent: threads that have allocated, in order of number; fills at most max, returns how many. */
u32 track_threads(struct track_thread *out, u32 max);

/* A block in the middle of a realloc is on no list: the old one is erased, the new one not yet
 * recorded. Means something only where threads stand. */
struct track_moving {
    int tid;    /* may be that of a thread which was lost in a fork */
    u64 addr;   /* where the block was */
    u64 bytes;  /* how long it was; 0 = not yet known */
};
u32 track_moving(struct track_moving *out, u32 max);

struct track_counters {
    u64 live_blocks, live_bytes; /* estimates when sampling, and so are peaks */
    u64 peak_blocks, peak_bytes; /* exact to within 64 KiB or 1024 blocks a thread */
    u64 allocations, frees;      /* exact also when sampling, but for allocations refused */
    u64 untracked_frees; /* of blocks that were never recorded */
    u64 lost;            /* blocks that could not be recorded */
    u64 cut_stacks;      /* stacks that end early for want of unwind rules */
    /* Of the blocks that the program told of, which are in no other figure but `lost`. */
    u64 custom_blocks, custom_bytes, custom_allocations, custom_frees;
    u64 misuses; /* what it told that made no sense: a free of no block, a block twice */
    u64 own_bytes;       /* memory that the recorder itself holds */
    u64 started_ns;      /* monotonic, when recording began */
    u64 recording;       /* its number, from 1; one more with each start and stop */
};
void track_counters(struct track_counters *c);
/* agent: how far live_blocks and live_bytes may be from the truth, as variances; 0 when all blocks
 * are recorded. Looks at every sampled block. */
void track_variances(double *blocks, double *bytes);
void track_reset_peak(void);

/* agent: the blocks that were there at the peak, by address; those that are gone, too. To within
 * 1/4096 of the peak and what a counter of it may be behind. */
struct track_peak {
    struct track_block *blocks;
    u64 count, room;
    u32 epoch; /* it was when this one ended, */
    u64 ns;    /* on the monotonic clock */
};
/* false when no peak is kept, memory is out, or it was being passed. Else to be closed. */
bool track_peak_open(struct track_peak *p);
void track_peak_close(struct track_peak *p);
/* Is it kept? */
bool track_peak_kept(void);

/* Is the allocator underneath a library of its own, and which file? "" = the C library. */
const char *track_allocator(void);

#endif
