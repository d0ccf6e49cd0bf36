/* SPDX-License-Identifier: MIT
 *
 * trie.c - see trie.h.
 *
 * Context: hot, lock-free. All nodes lie in one array of words in reserved address space, in runs:
 * a head (the number of the node that the run hangs on) and then a frame a node, each the caller of
 * the next. A node's number is the place of its word. So a stack that differs from a known one in
 * its last k frames costs k + 1 words, and only the first of them has to be looked for in a table:
 * to the next node of a run leads the next word.
 *
 * The table holds the numbers of first nodes, each with 6 bits of its hash above it so that most
 * others are passed over without a look at the words. A run is looked for near the place that its
 * parent's number gives, since a program that makes new stacks makes them below the ones it has
 * just made: what is looked up now lies beside what was looked up last. Where that window is full,
 * because the parent has many callees, it is found by its hash. One thread copies the table to one
 * of twice the size while others go on with the old one, and if that gets too full because the one
 * is not running, others copy it as well and the first to be done wins. A run added to the old one
 * meanwhile may be missed later and made again, which is all that can happen.
 */
#include <stddef.h>
#include <sys/mman.h>

#include "trie.h"

#define HEAD (1u << 31) /* this word is the head of a run */

enum {
    FIRST_SLOTS = 1 << 12,
    WINDOW = 16,
    PROBES = 96, /* all that there are for a run; with 5 of 8 slots in use none needs as many */
    COPY_ROUNDS = 4, /* what was added meanwhile is copied, too, but not for ever */
    SCALE_BITS = 16,
    HUGE_FROM_WORDS = 1 << 19, /* a small trie must not cost large pages */
};

struct table {
    u64 mask;
    u64 scale; /* slots for each word of the array, in 1 / 2^SCALE_BITS */
    u32 runs;
    u32 slots[]; /* number | 6 bits of the hash above it; 0 = empty */
};

static u32 *words; /* [0] is unused */
static u32 word_count = 1;
static struct table *table;
static u8 growing;
static u64 table_own_bytes;

static ALWAYS_INLINE u64 hash(u32 parent, u32 frame)
{
    u64 h = ((u64)parent << 32 | frame) * 0x9e3779b97f4a7c15ul;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ul;
    return h ^ h >> 32;
}

/* What stands in the slot of a run with this hash. */
static ALWAYS_INLINE u32 slot_value(u64 h, u32 number)
{
    return (u32)(h >> 58) << TRIE_NUMBER_BITS | number;
}

/* The i-th slot in which a run with this parent and hash may stand. */
static ALWAYS_INLINE u32 *slot_at(struct table *t, u32 parent, u64 h, u64 i)
{
    u64 near = (parent * t->scale >> SCALE_BITS) + (h >> 40) % WINDOW;
    u64 far = h + i * (h >> 32 | 1); /* strides of its own, for windows fill whole stretches */
    return &t->slots[(i < WINDOW ? near + i : far) & t->mask];
}

static size_t table_bytes(u64 slots)
{
    return ROUND_UP(offsetof(struct table, slots) + slots * sizeof(u32), PAGE_BYTES);
}

static struct table *new_table(u64 slots, u64 words_when_full)
{
    size_t bytes = table_bytes(slots);
    struct table *fresh = sys_map(bytes);
    if (fresh) {
        fresh->mask = slots - 1;
        fresh->scale = (slots << SCALE_BITS) / words_when_full;
        __atomic_fetch_add(&table_own_bytes, bytes, __ATOMIC_RELAXED);
    }
    return fresh;
}

static void put(struct table *t, u32 parent, u32 number)
{
    u64 h = hash(parent, PEEK(&words[number]));
    for (u64 i = 0; i < PROBES; i++) {
        u32 *slot = slot_at(t, parent, h, i);
        if (!*slot) {
            *slot = slot_value(h, number);
            t->runs++;
            return;
        }
    }
}

static bool fuller_than(const struct table *t, u32 eighths)
{
    return (u64)PEEK(&t->runs) * 8 > t->mask * eighths;
}

static COLD void grow(struct table *old)
{
    if (__atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE) && !fuller_than(old, 7))
        return;
    u32 from = 1, count = PEEK(&word_count);
    struct table *fresh =
        ACQUIRE(&table) == old ? new_table((old->mask + 1) * 2, 2ul * count) : NULL;
    if (fresh) {
        /* In the order of the words: neighbours hang on neighbours, and so their places are near
         * each other. A run that is being written just now may be entered where it is never looked
         * for, or not at all. */
        for (u32 round = 0; round < COPY_ROUNDS; round++) {
            for (; from + 1 < count; from++)
                if (PEEK(&words[from]) & HEAD && PEEK(&words[from + 1]))
                    put(fresh, PEEK(&words[from]) & ~HEAD, from + 1);
            count = PEEK(&word_count);
        }
        /* The old one stays mapped, for someone may be looking into it; he finds nothing. */
        u64 kept = PAGE_BYTES, gone = table_bytes(old->mask + 1) - kept;
        if (__atomic_compare_exchange_n(&table, &old, fresh, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            sys_discard((char *)old + kept, gone);
        } else {
            gone = table_bytes(fresh->mask + 1);
            sys_unmap(fresh, gone);
        }
        __atomic_fetch_sub(&table_own_bytes, gone, __ATOMIC_RELAXED);
    }
    RELEASE(&growing, 0);
}

bool trie_start(void)
{
    if (table)
        return true;
    /* one word more than there can be: the last node is asked for its next */
    words = sys_map(ROUND_UP(sizeof(u32) * ((u64)TRIE_NUMBER_MAX + 2), PAGE_BYTES));
    if (words)
        table = new_table(FIRST_SLOTS, 4 * FIRST_SLOTS);
    return table != NULL;
}

u32 trie_find(u32 parent, u32 frame)
{
    if (parent && PEEK(&words[parent + 1]) == frame)
        return parent + 1;
    struct table *t = ACQUIRE(&table);
    u64 h = hash(parent, frame);
    for (u64 i = 0; i < PROBES; i++) {
        u32 value = ACQUIRE(slot_at(t, parent, h, i)), number = value & TRIE_NUMBER_MAX;
        if (!value)
            return 0;
        if (value == slot_value(h, number) && PEEK(&words[number]) == frame &&
            PEEK(&words[number - 1]) == (parent | HEAD))
            return number;
    }
    return 0;
}

/* Large pages for what is yet to come: a program that fills this array walks through it. */
static COLD void use_huge_pages(void)
{
    sys_call(SYS_madvise, words + HUGE_FROM_WORDS,
             (TRIE_NUMBER_MAX - HUGE_FROM_WORDS) * sizeof(u32), MADV_HUGEPAGE);
}

/* Makes nodes for frames[0..count), each the caller of the next, below a parent that trie_find says
 * has no such callee. They are numbered from the result on; 0 when there is no room. Not *made:
 * another thread was faster, and the result is its node for the first frame only. */
static u32 add(u32 parent, const u32 *frames, u32 count, bool *made)
{
    *made = false;
    u32 head = __atomic_fetch_add(&word_count, count + 1, __ATOMIC_RELAXED);
    if (UNLIKELY(head + count > TRIE_NUMBER_MAX)) {
        POKE(&word_count, TRIE_NUMBER_MAX);
        return 0;
    }
    if (UNLIKELY(head < HUGE_FROM_WORDS && head + count >= HUGE_FROM_WORDS))
        use_huge_pages();
    POKE(&words[head], parent | HEAD);
    for (u32 i = 0; i < count; i++)
        POKE(&words[head + 1 + i], frames[i]);
    struct table *t = ACQUIRE(&table);
    u64 h = hash(parent, frames[0]);
    for (u64 i = 0; i < PROBES; i++) {
        u32 *slot = slot_at(t, parent, h, i), value = ACQUIRE(slot), number;
        if (!value && __atomic_compare_exchange_n(slot, &value, slot_value(h, head + 1), false,
                                                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            __atomic_fetch_add(&t->runs, 1, __ATOMIC_RELAXED);
            if (UNLIKELY(fuller_than(t, 5)))
                grow(t);
            *made = true;
            return head + 1;
        }
        number = value & TRIE_NUMBER_MAX;
        if (value == slot_value(h, number) && PEEK(&words[number]) == frames[0] &&
            PEEK(&words[number - 1]) == (parent | HEAD))
            /* The words of this run stay as they are: a copy of the table may have them already,
             * and another thread may hang on what it finds there. */
            return number;
    }
    *made = true;
    return head + 1;
}

u32 trie_intern(u32 parent, const u32 *frames, u32 count, u32 *nodes)
{
    u32 node = parent;
    for (u32 i = 0; i < count; i++) {
        u32 next = trie_find(node, frames[i]);
        if (!next) {
            bool made;
            next = add(node, frames + i, count - i, &made);
            if (UNLIKELY(!next))
                return 0;
            if (LIKELY(made)) {
                for (u32 k = i; k < count; k++)
                    nodes[k] = next + k - i;
                return nodes[count - 1];
            }
        }
        nodes[i] = node = next;
    }
    return node;
}

u32 track_node_count(void)
{
    return ACQUIRE(&word_count) - 1;
}

struct track_node track_node(u32 number)
{
    u32 word = words[number], before = words[number - 1];
    u32 parent = before & HEAD ? before & ~HEAD : number - 1;
    if (UNLIKELY(word & TRIE_MARK))
        return (struct track_node){.parent = parent,
                                   .tag = word == TRIE_IGNORED ? 0 : word & ~TRIE_MARK,
                                   .ignored = word == TRIE_IGNORED};
    u64 code = frames_all[word & FRAME_MAX].code;
    return (struct track_node){.pc = code & FRAME_CODE_MASK,
                               .parent = parent,
                               .incarnation = (u32)(code >> FRAME_CODE_BITS),
                               .cut = word & TRIE_CUT};
}

u64 trie_own_bytes(void)
{
    return PEEK(&table_own_bytes) + (u64)PEEK(&word_count) * sizeof(u32);
}

void trie_after_fork(void)
{
    POKE(&growing, 0);
}
