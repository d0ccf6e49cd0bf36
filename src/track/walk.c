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
 * A stack whose node was there already is likely to come again: its inner places are kept as well,
 * by the innermost one, out to where it met the last stack. When they and the last stack beyond are
 * unchanged, it is the same stack, and nothing is walked or looked up.
 * There are two walks: a short one for what nearly every stack is, which keeps nothing but where it
 * read and by which rules, and one for all, which is asked when the short one meets anything else.
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

static ALWAYS_INLINE bool has_more(const struct walk_mores *m, u32 i)
{
    return m->bits[i / 64] >> i % 64 & 1;
}

static ALWAYS_INLINE struct walk_place *places(struct thread *t)
{
    return t->guarded + WALK_BLOCK;
}

static ALWAYS_INLINE u32 where_of(u64 slot)
{
    return (u32)(slot >> 3) % WALK_SLOTS;
}

static bool more_is_intact(const struct walk_more *m, u64 slot)
{
    return (!m->cfa_slot || word(m->cfa_slot) == slot + 8) &&
           (!m->rbp_matters || !m->rbp_slot || word(m->rbp_slot) == m->rbp);
}

static ALWAYS_INLINE u64 change(const struct walk_place *p)
{
    return word(p->slot) ^ p->pc;
}

/* The same as intact() one place after the other: each is read when those before it have shown that
 * it is on the stack. A coroutine's may be where a larger one was, which is no longer mapped. */
static NOINLINE bool intact_in_order(struct thread *t, u32 i, u32 *broken)
{
    while (i-- > 0) {
        const struct walk_place *p = &places(t)[i];
        bool more = i < t->more.end && has_more(&t->more, i);
        if ((more && !more_is_intact(&t->more.of[i], p->slot)) || change(p)) {
            *broken = i;
            return false;
        }
    }
    return true;
}

/* Do the words of all[0..count) hold what they held? On failure *broken is one that does not. They
 * are compared a block at a time, the last one with guards in it, for it is how often the processor
 * guesses a branch wrong that decides what a walk costs. */
static ALWAYS_INLINE bool unchanged(const struct walk_place *all, i32 count, u32 *broken)
{
    for (const struct walk_place *p = all + count; p > all;) {
        p -= WALK_BLOCK;
        if (UNLIKELY(change(p) | change(p + 1) | change(p + 2) | change(p + 3) | change(p + 4) |
                     change(p + 5) | change(p + 6) | change(p + 7))) {
            p += WALK_BLOCK - 1;
            while (!change(p))
                p--;
            *broken = (u32)(p - all);
            return false;
        }
    }
    return true;
}

/* Brings what `rbps` and `cfas` say up to date with `more`. */
static NOINLINE void settle(struct thread *t)
{
    const struct walk_place nothing = {(u64)&t->walk_nothing, 0};
    u32 i = t->settled;
    for (u32 guard = 0; i == 0 && guard < WALK_BLOCK; guard++)
        t->rbps[guard] = nothing;
    for (; i < t->more.end; i++) {
        const struct walk_more *m = has_more(&t->more, i) ? &t->more.of[i] : NULL;
        bool rbp = m && m->rbp_matters && m->rbp_slot, cfa = m && m->cfa_slot;
        t->rbps[WALK_BLOCK + i] = rbp ? (struct walk_place){m->rbp_slot, m->rbp} : nothing;
        t->cfas[i / 64] = (t->cfas[i / 64] & ~(1ul << i % 64)) | (u64)cfa << i % 64;
    }
    t->settled = i;
}

/* The same as intact() of what more belongs to the places. */
static NOINLINE bool more_of_all_is_intact(struct thread *t, u32 i, u32 *broken)
{
    u32 count = i < t->more.end ? i : t->more.end;
    if (t->settled < t->more.end)
        settle(t);
    if (!unchanged(t->rbps + WALK_BLOCK, (i32)count, broken))
        return false;
    for (u32 w = 0; w * 64 < count; w++) {
        u64 bits = t->cfas[w] & (count - w * 64 < 64 ? (1ul << count % 64) - 1 : ~0ul);
        for (; bits; bits &= bits - 1) {
            u32 at = w * 64 + (u32)__builtin_ctzl(bits);
            if (word(t->more.of[at].cfa_slot) != places(t)[at].slot + 8) {
                *broken = at;
                return false;
            }
        }
    }
    return true;
}

/* Is the outer part of the last stack, beyond place i, still as it was? On failure *broken is a
 * place that changed. All that was read lies on the thread's own stack, so it can be read in any
 * order. */
static ALWAYS_INLINE bool intact(struct thread *t, i32 i, u32 *broken)
{
    return unchanged(places(t), i, broken) &&
           (LIKELY(!t->more.end) || more_of_all_is_intact(t, (u32)i, broken));
}

/* What more there is of place i and of those further in is another. */
static ALWAYS_INLINE void unsettle(struct thread *t, u32 i)
{
    if (t->settled > i)
        t->settled = i;
}

/* Where the value of rbp in the frame that the walk is at can be read, and since which of the
 * fresh frames it is that. */
struct rbp_span {
    u64 slot, since;
};

/* What more there is of fresh frame i, to be filled in. */
static struct walk_more *note_more(struct thread *t, u32 i)
{
    struct walk_mores *m = &t->fresh_more;
    if (!m->end)
        memset(m->bits, 0, sizeof m->bits);
    if (m->end <= i)
        m->end = i + 1;
    if (!has_more(m, i))
        m->of[i] = (struct walk_more){0};
    m->bits[i / 64] |= 1ul << i % 64;
    return &m->of[i];
}

/* A frame further out is found through the value of rbp: it matters in the fresh frames before
 * `end` that have the same. */
static NOINLINE void rbp_matters(struct thread *t, struct rbp_span rbp, u32 end)
{
    for (u32 i = (u32)rbp.since; i < end; i++) {
        struct walk_more *m = note_more(t, i);
        m->rbp_matters = true;
        m->rbp = word(rbp.slot);
        m->rbp_slot = i == rbp.since ? rbp.slot : 0;
    }
}

/* The walk is at the state of place j after `n` fresh frames, but it has read it elsewhere. */
static NOINLINE void rejoin(struct thread *t, u32 j, u32 n, struct rbp_span rbp)
{
    struct walk_more *m = &t->more.of[j];
    const struct walk_mores *fresh = &t->fresh_more;
    u64 cfa_slot = fresh->end && has_more(fresh, n) ? fresh->of[n].cfa_slot : 0;
    if (!has_more(&t->more, j)) {
        if (!cfa_slot)
            return;
        *m = (struct walk_more){0};
    }
    unsettle(t, j);
    m->cfa_slot = cfa_slot;
    m->rbp_slot = rbp.since == n ? rbp.slot : 0;
    t->more.bits[j / 64] |= 1ul << j % 64;
    if (t->more.end <= j)
        t->more.end = j + 1;
    if (m->rbp_matters)
        rbp_matters(t, rbp, n);
}

/* Takes over what more there is of the fresh frames, above the `kept` outermost ones. */
static NOINLINE void adopt_more(struct thread *t, u32 kept, u32 fresh_count)
{
    struct walk_mores *to = &t->more, *from = &t->fresh_more;
    u32 words = (to->end > kept ? to->end : kept) / 64 + 1;
    unsettle(t, kept);
    for (u32 w = kept / 64; w < words; w++)
        to->bits[w] &= w == kept / 64 ? (1ul << kept % 64) - 1 : 0;
    for (u32 i = 0; from->end && i < fresh_count; i++)
        if (has_more(from, i)) {
            u32 at = kept + fresh_count - 1 - i;
            to->of[at] = from->of[i];
            to->bits[at / 64] |= 1ul << at % 64;
        }
    u32 w = (kept + fresh_count) / 64;
    while (w > 0 && !to->bits[w])
        w--;
    to->end = to->bits[w] ? (w + 1) * 64 - (u32)__builtin_clzl(to->bits[w]) : 0;
}

/* Only the innermost frames are kept: the stack begins with another frame now, so every node is
 * another. Drops `over` places of the `kept` outermost ones; false when there is no room. */
static COLD bool shorten(struct thread *t, u32 kept, u32 over)
{
    u32 left = kept - over;
    t->settled = 0;
    memmove(&places(t)[0], &places(t)[over], left * sizeof places(t)[0]);
    memmove(&t->frames[0], &t->frames[over], left * sizeof t->frames[0]);
    for (u32 i = 0; i < kept; i++) {
        bool more = i < left && has_more(&t->more, i + over);
        if (more)
            t->more.of[i] = t->more.of[i + over];
        t->more.bits[i / 64] = (t->more.bits[i / 64] & ~(1ul << i % 64)) | (u64)more << i % 64;
        if (i < left)
            t->where[where_of(places(t)[i].slot)] = (u8)i;
    }
    t->more.end = t->more.end > over ? t->more.end - over : 0;
    t->last_cut = true;
    t->frames[0] |= TRIE_CUT;
    return left == 0 || trie_intern(&t->room, 0, t->frames, left, t->nodes);
}

/* Takes fresh frames into the remembered stack, above its `kept` outermost ones, and gives the
 * node of the whole. */
static ALWAYS_INLINE u32 adopt(struct thread *t, u32 kept, u32 fresh_count, u32 limit, bool cut)
{
    if (kept == 0)
        t->last_cut = cut;
    if (UNLIKELY(kept + fresh_count > limit)) {
        u32 over = kept + fresh_count - limit;
        kept -= over;
        cut = true;
        if (!shorten(t, kept + over, over)) {
            t->last_count = 0;
            return 0;
        }
    }
    if (UNLIKELY(kept < t->more.end || t->fresh_more.end))
        adopt_more(t, kept, fresh_count);
    u32 i = kept;
    for (u32 from = fresh_count; from-- > 0; i++) {
        /* word by word, as they were written just now: one read of both would wait for that */
        u64 slot = PEEK(&t->fresh_places[from].slot), pc = PEEK(&t->fresh_places[from].pc);
        places(t)[i] = (struct walk_place){slot, pc};
        t->frames[i] = t->fresh_frames[from];
        t->where[where_of(slot)] = (u8)i;
    }
    if (kept == 0 && cut)
        t->frames[0] |= TRIE_CUT;
    u32 node = trie_intern(&t->room, kept ? t->nodes[kept - 1] : 0, &t->frames[kept], fresh_count,
                           &t->nodes[kept]);
    t->last_count = node ? i : 0;
    return node;
}

static NOINLINE u32 adopt_all(struct thread *t, u32 count, bool cut)
{
    return adopt(t, 0, count, count, cut);
}

/* The two places of a stack that begins so. By all bits of both: frames of a server's few ways to its
 * allocator are often 2^n bytes apart. */
static ALWAYS_INLINE struct walk_memo *memos_of(struct thread *t, u64 slot, u64 pc)
{
    return t->memos[(u32)(slot + pc) * 0x9e3779b1u >> (32 - WALK_MEMO_BITS)];
}

/* The one that is to be given up for such a stack. */
static struct walk_memo *memo_of(struct thread *t, u64 slot, u64 pc)
{
    struct walk_memo *two = memos_of(t, slot, pc);
    return two + (two->turns++ & 1);
}

/* Keeps the last stack, whose inner `count` places are beyond place `joint`. */
static NOINLINE void memorize(struct thread *t, u32 joint, u32 count, u32 node)
{
    const struct walk_place *from = &places(t)[joint + count];
    struct walk_memo *m = memo_of(t, from->slot, from->pc);
    u32 i = 0;
    m->first.slot = PEEK(&from->slot); /* word by word: see adopt */
    m->first.pc = PEEK(&from->pc);
    do {
        from--;
        m->rest[i].slot = PEEK(&from->slot);
        m->rest[i].pc = PEEK(&from->pc);
    } while (++i < count);
    for (; i % WALK_MEMO_BLOCK; i++)
        m->rest[i] = (struct walk_place){(u64)&t->walk_nothing, 0};
    m->count = count;
    m->joint = joint;
    m->joint_node = t->nodes[joint];
    m->node = node;
    m->frames = joint + 1 + count;
}

/* Is the stack that begins as `m` does the one that it was? Both its places and those of the last
 * stack are on the thread's own stack. */
static ALWAYS_INLINE bool is_again(struct thread *t, const struct walk_memo *m, u32 limit)
{
    u32 j = m->joint, broken;
    const struct walk_place *p = m->rest;
    if (j >= t->last_count || t->nodes[j] != m->joint_node || m->frames > limit ||
        places(t)[j].slot != p[m->count - 1].slot)
        return false;
    if (change(p) | change(p + 1) | change(p + 2) | change(p + 3))
        return false;
    if (m->count > WALK_MEMO_BLOCK && (change(p + 4) | change(p + 5) | change(p + 6) | change(p + 7)))
        return false;
    return intact(t, (i32)j, &broken);
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
        t->fresh_frames[n++] = frames_number(t, pc);
        if (result != UNWIND_STEPPED)
            break;
    }
    if (!reached)
        t->fresh_frames[n++] = frames_number(t, origin->pc);
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

/* The way from a frame that is found through rbp to the next one: its CFA, 0 when that cannot be,
 * and then where rbp is. */
struct rbp_step {
    u64 cfa;
    struct rbp_span rbp;
};

/* Leaves fresh frame n, whose stack pointer is `sp`. */
static NOINLINE struct rbp_step step_by_rbp(struct thread *t, u64 rule, u64 sp, u32 n,
                                            struct rbp_span rbp)
{
    u64 base = word(rbp.slot), hi = t->stacks[0].hi - 8, cfa = base + (u64)rule_cfa_offset(rule);
    u64 depth = rule_rbp_depth(rule);
    rbp_matters(t, rbp, n + 1);
    if (rule_kind(rule) == RULE_ALIGNED) {
        if (cfa < sp || cfa >= hi || (cfa & 7) || base < sp || base >= hi || (base & 7))
            return (struct rbp_step){0};
        note_more(t, n + 1)->cfa_slot = cfa;
        cfa = word(cfa);
        rbp = (struct rbp_span){base, n + 1};
    } else if (depth) {
        rbp = (struct rbp_span){cfa - depth, n + 1};
    }
    if (cfa <= sp || cfa > hi || (cfa & 7) || (depth && rbp.slot < sp - 8))
        return (struct rbp_step){0};
    return (struct rbp_step){cfa, rbp};
}

/* Any walk. */
static NOINLINE u32 walk_on(struct thread *t, const struct walk_origin *origin)
{
    struct walk_place at = {.slot = (u64)&origin->pc, .pc = origin->pc};
    struct rbp_span rbp = {(u64)&origin->rbp, 0};
    if (UNLIKELY(at.slot < t->stacks[0].lo || at.slot >= t->stacks[0].hi) &&
        !unwind_on_stack(t, at.slot)) {
        t->last_count = 0;
        t->cut_stacks++;
        t->frames[0] = frames_number(t, origin->pc) | TRIE_CUT;
        return trie_intern(&t->room, 0, t->frames, 1, t->nodes);
    }
    u64 hi = t->stacks[0].hi - 8;
    struct frame_table *table = ACQUIRE(&frames_table);
    u32 generation = ACQUIRE(&frames_generation);
    if (UNLIKELY(t->last_generation != generation)) {
        t->last_generation = generation;
        t->last_count = 0;
        memset(t->memos, 0, sizeof t->memos);
    }
    u32 candidates = t->last_count, n = 0, limit = walk_limit;
    t->fresh_more.end = 0;
    for (;;) {
        u32 j = t->where[where_of(at.slot)];
        if (places(t)[j].slot == at.slot && places(t)[j].pc == at.pc && LIKELY(j < candidates) &&
            LIKELY(!t->last_cut || j + 1 + n >= limit) &&
            (LIKELY(j >= t->more.end) || !has_more(&t->more, j) || !t->more.of[j].rbp_matters ||
             t->more.of[j].rbp == word(rbp.slot))) {
            bool own = at.slot < t->stacks[0].lasting;
            if (LIKELY(own) ? LIKELY(intact(t, (i32)j, &candidates))
                            : intact_in_order(t, j, &candidates)) {
                if (UNLIKELY(j < t->more.end || t->fresh_more.end))
                    rejoin(t, j, n, rbp);
                t->last_count = j + 1;
                if (n == 0)
                    return t->nodes[j];
                return adopt(t, j + 1, n, limit, false);
            }
        }
        if (UNLIKELY(n == limit))
            return adopt_all(t, n, true);
        u64 rule = frames_find(table, t, at.pc);
        t->fresh_frames[n] = frame_number(rule);
        t->fresh_places[n] = at;
        u64 sp = at.slot + 8;
        if (LIKELY(rule_kind(rule) == RULE_SP)) {
            u64 depth = rule_rbp_depth(rule), cfa = sp + rule_sp_offset(rule);
            if (UNLIKELY(cfa > hi))
                return capture_full(t, origin);
            n++;
            rbp.slot = depth ? cfa - depth : rbp.slot;
            rbp.since = depth ? n : rbp.since;
            at.slot = cfa - 8;
        } else if (rule_uses_rbp(rule)) {
            struct rbp_step step = step_by_rbp(t, rule, sp, n++, rbp);
            if (!step.cfa)
                return capture_full(t, origin);
            rbp = step.rbp;
            at.slot = step.cfa - 8;
        } else if (rule_kind(rule) == RULE_END) {
            return adopt_all(t, n + (frame_number(rule) != 0), false);
        } else if (rule_kind(rule) == RULE_LOST) {
            t->cut_stacks++;
            return adopt_all(t, n + 1, true);
        } else {
            return capture_full(t, origin);
        }
        at.pc = word(at.slot);
    }
}

/* The usual walk: on the thread's own stack through frames that are found by rsp alone, out to one
 * of the `candidates` outermost places of the last stack, beyond which no rbp matters. The innermost
 * place is none of those. What is otherwise begins anew with walk_on. */
static NOINLINE u32 walk_short(struct thread *t, const struct walk_origin *origin, u32 candidates)
{
    struct {
        u64 slot, rule;
    } all[WALK_SHORT], *fresh = all;
    u64 slot = (u64)&origin->pc, pc = origin->pc, lasting = t->stacks[0].lasting;
    struct frame_table *table = ACQUIRE(&frames_table);
    u32 j;
    if (UNLIKELY(!candidates))
        return walk_on(t, origin);
    for (;;) {
        u64 rule = frames_find(table, t, pc);
        fresh->slot = slot;
        fresh->rule = rule;
        slot += rule_sp_offset(rule);
        if (UNLIKELY(rule_kind(rule) != RULE_SP) || UNLIKELY(slot >= lasting))
            return walk_on(t, origin);
        fresh++;
        pc = word(slot);
        j = t->where[where_of(slot)];
        if (UNLIKELY(places(t)[j].slot == slot) && places(t)[j].pc == pc && LIKELY(j < candidates) &&
            LIKELY(j >= t->more.end) && LIKELY(intact(t, (i32)j, &candidates)))
            break;
        if (UNLIKELY(fresh == all + WALK_SHORT))
            return walk_on(t, origin);
    }
    u32 n = (u32)(fresh - all), at = j + 1;
    if (UNLIKELY(at + n > walk_limit))
        return walk_on(t, origin);
    do {
        fresh--;
        /* word by word, as in adopt; the return address is where it was a moment ago */
        u64 its = fresh->slot;
        POKE(&places(t)[at].slot, its);
        POKE(&places(t)[at].pc, word(its));
        t->frames[at] = frame_number(fresh->rule);
        t->where[where_of(its)] = (u8)at++;
    } while (fresh > all);
    u32 made = t->room.next;
    u32 node = trie_intern(&t->room, t->nodes[j], &t->frames[j + 1], n, &t->nodes[j + 1]);
    t->last_count = node ? at : 0;
    if (UNLIKELY(t->room.next == made) && node && n <= WALK_MEMO_PLACES)
        memorize(t, j, n, node);
    return node;
}

/* The innermost place is the last stack's place j: is the rest that, too? */
static NOINLINE u32 walk_same(struct thread *t, const struct walk_origin *origin, u32 j)
{
    u32 candidates = t->last_count;
    if (UNLIKELY(j < t->more.end))
        return walk_on(t, origin);
    if (UNLIKELY(!intact(t, (i32)j, &candidates)))
        return walk_short(t, origin, candidates);
    t->last_count = j + 1;
    return t->nodes[j];
}

static ALWAYS_INLINE u32 walk_unless_same(struct thread *t, const struct walk_origin *origin)
{
    u64 slot = (u64)&origin->pc, pc = origin->pc;
    u32 j = t->where[where_of(slot)], candidates = t->last_count;
    if (places(t)[j].slot == slot && places(t)[j].pc == pc && j < candidates)
        return walk_same(t, origin, j);
    return walk_short(t, origin, candidates);
}

static ALWAYS_INLINE bool begins_so(const struct walk_memo *m, u64 slot, u64 pc)
{
    return m->first.slot == slot && m->first.pc == pc;
}

/* A stack that is remembered begins as this one does; maybe another one, too. */
static NOINLINE u32 walk_again(struct thread *t, const struct walk_origin *origin,
                               const struct walk_memo *m, const struct walk_memo *other)
{
    if (is_again(t, m, walk_limit))
        return m->node;
    if (begins_so(other, (u64)&origin->pc, origin->pc) && is_again(t, other, walk_limit))
        return other->node;
    return walk_unless_same(t, origin);
}

u32 walk_capture(struct thread *t, const struct walk_origin *origin)
{
    /* Few registers are needed to tell which of the ways it is, so none is saved here. */
    u64 slot = (u64)&origin->pc, pc = origin->pc;
    if (UNLIKELY(slot < t->stacks[0].lo || slot >= t->stacks[0].lasting || t->last_cut ||
                 t->last_generation != ACQUIRE(&frames_generation)))
        return walk_on(t, origin);
    const struct walk_memo *m = memos_of(t, slot, pc);
    if (begins_so(m, slot, pc))
        return walk_again(t, origin, m, m + 1);
    if (begins_so(m + 1, slot, pc))
        return walk_again(t, origin, m + 1, m);
    return walk_unless_same(t, origin);
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
