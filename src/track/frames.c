/* SPDX-License-Identifier: MIT
 *
 * frames.c - see frames.h.
 *
 * Context: hot (cold path of it).
 * The table that finds frames is open addressing with linear probing, and grows by copying: a frame
 * entered while it is copied may be missed, and is then made once more, which costs time and a
 * number, not correctness (who lists stacks merges equal frames). So nobody ever waits.
 */
#include <stddef.h>

#include "cfi.h"
#include "expression.h"
#include "frames.h"
#include "modules.h"
#include "thread.h"

enum { FIRST_SLOTS = 1 << 12 };

struct frame *frames_all;
struct frame_table *frames_table;
u32 frames_generation;
static u32 frame_count = FRAME_UNKNOWN; /* numbers given so far */
static u8 growing;
static u64 table_own_bytes;

static u64 pack(enum rule_kind kind, i64 cfa_offset, u64 rbp_depth)
{
    return (u64)kind | ((u64)(cfa_offset >> 3) & 0x1fffff) << 3 | (rbp_depth >> 3) << 24;
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

/* The rule of a return address, and which module lies there. */
static u64 read_rule(struct thread *t, u64 pc, u32 *incarnation)
{
    struct cfi_row row;
    const struct track_module *m = pc > PAGE_BYTES ? modules_find(t, pc - 1) : NULL;
    if (!m)
        return pack(pc > PAGE_BYTES ? RULE_LOST : RULE_END, 0, 0);
    *incarnation = m->incarnation & FRAME_INCARNATION_MAX;
    if (!cfi_find(m, pc - 1, &row))
        return pack(cfi_is_entry(m, pc) ? RULE_END : RULE_LOST, 0, 0);
    const struct cfi_rule *ra = &row.rules[CFI_RA], *rbp = &row.rules[CFI_RBP];
    if (ra->how == CFI_UNDEFINED || ra->how == CFI_SAME)
        return pack(RULE_END, 0, 0);
    u64 full = pack(RULE_FULL, 0, 0);
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
            return pack(RULE_ALIGNED, offset, 0);
        return full;
    }
    if (!pack_rbp(rbp, &depth) || !fits(row.cfa_offset, 1 << 22))
        return full;
    if (row.cfa_register == CFI_RSP)
        return pack(RULE_SP, row.cfa_offset, depth);
    if (row.cfa_register == CFI_RBP)
        return pack(RULE_BP, row.cfa_offset, depth);
    return full;
}

static struct frame_table *new_table(u64 slots)
{
    size_t bytes = ROUND_UP(offsetof(struct frame_table, slots) + slots * sizeof(u32), PAGE_BYTES);
    struct frame_table *fresh = sys_map(bytes);
    if (fresh) {
        fresh->mask = slots - 1;
        __atomic_fetch_add(&table_own_bytes, bytes, __ATOMIC_RELAXED);
    }
    return fresh;
}

bool frames_start(void)
{
    if (frames_table)
        return true;
    frames_all = sys_map(ROUND_UP(sizeof(struct frame) * ((u64)FRAME_MAX + 1), PAGE_BYTES));
    if (frames_all)
        frames_table = new_table(FIRST_SLOTS);
    return frames_table != NULL;
}

/* Is it the frame of `pc`, and its code still there? */
static bool serves(u32 number, u64 pc, u64 *rule)
{
    *rule = ACQUIRE(&frames_all[number].rule);
    return (PEEK(&frames_all[number].code) & FRAME_CODE_MASK) == pc && *rule;
}

/* Enters a frame, in the place of one whose code is gone if it has the same address. The number
 * that is found then: its own, another thread's for the same address, 0 when the table is full. */
static u32 table_put(struct frame_table *table, u64 pc, u32 number)
{
    u64 at = frames_hash(pc), rule;
    for (u64 i = 0; i <= table->mask; i++) {
        u32 *slot = &table->slots[(at + i) & table->mask];
        u32 there = ACQUIRE(slot);
        while (!there || (PEEK(&frames_all[there].code) & FRAME_CODE_MASK) == pc) {
            if (there && serves(there, pc, &rule))
                return there;
            bool fresh = !there;
            if (__atomic_compare_exchange_n(slot, &there, number, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
                __atomic_fetch_add(&table->used, fresh, __ATOMIC_RELAXED);
                return number;
            }
        }
    }
    return 0;
}

static void grow(struct frame_table *old)
{
    if (__atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE))
        return;
    struct frame_table *fresh =
        ACQUIRE(&frames_table) == old ? new_table((old->mask + 1) * 4) : NULL;
    if (fresh) {
        for (u64 i = 0; i <= old->mask; i++) {
            u32 number = ACQUIRE(&old->slots[i]);
            if (number && PEEK(&frames_all[number].rule))
                table_put(fresh, frames_all[number].code & FRAME_CODE_MASK, number);
        }
        /* The old table stays mapped: someone may be reading it. All of them together are a third
         * of the last. */
        RELEASE(&frames_table, fresh);
    }
    RELEASE(&growing, 0);
}

static u32 add_frame(u64 code, u64 rule)
{
    u32 number = __atomic_add_fetch(&frame_count, 1, __ATOMIC_RELAXED);
    if (UNLIKELY(number > FRAME_MAX)) {
        POKE(&frame_count, FRAME_MAX);
        return FRAME_UNKNOWN;
    }
    POKE(&frames_all[number].code, code);
    RELEASE(&frames_all[number].rule, rule);
    return number;
}

NOINLINE struct frame_found frames_miss(struct thread *t, u64 pc)
{
    struct frame_table *table = ACQUIRE(&frames_table);
    u64 at = frames_hash(pc), rule;
    for (u64 i = 0; i <= table->mask; i++) {
        u32 number = ACQUIRE(&table->slots[(at + i) & table->mask]);
        if (!number)
            break;
        if (serves(number, pc, &rule))
            return (struct frame_found){rule, number};
    }
    u32 incarnation = 0;
    rule = read_rule(t, pc, &incarnation);
    if (PEEK(&table->used) * 2 > table->mask) {
        grow(table);
        table = ACQUIRE(&frames_table);
    }
    u32 number = add_frame((pc & FRAME_CODE_MASK) | (u64)incarnation << FRAME_CODE_BITS, rule);
    u32 entered = number == FRAME_UNKNOWN ? 0 : table_put(table, pc, number);
    return (struct frame_found){rule, entered ? entered : number};
}

void frames_forget(u64 lo, u64 hi)
{
    __atomic_fetch_add(&frames_generation, 1, __ATOMIC_ACQ_REL);
    u32 count = frames_all ? PEEK(&frame_count) : 0;
    for (u32 i = FRAME_UNKNOWN + 1; i <= count; i++) {
        u64 pc = PEEK(&frames_all[i].code) & FRAME_CODE_MASK;
        /* a return address may be the first after a module's last byte */
        if (pc > lo && pc <= hi)
            RELEASE(&frames_all[i].rule, RULE_NONE);
    }
}

u64 frames_own_bytes(void)
{
    return PEEK(&table_own_bytes) + (u64)PEEK(&frame_count) * sizeof(struct frame);
}

void frames_after_fork(void)
{
    POKE(&growing, 0);
}
