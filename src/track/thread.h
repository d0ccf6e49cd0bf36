/* SPDX-License-Identifier: MIT
 *
 * thread.h - what the recorder keeps for each thread of the program.
 *
 * Context: hot.
 * Invariant: a struct thread is written by its own thread only (others read the counters while
 * they move); `mode` says whether the recorder may be entered. Structs of threads that are gone
 * are taken over by new ones, so their number is that of the most threads at one time.
 * Why no destructor: pthread keys allocate and run too early; that a thread is gone is asked of
 * the kernel when a new one needs a struct.
 */
#ifndef MOONHEAP_TRACK_THREAD_H
#define MOONHEAP_TRACK_THREAD_H

#include "track.h"
#include "trie.h"

enum thread_mode {
    THREAD_READY = 0, /* the recorder may be entered */
    THREAD_INSIDE,    /* it has been: what the allocator calls from within is its own affair */
    THREAD_UNBORN,    /* no struct yet; all such threads share one, which is never written */
    THREAD_AGENT,     /* ours: allocations are served from the private heap */
};

enum { THREAD_NUMBER_MAX = 4095, THREAD_STACK_RANGES = 8, STACK_LIMIT_MAX = 256, THREAD_TAGS = 64 };

/* One frame of the last stack seen, as the walk left it: the state in which the frame was found
 * and where each part of that state was read. From the same state, and with those words of memory
 * unchanged, the rest of the walk must go the same way; walk.c rests on that. */
struct walk_place {
    u64 slot; /* where the return address into this frame was read */
    u64 pc;
};
/* What else belongs to the state of a frame; to most nothing does. */
struct walk_more {
    bool rbp_matters; /* a frame further out is found through this frame's rbp */
    u64 rbp;          /* then: its value */
    u64 rbp_slot;     /* then: where it was read; 0 = as in the frame below */
    u64 cfa_slot;     /* where the address of the place's slot was read; 0 = it follows from
                         registers */
};
struct walk_mores {
    u32 end;                            /* behind the last frame with a bit; 0 = none has */
    u64 bits[STACK_LIMIT_MAX / 64 + 1]; /* of each frame: is its `of` more than nothing? */
    struct walk_more of[STACK_LIMIT_MAX + 1]; /* of the fresh ones also that of the next */
};
enum {
    WALK_SLOTS = 1 << 11,
    WALK_BLOCK = 8, /* places are compared that many at a time */
    WALK_SHORT = 32, /* more fresh frames than that are walked the long way */
};

/* A thread holds back 64 KiB at most, or 1024 blocks, from the totals that the peak is taken of. */
enum { FLUSH_WEIGHT = 1 << 16, FLUSH_BLOCK_WEIGHT = FLUSH_WEIGHT >> 10 };

/* A stack that came again, by its innermost place: out from there to a place of the last stack,
 * where that one had a certain node. */
enum { WALK_MEMO_BITS = 5, WALK_MEMOS = 1 << WALK_MEMO_BITS };
enum { WALK_MEMO_PLACES = 8, WALK_MEMO_BLOCK = 4 /* are compared at a time */ };
struct walk_memo {
    struct walk_place first;
    struct walk_place rest[WALK_MEMO_PLACES]; /* the last one is `joint`, then guards */
    u32 count, joint, joint_node;
    u32 node, frames; /* of the whole stack */
    u32 turns;        /* in the first of two: how often one of them was given up for another stack */
};

struct thread {
    u8 mode;       /* enum thread_mode */
    bool pending;  /* a signal came while INSIDE: call `act` on leaving */
    u8 until_tick; /* allocations until the clock is looked at again */
    u8 tick_period;
    u64 moving, moving_bytes; /* in realloc: the old block, erased; the new is not yet recorded */
    u32 trims_seen; /* of the index, see trim.c */
    u32 number; /* 1.., THREAD_NUMBER_MAX for all beyond */
    int tid;

    u64 allocations, frees;
    i64 live_blocks, live_bytes; /* born here minus freed here: may be negative */
    u64 unflushed;  /* weight of what is not yet in the totals that the peak is of; it begins in */
    u64 flush_span; /* the middle of this, and is flushed when it leaves it on either side */
    u64 until_sample;     /* bytes until the next sampled one, see sample.h */
    u32 sample_recording; /* that it was drawn for */
    u64 random;           /* state of the generator for that */

    u64 last_tick_ns;
    void (*act)(void);
    struct thread *next; /* list of all */
    struct peak_chunk *peak_first, *peak_chunk; /* log of the deaths since the peak, see peak.c */
    u64 *peak_at, *peak_limit;                  /* where the next one goes, and no more may */
    u32 peak_epoch;                             /* of that peak */

    u64 untracked_frees, lost, cut_stacks;
    u64 custom_allocations, custom_frees, misuses;
    i64 custom_blocks, custom_bytes; /* as live_blocks and live_bytes */
    i64 flushed_blocks, flushed_bytes; /* what of the live ones is in the totals of the peak */
    u32 tag_depth;                         /* tags pushed; those beyond THREAD_TAGS have no place */
    u16 tags[THREAD_TAGS];                 /* ids of names, see names.h */

    struct {
        u64 lo, hi;
        u64 lasting; /* end of the part that is there as long as the thread: its own stack; or 0 */
    } stacks[THREAD_STACK_RANGES]; /* mappings that its stacks lie in, latest first */
    struct trie_room room;
    u32 last_count;
    u32 last_generation;                       /* of the frames it was walked by */
    bool last_cut;                             /* it went on beyond places[0] */
    u64 walk_nothing; /* 0: what the slots of those hold */
    /* outermost first, behind some that never differ, so that all blocks are whole */
    struct walk_place guarded[WALK_BLOCK + STACK_LIMIT_MAX];
    u32 frames[STACK_LIMIT_MAX];               /* as the trie has them, frames[0] with TRIE_CUT */
    u32 nodes[STACK_LIMIT_MAX];                /* of the stack from the outermost frame to this */
    struct walk_mores more;
    /* what `more` asks to be compared of the places before `settled`, behind guards, too: where their
     * rbp was read, and its value; and which of them have a cfa_slot */
    struct walk_place rbps[WALK_BLOCK + STACK_LIMIT_MAX];
    u64 cfas[STACK_LIMIT_MAX / 64 + 1];
    u32 settled;
    u8 where[WALK_SLOTS]; /* by 8 bytes of stack: which place may have its slot there */
    struct walk_place fresh_places[STACK_LIMIT_MAX]; /* innermost first */
    u32 fresh_frames[STACK_LIMIT_MAX];
    struct walk_mores fresh_more;
    struct walk_memo memos[WALK_MEMOS][2];

    struct {
        struct maps_reader reader;
        struct maps_region region;
        char maps[MAPS_BUFFER_BYTES];
        char path[512];
        char page[PAGE_BYTES];
    } scratch; /* since the stack it runs on may be small */
};

extern HIDDEN __thread struct thread *thread_self;

/* Gives an unborn thread its struct and returns it; NULL when the caller must pass its call
 * through unrecorded: it is inside already, or memory is out. Not for the agent. */
struct thread *thread_settle(void);
/* The same for a caller that only needs the scratch memory, the agent included. */
struct thread *thread_settle_agent(void);

/* Leaving the recorder; acts on a signal that came meanwhile. */
static ALWAYS_INLINE void thread_enter(struct thread *t)
{
    POKE(&t->mode, THREAD_INSIDE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void thread_act(struct thread *t);

static ALWAYS_INLINE void thread_leave(struct thread *t)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    POKE(&t->mode, THREAD_READY);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (UNLIKELY(PEEK(&t->pending)))
        thread_act(t);
}

/* Heap of ours that holds `p`; NULL when it is not ours. */
struct heap *thread_private_heap(const void *p);
/* Is there any? */
bool thread_any_private(void);
/* Heap that serves the calling thread's allocations; it is in mode THREAD_AGENT. */
struct heap *thread_serving_heap(void);

/* The list of all, through `next`. */
const struct thread *thread_first(void);

/* Is any other living thread inside the recorder? */
bool thread_any_inside(void);

/* Sums over all threads since recording began. */
void thread_sum(struct track_counters *c);
void thread_reset_counters(void);
/* Adds what a thread has gathered to the totals, and moves the peak. */
void thread_flush(struct thread *t);
u64 thread_own_bytes(void);
/* Bytes that all threads have flushed. */
i64 thread_flushed_bytes(void);
void thread_after_fork(void);

#endif
