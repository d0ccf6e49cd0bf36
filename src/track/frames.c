/* SPDX-License-Identifier: MIT
 *
 * frames.c - see frames.h.
 *
 * Context: hot (cold path of it).
 * The table is open addressing with linear probing, and grows by copying: a frame entered while it
 * is copied may be missed, and is then made once more, which costs time and a number, not
 * correctness (who lists stacks merges equal frames). So nobody ever waits.
 */
#include <stddef.h>

#include "cfi.h"
#include "expression.h"
#include "frames.h"
#include "modules.h"
#include "thread.h"

enum { FIRST_SLOTS = 1 << 10 };

u64 *frames_code;
struct frame_table *frames_table;
u32 frames_generation;
/* What is written has a cache line of its own. */
static struct {
    u32 count; /* numbers given so far */
    u8 growing;
    u64 table_bytes;
} shared __attribute__((aligned(CACHE_LINE))) = {.count = FRAME_UNKNOWN};

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
    const struct track_module *m = modules_find(t, pc - 1);
    if (!m)
        return pack(RULE_LOST, 0, 0);
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
        return row.cfa_offset <= 0 || depth > (u64)row.cfa_offset
                   ? full
                   : pack(RULE_SP, row.cfa_offset, depth);
    if (row.cfa_register == CFI_RBP)
        return pack(RULE_BP, row.cfa_offset, depth);
    return full;
}

static size_t table_bytes(u64 slots)
{
    return ROUND_UP(offsetof(struct frame_table, slots) + slots * sizeof(struct frame_slot),
                    PAGE_BYTES);
}

static struct frame_table *new_table(u64 slots)
{
    size_t bytes = table_bytes(slots);
    struct frame_table *fresh = sys_map(bytes);
    if (fresh) {
        fresh->mask = (slots - 1) * sizeof(struct frame_slot);
        __atomic_fetch_add(&shared.table_bytes, bytes, __ATOMIC_RELAXED);
    }
    return fresh;
}

bool frames_start(void)
{
    if (frames_table)
        return true;
    frames_code = sys_map_sparse(ROUND_UP(sizeof(u64) * ((u64)FRAME_MAX + 1), PAGE_BYTES));
    if (frames_code)
        frames_table = new_table(FIRST_SLOTS);
    return frames_table != NULL;
}

static u64 slot_count(const struct frame_table *table)
{
    return table->mask / sizeof(struct frame_slot) + 1;
}

/* The slot of an address, taken for it if it has none; NULL when the table is full. */
static struct frame_slot *slot_of(struct frame_table *table, u64 pc, bool take)
{
    for (u64 i = 0; i < slot_count(table); i++) {
        struct frame_slot *slot = frames_slot(table, pc, i);
        u64 there = PEEK(&slot->pc);
        if (!there) {
            if (!take)
                return NULL;
            if (__atomic_compare_exchange_n(&slot->pc, &there, pc, false, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED)) {
                __atomic_fetch_add(&table->used, 1, __ATOMIC_RELAXED);
                return slot;
            }
        }
        if (there == pc)
            return slot;
    }
    return NULL;
}

static void grow(struct frame_table *old)
{
    if (__atomic_exchange_n(&shared.growing, 1, __ATOMIC_ACQUIRE))
        return;
    struct frame_table *fresh =
        ACQUIRE(&frames_table) == old ? new_table(slot_count(old) * 2) : NULL;
    if (fresh) {
        for (u64 i = 0; i < slot_count(old); i++) {
            u64 rule = ACQUIRE(&old->slots[i].rule);
            if (rule)
                POKE(&slot_of(fresh, PEEK(&old->slots[i].pc), true)->rule, rule);
        }
        /* What was forgotten in the old one meanwhile is forgotten in the new one, too: either
         * frames_forget sees the new one, or it is seen here. */
        __atomic_store_n(&frames_table, fresh, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        for (u64 i = 0; i < slot_count(fresh); i++) {
            struct frame_slot *was =
                fresh->slots[i].pc ? slot_of(old, PEEK(&fresh->slots[i].pc), false) : NULL;
            if (was && !PEEK(&was->rule))
                POKE(&fresh->slots[i].rule, 0);
        }
        /* The old one stays mapped, for someone may be looking into it; he finds nothing. */
        u64 gone = table_bytes(slot_count(old)) - PAGE_BYTES;
        sys_discard((char *)old + PAGE_BYTES, gone);
        __atomic_fetch_sub(&shared.table_bytes, gone, __ATOMIC_RELAXED);
    }
    RELEASE(&shared.growing, 0);
}

static u32 add_frame(u64 code)
{
    u32 number = __atomic_add_fetch(&shared.count, 1, __ATOMIC_RELAXED);
    if (UNLIKELY(number > FRAME_MAX)) {
        POKE(&shared.count, FRAME_MAX);
        return FRAME_UNKNOWN;
    }
    POKE(&frames_code[number], code);
    return number;
}

NOINLINE u64 frames_miss(struct thread *t, u64 pc)
{
    if (pc < PAGE_BYTES)
        return pack(RULE_END, 0, 0);
    struct frame_table *table = ACQUIRE(&frames_table);
    struct frame_slot *slot = slot_of(table, pc, false);
    u64 rule = slot ? ACQUIRE(&slot->rule) : 0, none = 0;
    if (rule)
        return rule;
    u32 incarnation = 0;
    rule = read_rule(t, pc, &incarnation);
    if (PEEK(&table->used) * 2 > slot_count(table)) {
        grow(table);
        table = ACQUIRE(&frames_table);
    }
    u32 number = add_frame((pc & FRAME_CODE_MASK) | (u64)incarnation << FRAME_CODE_BITS);
    rule |= (u64)number << FRAME_RULE_BITS;
    slot = number != FRAME_UNKNOWN ? slot_of(table, pc, true) : NULL;
    /* another thread may have been faster: then its number is the one */
    if (slot && !__atomic_compare_exchange_n(&slot->rule, &none, rule, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE))
        return none;
    return rule;
}

void frames_forget(u64 lo, u64 hi)
{
    __atomic_fetch_add(&frames_generation, 1, __ATOMIC_ACQ_REL);
    for (struct frame_table *table = ACQUIRE(&frames_table), *now; table; table = now) {
        for (u64 i = 0; i < slot_count(table); i++) {
            u64 pc = PEEK(&table->slots[i].pc);
            /* a return address may be the first after a module's last byte */
            if (pc > lo && pc <= hi)
                POKE(&table->slots[i].rule, 0);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        now = __atomic_load_n(&frames_table, __ATOMIC_SEQ_CST);
        if (now == table)
            break;
    }
}

u64 frames_own_bytes(void)
{
    return PEEK(&shared.table_bytes) + (u64)PEEK(&shared.count) * sizeof(u64);
}

void frames_after_fork(void)
{
    POKE(&shared.growing, 0);
}
