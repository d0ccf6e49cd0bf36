/* SPDX-License-Identifier: MIT
 *
 * rules.c - see rules.h.
 *
 * Context: hot (cold path of it).
 * The table is open addressing with linear probing, and grows by copying: entries written while it
 * is copied may be missed and are then read from .eh_frame again, which costs time, not
 * correctness. So nobody ever waits.
 */
#include <stddef.h>

#include "cfi.h"
#include "expression.h"
#include "modules.h"
#include "rules.h"
#include "thread.h"

enum { FIRST_ENTRIES = 1 << 12, PROBES = 64 };

static struct rule_table nothing; /* so that a lookup needs no "is there a table" */
struct rule_table *rules_table = &nothing;
u32 rules_generation;
static u8 growing;
static u64 own_bytes;

static u64 pack(enum rule_kind kind, i64 cfa_offset, u64 rbp_depth, u32 incarnation)
{
    return (u64)kind | ((u64)(cfa_offset >> 3) & 0x1fffff) << 3 | (rbp_depth >> 3) << 24 |
           (u64)(incarnation & 0xfff) << 40;
}

static bool fits(i64 offset, i64 limit)
{
    return (offset & 7) == 0 && offset > -limit && offset < limit;
}

/* Does the frame leave rbp where a packed rule can say it? */
static bool pack_rbp(const struct cfi_rule *rbp, u64 *depth)
{
    *depth = 0;
    if (rbp->how == CFI_SAME)
        return true;
    if (rbp->how != CFI_OFFSET || rbp->value >= 0 || !fits(rbp->value, 0x7fff * 8))
        return false;
    *depth = (u64)-rbp->value;
    return true;
}

static u64 read_rule(struct thread *t, u64 pc)
{
    struct cfi_row row;
    const struct track_module *m = pc > PAGE_BYTES ? modules_find(t, pc - 1) : NULL;
    if (!m)
        return pack(pc > PAGE_BYTES ? RULE_LOST : RULE_END, 0, 0, 0);
    u32 incarnation = m->incarnation;
    if (!cfi_find(m, pc - 1, &row))
        return pack(cfi_is_entry(m, pc) ? RULE_END : RULE_LOST, 0, 0, incarnation);
    const struct cfi_rule *ra = &row.rules[CFI_RA], *rbp = &row.rules[CFI_RBP];
    if (ra->how == CFI_UNDEFINED || ra->how == CFI_SAME)
        return pack(RULE_END, 0, 0, incarnation);
    u64 full = pack(RULE_FULL, 0, 0, incarnation);
    if (row.signal_frame || ra->how != CFI_OFFSET || ra->value != -8 ||
        row.rules[CFI_RSP].how != CFI_SAME)
        return full;
    u64 depth;
    u32 reg;
    i64 offset, saved_at;
    if (row.cfa_is_expression) {
        /* gcc realigns a stack (main with a vector on it, for one) through a pointer kept below
         * rbp: CFA = word at rbp + offset, and the caller's rbp = word at rbp. */
        if (expression_is_load(row.cfa_expression, &reg, &offset) && reg == CFI_RBP &&
            fits(offset, 1 << 22) && rbp->how == CFI_EXPRESSION &&
            expression_is_sum((u64)rbp->value, &reg, &saved_at) && reg == CFI_RBP && saved_at == 0)
            return pack(RULE_ALIGNED, offset, 0, incarnation);
        return full;
    }
    if (!pack_rbp(rbp, &depth) || !fits(row.cfa_offset, 1 << 22))
        return full;
    if (row.cfa_register == CFI_RSP)
        return pack(RULE_SP, row.cfa_offset, depth, incarnation);
    if (row.cfa_register == CFI_RBP)
        return pack(RULE_BP, row.cfa_offset, depth, incarnation);
    return full;
}

static size_t table_bytes(u64 entries)
{
    return ROUND_UP(offsetof(struct rule_table, entries) + entries * sizeof(struct rule_entry),
                    PAGE_BYTES);
}

/* Writes an entry; false when there is no room near its place. */
static bool table_put(struct rule_table *table, u64 pc, u64 rule)
{
    u64 at = rules_hash(pc);
    for (u32 i = 0; i < PROBES; i++) {
        struct rule_entry *e = &table->entries[(at + i) & table->mask];
        u64 there = PEEK(&e->pc);
        if (there == 0 && __atomic_compare_exchange_n(&e->pc, &there, pc, false, __ATOMIC_ACQ_REL,
                                                      __ATOMIC_RELAXED)) {
            __atomic_fetch_add(&table->used, 1, __ATOMIC_RELAXED);
            there = pc;
        }
        if (there == pc) {
            RELEASE(&e->rule, rule);
            return true;
        }
    }
    return false;
}

static void grow(struct rule_table *old)
{
    if (__atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE))
        return;
    if (ACQUIRE(&rules_table) == old) {
        u64 entries = old == &nothing ? FIRST_ENTRIES : (old->mask + 1) * 4;
        struct rule_table *fresh = sys_map(table_bytes(entries));
        if (fresh) {
            __atomic_fetch_add(&own_bytes, table_bytes(entries), __ATOMIC_RELAXED);
            fresh->mask = entries - 1;
            for (u64 i = 0; old != &nothing && i <= old->mask; i++) {
                u64 rule = ACQUIRE(&old->entries[i].rule);
                if (rule)
                    table_put(fresh, old->entries[i].pc, rule);
            }
            /* The old table stays mapped: someone may be reading it. All of them together are a
             * third of the last. */
            RELEASE(&rules_table, fresh);
        }
    }
    RELEASE(&growing, 0);
}

NOINLINE u64 rules_miss(struct thread *t, u64 pc)
{
    struct rule_table *table = ACQUIRE(&rules_table);
    u64 at = rules_hash(pc);
    for (u32 i = 0; i < PROBES; i++) {
        const struct rule_entry *e = &table->entries[(at + i) & table->mask];
        u64 there = PEEK(&e->pc);
        if (there == pc) {
            u64 rule = ACQUIRE(&e->rule);
            if (rule)
                return rule;
            break;
        }
        if (there == 0)
            break;
    }
    u64 rule = read_rule(t, pc);
    if (table == &nothing || PEEK(&table->used) * 2 > table->mask) {
        grow(table);
        table = ACQUIRE(&rules_table);
    }
    if (table != &nothing)
        table_put(table, pc, rule);
    return rule;
}

void rules_forget(u64 lo, u64 hi)
{
    struct rule_table *table = ACQUIRE(&rules_table);
    __atomic_fetch_add(&rules_generation, 1, __ATOMIC_ACQ_REL);
    if (table == &nothing)
        return;
    for (u64 i = 0; i <= table->mask; i++) {
        u64 pc = PEEK(&table->entries[i].pc);
        /* a return address may be the first after a module's last byte */
        if (pc > lo && pc <= hi)
            RELEASE(&table->entries[i].rule, 0);
    }
}

u64 rules_own_bytes(void)
{
    return PEEK(&own_bytes);
}

void rules_after_fork(void)
{
    POKE(&growing, 0);
}
