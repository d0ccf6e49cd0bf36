/* SPDX-License-Identifier: MIT
 *
 * frames.h - the code addresses met in stacks: each has a number, by which the trie knows it, and
 * its unwind rule, read once from .eh_frame and packed in a word.
 *
 * Context: hot. A lookup is a probe of a shared table without lock; a miss reads the tables of the
 * module (frames_find does it), and what is found is published with one compare-and-swap.
 * Invariant: a frame's code never changes once its number is known, and its rule is a pure function
 * of that code. When the code is unloaded, frames_forget empties the rule; the same address is
 * another frame after that, so stacks of then and now differ.
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
    RULE_NONE = 0, /* the code is gone */
    RULE_SP,       /* CFA = rsp + offset */
    RULE_BP,       /* CFA = rbp + offset */
    RULE_ALIGNED,  /* CFA = word at rbp + offset; rbp was saved at rbp (a realigned frame) */
    RULE_END,      /* outermost frame */
    RULE_FULL,     /* needs unwind.c */
    RULE_LOST,     /* the tables say nothing */
};

/* bits 0-2 kind | 3-23 CFA offset / 8, signed | 24-38 rbp is saved at CFA - 8 * this, 0 = is kept.
 * In all but RULE_FULL the return address is at CFA - 8. */
static ALWAYS_INLINE enum rule_kind rule_kind(u64 rule)
{
    return (enum rule_kind)(rule & 7);
}
static ALWAYS_INLINE i64 rule_cfa_offset(u64 rule)
{
    return ((i64)(rule << 40) >> 43) * 8;
}
static ALWAYS_INLINE u64 rule_rbp_depth(u64 rule)
{
    return (rule >> 24 & 0x7fff) << 3;
}
static ALWAYS_INLINE bool rule_uses_rbp(u64 rule)
{
    return rule_kind(rule) == RULE_BP || rule_kind(rule) == RULE_ALIGNED;
}

struct frame {
    u64 code; /* return address, 48 bits | 12 bits above: incarnation of its module */
    u64 rule;
};
struct frame_table {
    u64 mask, used;
    u32 slots[1]; /* mask + 1 numbers, 0 = empty */
};
extern struct frame *frames_all; /* by number; [0] is unused */
extern struct frame_table *frames_table;
extern u32 frames_generation; /* moves when rules are forgotten */

/* Before the first lookup, while one thread runs; false when memory is refused. */
bool frames_start(void);

struct frame_found {
    u64 rule; /* never RULE_NONE */
    u32 number;
};
struct frame_found frames_miss(struct thread *t, u64 pc);

static ALWAYS_INLINE u64 frames_hash(u64 pc)
{
    return (pc * 0x9e3779b97f4a7c15ul) >> 20;
}

/* The frame of a return address. */
static ALWAYS_INLINE struct frame_found frames_find(struct thread *t, u64 pc)
{
    struct frame_table *table = ACQUIRE(&frames_table);
    u32 number = ACQUIRE(&table->slots[frames_hash(pc) & table->mask]);
    const struct frame *f = &frames_all[number];
    u64 rule = PEEK(&f->rule);
    if (LIKELY((f->code & FRAME_CODE_MASK) == pc && rule))
        return (struct frame_found){rule, number};
    return frames_miss(t, pc);
}

/* Code in [lo, hi) is gone. */
void frames_forget(u64 lo, u64 hi);
u64 frames_own_bytes(void);
/* In a forked child nobody grows the table any more. */
void frames_after_fork(void);

#endif
