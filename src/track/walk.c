/* SPDX-License-Identifier: MIT
 *
 * walk.c - exact call stacks, mostly without walking.
 *
 * Context: hot. Reads the program's stack and the rule cache; no lock, no memory taken but trie
 * nodes.
 *
 * Invariant: the state (pc, slot of its return address, rbp) of a frame and the words of memory
 * that the walk from it reads determine the rest of the walk, since unwind rules are functions of
 * pc alone. So a thread keeps its last stack with the places where each part was read. A new walk
 * goes outwards only until it meets a state that the last one also had; if all words that the last
 * one read further out are unchanged (checked from there outwards, so that each place is known to
 * be right before it is read), the rest is the same and has its trie node already.
 * A stack that was cut at the frame limit cannot be completed so when the new one is shorter.
 * rbp belongs to the state only where a frame further out is found through it; elsewhere it is a
 * loop counter that differs each time.
 */
#include <string.h>

#include "modules.h"
#include "rules.h"
#include "trie.h"
#include "unwind.h"
#include "walk.h"

u32 walk_limit = 64;

static ALWAYS_INLINE u64 word(u64 address)
{
    return *(const u64 *)address;
}

/* Is the outer part of the last stack, beyond last[i], still as it was? On failure *broken is the
 * step that changed. */
static ALWAYS_INLINE bool intact(const struct walk_step *last, i32 i, i32 *broken)
{
    for (i32 k = i - 1; k >= 0; k--) {
        const struct walk_step *s = &last[k];
        if ((s->cfa_slot && word(s->cfa_slot) != s->slot + 8) || word(s->slot) != s->pc ||
            (s->rbp_matters && s->rbp_slot && word(s->rbp_slot) != s->rbp)) {
            *broken = k;
            return false;
        }
    }
    return true;
}

/* Takes new steps into the remembered stack, above its `kept` outermost ones, and gives the node
 * of the whole. */
static u32 adopt(struct thread *t, u32 kept, u32 fresh_count, bool cut)
{
    if (kept == 0)
        t->last_cut = cut;
    u32 over = kept + fresh_count > walk_limit ? kept + fresh_count - walk_limit : 0;
    u32 node = kept ? t->last[kept - 1].node : 0;
    bool matters = kept ? t->last[kept - 1].rbp_matters : false;
    u64 cut_flag = cut ? TRIE_CUT : 0;
    if (over) {
        /* Only the innermost frames are kept: the stack begins with another frame now, so every
         * node is another. */
        kept -= over;
        memmove(&t->last[0], &t->last[over], kept * sizeof t->last[0]);
        node = 0;
        cut_flag = TRIE_CUT;
        t->last_cut = true;
        for (u32 i = 0; i < kept; i++) {
            struct walk_step *s = &t->last[i];
            node = trie_intern(node, trie_frame(s->pc, rule_incarnation(s->rule)) |
                                         (i == 0 ? cut_flag : 0));
            s->node = node;
        }
    }
    for (u32 i = 0; i < fresh_count; i++) {
        struct walk_step *s = &t->last[kept + i];
        *s = t->fresh[fresh_count - 1 - i];
        u64 frame = trie_frame(s->pc, rule_incarnation(s->rule));
        node = trie_intern(node, kept + i == 0 ? frame | cut_flag : frame);
        s->node = node;
        if (rule_kind(s->rule) == RULE_END || rule_kind(s->rule) == RULE_LOST)
            matters = false;
        else if (rule_uses_rbp(s->rule))
            matters = true;
        else if (rule_rbp_depth(s->rule))
            matters = false;
        s->rbp_matters = matters;
    }
    t->last_count = kept + fresh_count;
    return node;
}

/* The slow way: every register, every kind of frame. */
static COLD u32 capture_full(struct thread *t, const struct walk_origin *origin)
{
    struct unwind_frame f = {0};
    u32 n = 0;
    enum unwind_result result = UNWIND_STEPPED;
    UNWIND_HERE(&f);
    f.exact = true;
    while (f.registers[CFI_RSP] < (u64)(origin + 1) && result == UNWIND_STEPPED)
        result = unwind_step(t, &f);
    bool reached = f.registers[CFI_RSP] == (u64)(origin + 1) && f.registers[CFI_RA] == origin->pc;
    if (!reached)
        result = UNWIND_LOST;
    while (reached && n < walk_limit) {
        u64 pc = f.registers[CFI_RA];
        result = unwind_step(t, &f);
        t->pcs[n++] = trie_frame(pc, f.incarnation);
        if (result != UNWIND_STEPPED)
            break;
    }
    if (!reached)
        t->pcs[n++] = trie_frame(origin->pc, 0);
    if (result == UNWIND_LOST)
        t->cut_stacks++;
    u32 node = 0;
    for (u32 i = n; i-- > 0;)
        node = trie_intern(node, t->pcs[i] | (i == n - 1 && result != UNWIND_END ? TRIE_CUT : 0));
    t->last_count = 0; /* what was read, and where, is not known */
    return node;
}

u32 walk_capture(struct thread *t, const struct walk_origin *origin)
{
    struct walk_step s = {.pc = origin->pc, .slot = (u64)&origin->pc, .rbp = origin->rbp};
    if (UNLIKELY(s.slot < t->stacks[0].lo || s.slot >= t->stacks[0].hi) &&
        !unwind_on_stack(t, s.slot)) {
        t->last_count = 0;
        t->cut_stacks++;
        return trie_intern(0, trie_frame(origin->pc, 0) | TRIE_CUT);
    }
    u64 hi = t->stacks[0].hi - 8;
    u32 generation = ACQUIRE(&rules_generation);
    if (UNLIKELY(t->last_generation != generation)) {
        t->last_generation = generation;
        t->last_count = 0;
    }
    i32 j = (i32)t->last_count - 1;
    u32 n = 0, limit = walk_limit;
    for (;;) {
        while (j >= 0 && t->last[j].slot < s.slot)
            j--;
        if (j >= 0 && t->last[j].slot == s.slot && t->last[j].pc == s.pc &&
            LIKELY(!t->last_cut || (u32)j + 1 + n >= limit) &&
            (!t->last[j].rbp_matters || t->last[j].rbp == s.rbp)) {
            i32 broken;
            if (LIKELY(intact(t->last, j, &broken))) {
                /* the state is the same, but this walk read it in other places */
                t->last[j].rbp = s.rbp;
                t->last[j].rbp_slot = s.rbp_slot;
                t->last[j].cfa_slot = s.cfa_slot;
                t->last_count = (u32)j + 1;
                return n == 0 ? t->last[j].node : adopt(t, t->last_count, n, false);
            }
            j = broken - 1;
        }
        if (n == limit)
            return adopt(t, 0, n, true);
        if (UNLIKELY(s.pc < PAGE_BYTES))
            return adopt(t, 0, n, false);
        s.rule = rules_find(t, s.pc);
        t->fresh[n++] = s;
        u64 sp = s.slot + 8, cfa;
        s.cfa_slot = 0;
        switch (rule_kind(s.rule)) {
        case RULE_SP:
            cfa = sp + (u64)rule_cfa_offset(s.rule);
            break;
        case RULE_BP:
            cfa = s.rbp + (u64)rule_cfa_offset(s.rule);
            break;
        case RULE_ALIGNED:
            s.cfa_slot = s.rbp + (u64)rule_cfa_offset(s.rule);
            if (s.cfa_slot < sp || s.cfa_slot >= hi || (s.cfa_slot & 7))
                return capture_full(t, origin);
            cfa = word(s.cfa_slot);
            break;
        case RULE_END:
            return adopt(t, 0, n, false);
        case RULE_LOST:
            t->cut_stacks++;
            return adopt(t, 0, n, true);
        default:
            return capture_full(t, origin);
        }
        if (UNLIKELY(cfa <= sp || cfa > hi || (cfa & 7)))
            return capture_full(t, origin);
        u64 depth = rule_rbp_depth(s.rule);
        if (rule_kind(s.rule) == RULE_ALIGNED) {
            if (s.rbp < sp || s.rbp >= hi || (s.rbp & 7))
                return capture_full(t, origin);
            s.rbp_slot = s.rbp;
            s.rbp = word(s.rbp_slot);
        } else if (depth) {
            s.rbp_slot = cfa - depth;
            if (UNLIKELY(s.rbp_slot < sp - 8))
                return capture_full(t, origin);
            s.rbp = word(s.rbp_slot);
        } else {
            s.rbp_slot = 0;
        }
        s.slot = cfa - 8;
        s.pc = word(s.slot);
    }
}

u32 track_walk(const ucontext_t *context, u64 *pcs, u32 max, bool *whole)
{
    const greg_t *g = context->uc_mcontext.gregs;
    struct thread *t = thread_settle_agent();
    struct unwind_frame f = {.exact = true};
    u32 n = 0;
    enum unwind_result result = UNWIND_STEPPED;
    static const u8 place[CFI_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                            REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                            REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (u32 i = 0; i < CFI_REGISTERS; i++)
        f.registers[i] = (u64)g[place[i]];
    while (t && n < max && result == UNWIND_STEPPED) {
        pcs[n++] = f.registers[CFI_RA];
        result = unwind_step(t, &f);
    }
    *whole = result == UNWIND_END;
    return n;
}

u64 track_function_start(u64 pc, u64 *end)
{
    struct cfi_row row;
    struct thread *t = thread_settle_agent();
    const struct track_module *m = t ? modules_find(t, pc) : NULL;
    if (!m || !cfi_find(m, pc, &row))
        return 0;
    if (end)
        *end = row.function_end;
    return row.function_start;
}
