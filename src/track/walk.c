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
#include "trie.h"
#include "unwind.h"
#include "walk.h"

u32 walk_limit = 64;

static ALWAYS_INLINE u64 word(u64 address)
{
    return *(const u64 *)address;
}

/* Is more to be compared of that step than its place? */
static ALWAYS_INLINE void mark(struct thread *t, u32 i)
{
    const struct walk_step *s = &t->last[i];
    u64 more = s->cfa_slot || (s->rbp_matters && s->rbp_slot);
    t->read_more[i / 64] = (t->read_more[i / 64] & ~(1ul << i % 64)) | more << i % 64;
    t->any_more |= more != 0;
}

static bool more_is_intact(const struct thread *t, u32 i)
{
    const struct walk_step *s = &t->last[i];
    return (!s->cfa_slot || word(s->cfa_slot) == t->places[i].slot + 8) &&
           (!s->rbp_matters || !s->rbp_slot || word(s->rbp_slot) == s->rbp);
}

/* Is the outer part of the last stack, beyond last[i], still as it was? On failure *broken is a
 * step that changed. Places are compared four at a time: most of a walk's time is spent here. All
 * slots lie further out on the stack that we are on, so they can be read in any order. */
static ALWAYS_INLINE bool intact(const struct thread *t, i32 i, i32 *broken)
{
    i32 k = i;
    for (const struct walk_place *p = &t->places[k]; k >= 4; k -= 4) {
        p -= 4;
        if ((word(p[0].slot) ^ p[0].pc) | (word(p[1].slot) ^ p[1].pc) |
            (word(p[2].slot) ^ p[2].pc) | (word(p[3].slot) ^ p[3].pc))
            break;
    }
    for (k--; k >= 0; k--)
        if (word(t->places[k].slot) != t->places[k].pc) {
            *broken = k;
            return false;
        }
    for (i32 w = i / 64; UNLIKELY(t->any_more) && w >= 0; w--) {
        u64 bits = t->read_more[w] & (w == i / 64 ? (1ul << i % 64) - 1 : ~0ul);
        for (; bits; bits &= bits - 1)
            if (!more_is_intact(t, (u32)(w * 64 + __builtin_ctzl(bits)))) {
                *broken = w * 64 + __builtin_ctzl(bits);
                return false;
            }
    }
    return true;
}

/* Only the innermost frames are kept: the stack begins with another frame now, so every node is
 * another. Drops `over` steps of the `kept` outermost ones; the node of the rest. */
static COLD u32 shorten(struct thread *t, u32 kept, u32 over)
{
    u32 left = kept - over;
    memmove(&t->places[0], &t->places[over], left * sizeof t->places[0]);
    memmove(&t->last[0], &t->last[over], left * sizeof t->last[0]);
    memmove(&t->frames[0], &t->frames[over], left * sizeof t->frames[0]);
    for (u32 i = 0; i < left; i++)
        mark(t, i);
    t->last_cut = true;
    t->frames[0] |= TRIE_CUT;
    return trie_intern(&t->room, 0, t->frames, left, t->nodes);
}

/* Takes new steps into the remembered stack, above its `kept` outermost ones, and gives the node
 * of the whole. */
static u32 adopt(struct thread *t, u32 kept, u32 fresh_count, bool cut)
{
    if (kept == 0) {
        t->last_cut = cut;
        t->any_more = false;
    }
    u32 over = kept + fresh_count > walk_limit ? kept + fresh_count - walk_limit : 0;
    u32 node = kept ? t->nodes[kept - 1] : 0;
    bool matters = kept ? t->last[kept - 1].rbp_matters : false;
    if (UNLIKELY(over)) {
        node = shorten(t, kept, over);
        kept -= over;
        cut = true;
        if (kept && !node) {
            t->last_count = 0;
            return 0;
        }
    }
    for (u32 i = kept, from = fresh_count; from-- > 0; i++) {
        struct walk_step *s = &t->last[i];
        *s = t->fresh[from];
        t->places[i] = t->fresh_places[from];
        t->frames[i] = t->fresh_frames[from];
        if (rule_kind(s->rule) == RULE_END || rule_kind(s->rule) == RULE_LOST)
            matters = false;
        else if (rule_uses_rbp(s->rule))
            matters = true;
        else if (rule_rbp_depth(s->rule))
            matters = false;
        s->rbp_matters = matters;
        mark(t, i);
    }
    if (kept == 0 && cut)
        t->frames[0] |= TRIE_CUT;
    node = trie_intern(&t->room, node, &t->frames[kept], fresh_count, &t->nodes[kept]);
    t->last_count = node ? kept + fresh_count : 0;
    return node;
}

/* The slow way: every register, every kind of frame. */
static COLD u32 capture_full(struct thread *t, const struct walk_origin *origin)
{
    struct unwind_means means = unwind_means_of(t);
    struct unwind_frame f = {0};
    u32 n = 0;
    enum unwind_result result = UNWIND_STEPPED;
    UNWIND_HERE(&f);
    f.exact = true;
    while (f.registers[CFI_RSP] < (u64)(origin + 1) && result == UNWIND_STEPPED)
        result = unwind_step(&means, &f);
    bool reached = f.registers[CFI_RSP] == (u64)(origin + 1) && f.registers[CFI_RA] == origin->pc;
    if (!reached)
        result = UNWIND_LOST;
    while (reached && n < walk_limit) {
        u64 pc = f.registers[CFI_RA];
        result = unwind_step(&means, &f);
        t->fresh_frames[n++] = frames_find(t, pc).number;
        if (result != UNWIND_STEPPED)
            break;
    }
    if (!reached)
        t->fresh_frames[n++] = frames_find(t, origin->pc).number;
    if (result == UNWIND_LOST)
        t->cut_stacks++;
    for (u32 i = 0; i < n; i++)
        t->frames[i] = t->fresh_frames[n - 1 - i];
    if (result != UNWIND_END)
        t->frames[0] |= TRIE_CUT;
    u32 node = trie_intern(&t->room, 0, t->frames, n, t->nodes);
    t->last_count = 0; /* what was read, and where, is not known */
    return node;
}

u32 walk_capture(struct thread *t, const struct walk_origin *origin)
{
    struct walk_place at = {.slot = (u64)&origin->pc, .pc = origin->pc};
    struct walk_step s = {.rbp = origin->rbp};
    if (UNLIKELY(at.slot < t->stacks[0].lo || at.slot >= t->stacks[0].hi) &&
        !unwind_on_stack(t, at.slot)) {
        t->last_count = 0;
        t->cut_stacks++;
        t->frames[0] = frames_find(t, origin->pc).number | TRIE_CUT;
        return trie_intern(&t->room, 0, t->frames, 1, t->nodes);
    }
    u64 hi = t->stacks[0].hi - 8;
    u32 generation = ACQUIRE(&frames_generation);
    if (UNLIKELY(t->last_generation != generation)) {
        t->last_generation = generation;
        t->last_count = 0;
    }
    i32 j = (i32)t->last_count - 1;
    u32 n = 0, limit = walk_limit;
    for (;;) {
        while (j >= 0 && t->places[j].slot < at.slot)
            j--;
        if (j >= 0 && t->places[j].slot == at.slot && t->places[j].pc == at.pc &&
            LIKELY(!t->last_cut || (u32)j + 1 + n >= limit) &&
            (!t->last[j].rbp_matters || t->last[j].rbp == s.rbp)) {
            i32 broken;
            if (LIKELY(intact(t, j, &broken))) {
                /* the state is the same, but this walk read it in other places */
                struct walk_step *same = &t->last[j];
                same->rbp = s.rbp;
                if (same->rbp_slot != s.rbp_slot || same->cfa_slot != s.cfa_slot) {
                    same->rbp_slot = s.rbp_slot;
                    same->cfa_slot = s.cfa_slot;
                    mark(t, (u32)j);
                }
                t->last_count = (u32)j + 1;
                return n == 0 ? t->nodes[j] : adopt(t, t->last_count, n, false);
            }
            j = broken - 1;
        }
        if (n == limit)
            return adopt(t, 0, n, true);
        if (UNLIKELY(at.pc < PAGE_BYTES))
            return adopt(t, 0, n, false);
        struct frame_found found = frames_find(t, at.pc);
        s.rule = found.rule;
        t->fresh_frames[n] = found.number;
        t->fresh_places[n] = at;
        t->fresh[n++] = s;
        u64 sp = at.slot + 8, cfa;
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
        at.slot = cfa - 8;
        at.pc = word(at.slot);
    }
}

u32 track_walk(const ucontext_t *context, u64 *pcs, u32 max, bool *whole)
{
    const greg_t *g = context->uc_mcontext.gregs;
    struct thread *t = thread_settle_agent();
    struct unwind_means means = unwind_means_of(t);
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
        result = unwind_step(&means, &f);
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
