/* SPDX-License-Identifier: MIT
 *
 * frames.h - the code addresses met in stacks: each has a number, by which the trie knows it, and
 * its unwind rule, read once from .eh_frame and packed in a word.
 *
 * Context: hot. A lookup is a probe of a shared table without lock; a miss reads the tables of the
 * module (frames_find does it), and what is found is published with one compare-and-swap.
 * Invariant: a frame's code never changes once its number is known, and its rule is a pure function
 * of that code. When the code is unloaded, frames_forget empties its slot; the same address is
 * another frame after that, so stacks of then and now differ.
 * Why the rule and the number are one word in the table: a walk waits for each lookup before it
 * knows where the next address is, so each is one load away.
 */
#ifndef MOONHEAP_TRACK_FRAMES_H
#define MOONHEAP_TRACK_FRAMES_H

#include "base/base.h"

struct thread;

enum {
    FRAME_BITS = 24,
    FRAME_MAX = (1 << FRAME_BITS) - 1,
    FRAME_UNKNOWN = 1, /* when there is no room for more: address 0 */
    FRAME_CODE_BITS = 48,
    FRAME_INCARNATION_MAX = (1 << 12) - 1,
};
#define FRAME_CODE_MASK ((1ul << FRAME_CODE_BITS) - 1)

enum rule_kind {
    RULE_NONE = 0,
    RULE_SP,       /* CFA = rsp + offset */
    RULE_BP,       /* CFA = rbp + offset */
    RULE_ALIGNED,  /* CFA = word at rbp + offset; rbp was saved at rbp (a realigned frame) */
    RULE_END,      /* outermost frame */
    RULE_FULL,     /* needs unwind.c */
    RULE_LOST,     /* the tables say nothing */
};

/* bits 0-2 kind | 3-23 CFA offset / 8, signed | 24-38 rbp is saved at CFA - 8 * this, 0 = is kept |
 * above: anything. In all but RULE_FULL the return address is at CFA - 8. */
static ALWAYS_INLINE enum rule_kind rule_kind(u64 rule)
{
    return (enum rule_kind)(rule & 7);
}
static ALWAYS_INLINE i64 rule_cfa_offset(u64 rule)
{
    return ((i64)(rule << 40) >> 43) * 8;
}
/* The same of RULE_SP, whose offset is above 0 and at least that of where rbp is saved. */
static ALWAYS_INLINE u64 rule_sp_offset(u64 rule)
{
    return rule & 0xfffff8;
}
static ALWAYS_INLINE u64 rule_rbp_depth(u64 rule)
{
    return (rule >> 24 & 0x7fff) << 3;
}
static ALWAYS_INLINE bool rule_uses_rbp(u64 rule)
{
    return rule_kind(rule) == RULE_BP || rule_kind(rule) == RULE_ALIGNED;
}

enum { FRAME_RULE_BITS = 40 };

struct frame_slot {
    u64 pc;   /* 0 = empty; stays as it is once written */
    u64 rule; /* with the frame's number above it; 0 = not known yet, or the code is gone */
};
struct frame_table {
    u64 mask; /* bytes from the first slot to the last */
    u64 used;
    struct frame_slot slots[];
};
/* By number: return address, 48 bits | 12 bits above: incarnation of its module. [0] is unused. */
extern u64 *frames_code;
extern struct frame_table *frames_table;
extern u32 frames_generation; /* moves when rules are forgotten */

/* Before the first lookup, while one thread runs; false when memory is refused. */
bool frames_start(void);

static ALWAYS_INLINE u32 frame_number(u64 rule)
{
    return (u32)(rule >> FRAME_RULE_BITS);
}

u64 frames_miss(struct thread *t, u64 pc);

/* The i-th slot in which the frame of an address may be. */
static ALWAYS_INLINE struct frame_slot *frames_slot(struct frame_table *table, u64 pc, u64 i)
{
    u64 h = (pc + i) * sizeof(struct frame_slot);
    return (struct frame_slot *)((char *)table->slots + (h & table->mask));
}

/* The rule of a return address with its frame's number; for one that can be none (below the first
 * page) RULE_END with number 0. The table: frames_table, of this moment. */
static ALWAYS_INLINE u64 frames_find(struct frame_table *table, struct thread *t, u64 pc)
{
    const struct frame_slot *slot = frames_slot(table, pc, 0);
    u64 rule = ACQUIRE(&slot->rule);
    if (LIKELY(PEEK(&slot->pc) == pc && rule))
        return rule;
    return frames_miss(t, pc);
}

static inline u32 frames_number(struct thread *t, u64 pc)
{
    return frame_number(frames_find(ACQUIRE(&frames_table), t, pc));
}

/* Code in [lo, hi) is gone. */
void frames_forget(u64 lo, u64 hi);
u64 frames_own_bytes(void);
/* In a forked child nobody grows the table any more. */
void frames_after_fork(void);

#endif
