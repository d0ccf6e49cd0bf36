/* SPDX-License-Identifier: MIT
 *
 * rules.h - the unwind rule of each return address, read once from .eh_frame and packed in a word.
 *
 * Context: hot. A lookup is a probe of a shared table without lock; a miss reads the tables of the
 * module (rules_find does it), and what is found is written with one compare-and-swap.
 * Invariant: a rule is a pure function of the code at its address. When that code is unloaded,
 * rules_forget empties the entry, and its next use reads the tables anew.
 */
#ifndef MOONHEAP_TRACK_RULES_H
#define MOONHEAP_TRACK_RULES_H

#include "base/base.h"

struct thread;

enum rule_kind {
    RULE_NONE = 0, /* not in the table */
    RULE_SP,       /* CFA = rsp + offset */
    RULE_BP,       /* CFA = rbp + offset */
    RULE_ALIGNED,  /* CFA = word at rbp + offset; rbp was saved at rbp (a realigned frame) */
    RULE_END,      /* outermost frame */
    RULE_FULL,     /* needs unwind.c */
    RULE_LOST,     /* the tables say nothing */
};

/* bits 0-2 kind | 3-23 CFA offset / 8, signed | 24-38 rbp is saved at CFA - 8 * this, 0 = is kept
 * | 40-51 incarnation of the module. In all but RULE_FULL the return address is at CFA - 8. */
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
static ALWAYS_INLINE u32 rule_incarnation(u64 rule)
{
    return (u32)(rule >> 40 & 0xfff);
}
static ALWAYS_INLINE bool rule_uses_rbp(u64 rule)
{
    return rule_kind(rule) == RULE_BP || rule_kind(rule) == RULE_ALIGNED;
}

struct rule_entry {
    u64 pc;
    u64 rule; /* 0 while it is being written, or after the code was unloaded */
};
struct rule_table {
    u64 mask, used;
    struct rule_entry entries[1]; /* mask + 1 of them */
};
extern struct rule_table *rules_table;
extern u32 rules_generation; /* moves when rules are forgotten */

u64 rules_miss(struct thread *t, u64 pc);

static ALWAYS_INLINE u64 rules_hash(u64 pc)
{
    return (pc * 0x9e3779b97f4a7c15ul) >> 20;
}

/* The rule of a return address, never RULE_NONE. */
static ALWAYS_INLINE u64 rules_find(struct thread *t, u64 pc)
{
    struct rule_table *table = ACQUIRE(&rules_table);
    u64 at = rules_hash(pc) & table->mask;
    const struct rule_entry *e = &table->entries[at];
    if (LIKELY(PEEK(&e->pc) == pc)) {
        u64 rule = ACQUIRE(&e->rule);
        if (LIKELY(rule))
            return rule;
    }
    return rules_miss(t, pc);
}

void rules_forget(u64 lo, u64 hi);
u64 rules_own_bytes(void);
/* In a forked child nobody grows the table any more. */
void rules_after_fork(void);

#endif
