/* SPDX-License-Identifier: MIT
 *
 * unwind.c - see unwind.h.
 *
 * Context: hot (cold path of it).
 */
#include <string.h>
#include <sys/auxv.h>

#include "modules.h"
#include "thread.h"
#include "unwind.h"

/* The end of the thread's own stack in that mapping, which is there as long as the thread; 0 when
 * any of it may be gone at any time. The kernel put something above the first thread's; above
 * another's glibc keeps, in the same memory, what the thread pointer points to. */
static u64 lasting_end(u64 lo, u64 hi)
{
    u64 above = getauxval(AT_RANDOM);
    if (sys_gettid() != sys_getpid())
        __asm__("mov %%fs:0, %0" : "=r"(above)); /* psABI: it points to itself */
    return above >= lo && above < hi ? above : 0;
}

/* Stacks are whole mappings: the thread's own, an alternate one, a coroutine's. Those met last are
 * remembered, since to look one up takes a read of /proc/self/maps. */
bool unwind_on_stack(struct thread *t, u64 address)
{
    for (u32 i = 0; i < THREAD_STACK_RANGES; i++) {
        if (address < t->stacks[i].lo || address >= t->stacks[i].hi)
            continue;
        if (i > 0) {
            __typeof__(t->stacks[0]) found = t->stacks[i];
            memmove(&t->stacks[1], &t->stacks[0], i * sizeof t->stacks[0]);
            t->stacks[0] = found;
        }
        return true;
    }
    u64 lo, hi;
    if (!modules_mapping(t, address, &lo, &hi))
        return false;
    memmove(&t->stacks[1], &t->stacks[0], (THREAD_STACK_RANGES - 1) * sizeof t->stacks[0]);
    t->stacks[0].lo = lo;
    t->stacks[0].hi = hi;
    t->stacks[0].lasting = lasting_end(lo, hi);
    return true;
}

static bool load(void *context, u64 address, u64 *value)
{
    struct thread *t = context;
    if ((address & 7) || !unwind_on_stack(t, address))
        return false;
    *value = *(const u64 *)address;
    return true;
}

static bool find_cfa(const struct cfi_row *row, const u64 *registers,
                     const struct expression_memory *memory, u64 *cfa)
{
    if (row->cfa_is_expression)
        return expression_evaluate(row->cfa_expression, registers, NULL, memory, cfa);
    *cfa = registers[row->cfa_register] + (u64)row->cfa_offset;
    return true;
}

/* The caller's value of one register. */
static bool recover(const struct cfi_rule *rule, u32 reg, u64 cfa, const u64 *registers,
                    const struct expression_memory *memory, u64 *value)
{
    u64 address;
    switch (rule->how) {
    case CFI_SAME:
        *value = reg == CFI_RSP ? cfa : registers[reg];
        return true;
    case CFI_UNDEFINED:
        *value = 0;
        return true;
    case CFI_OFFSET:
        return memory->read(memory->context, cfa + (u64)rule->value, value);
    case CFI_VAL_OFFSET:
        *value = cfa + (u64)rule->value;
        return true;
    case CFI_EXPRESSION:
        return expression_evaluate((u64)rule->value, registers, &cfa, memory, &address) &&
               memory->read(memory->context, address, value);
    case CFI_VAL_EXPRESSION:
        return expression_evaluate((u64)rule->value, registers, &cfa, memory, value);
    case CFI_REGISTER:
        *value = (u64)rule->value < CFI_REGISTERS ? registers[rule->value] : 0;
        return true;
    default:
        return false;
    }
}

static const struct track_module *look_for(void *context, u64 pc)
{
    return modules_find(context, pc);
}

struct unwind_means unwind_means_of(struct thread *t)
{
    return (struct unwind_means){{t, load}, look_for};
}

enum unwind_result unwind_step(const struct unwind_means *means, struct unwind_frame *f)
{
    const struct expression_memory *memory = &means->memory;
    struct cfi_row row;
    u64 pc = f->registers[CFI_RA];
    u64 look_at = f->exact ? pc : pc - 1;
    f->incarnation = 0;
    if (pc < PAGE_BYTES)
        return UNWIND_END;
    const struct track_module *m = means->module(memory->context, look_at);
    if (!m)
        return UNWIND_LOST;
    f->incarnation = m->incarnation;
    /* The return address of a signal handler is the first instruction of the trampoline, whose
     * tables begin one byte before it; a frame marked so is looked up as it is. */
    if (!cfi_find(m, look_at, &row))
        return cfi_is_entry(m, pc) ? UNWIND_END : UNWIND_LOST;
    if (row.rules[CFI_RA].how == CFI_UNDEFINED || row.rules[CFI_RA].how == CFI_SAME)
        return UNWIND_END;
    u64 cfa, caller[CFI_REGISTERS];
    if (!find_cfa(&row, f->registers, memory, &cfa))
        return UNWIND_LOST;
    for (u32 i = 0; i < CFI_REGISTERS; i++)
        if (!recover(&row.rules[i], i, cfa, f->registers, memory, &caller[i]))
            return UNWIND_LOST;
    /* The caller may be on a stack below: code that runs a function on a stack of its own is found
     * through rbp or the like. What goes round in a circle ends at the caller's limit. */
    if (caller[CFI_RSP] == f->registers[CFI_RSP] && caller[CFI_RA] == pc)
        return UNWIND_LOST;
    memcpy(f->registers, caller, sizeof caller);
    f->exact = row.signal_frame;
    return caller[CFI_RA] < PAGE_BYTES ? UNWIND_END : UNWIND_STEPPED;
}
