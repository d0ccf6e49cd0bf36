/* SPDX-License-Identifier: MIT
 *
 * trie.c - see trie.h.
 *
 * Context: hot, lock-free. Nodes lie in one array of reserved address space; the table that finds
 * them holds their numbers, each with 6 bits of its hash above it so that most others are passed
 * over without a look at the node.
 * A node is looked for near the place that its parent's number gives, since a program that makes
 * new stacks makes them below the ones it has just made: what is looked up now lies beside what
 * was looked up last (this halved the time of a recursive program against a plain hash). Where
 * that window is full, because the parent has many callees, it is found by its hash. One thread at
 * a time copies it to one of twice the size while others go on with the old one; a node added to
 * the old one meanwhile may be missed later and made again, which is all that can happen.
 */
#include <stddef.h>

#include "trie.h"

enum { FIRST_SLOTS = 1 << 12, NUMBER_BITS = 26, WINDOW = 16 };

struct node {
    u32 parent;
    u32 frame_lo;
    u32 frame_hi;
};

struct table {
    u64 mask;
    u32 slots[]; /* number | 6 bits of the hash above it; 0 = empty */
};

static struct node *nodes; /* [0] is unused */
static u32 node_count;     /* numbers given so far */
static struct table *table;
static u8 growing;
static u64 table_own_bytes;

static ALWAYS_INLINE u64 hash(u32 parent, u64 frame)
{
    u64 h = (frame ^ (u64)parent << 32 ^ parent) * 0x9e3779b97f4a7c15ul;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ul;
    return h ^ h >> 32;
}

/* What stands in the slot of a node with this hash. */
static ALWAYS_INLINE u32 slot_value(u64 h, u32 number)
{
    return (u32)(h >> 58) << NUMBER_BITS | number;
}

static ALWAYS_INLINE bool node_is(const struct node *n, u32 parent, u64 frame)
{
    return PEEK(&n->parent) == parent && PEEK(&n->frame_lo) == (u32)frame &&
           PEEK(&n->frame_hi) == (u32)(frame >> 32);
}

/* The i-th slot in which a node with this parent and hash may stand. */
static ALWAYS_INLINE u32 *slot_at(struct table *t, u32 parent, u64 h, u64 i)
{
    u64 near = (u64)parent + parent / 2 + (h >> 40) % WINDOW;
    return &t->slots[(i < WINDOW ? near + i : h + i) & t->mask];
}

static struct table *new_table(u64 slots)
{
    size_t bytes = ROUND_UP(offsetof(struct table, slots) + slots * sizeof(u32), PAGE_BYTES);
    struct table *fresh = sys_map(bytes);
    if (fresh) {
        fresh->mask = slots - 1;
        table_own_bytes += bytes;
    }
    return fresh;
}

static COLD void grow(struct table *old)
{
    if (__atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE))
        return;
    struct table *fresh = ACQUIRE(&table) == old ? new_table((old->mask + 1) * 2) : NULL;
    if (fresh) {
        /* By number, not by slot: parents of neighbours are neighbours, and so are their places. A
         * node that is being written just now may land where it is never looked for. */
        u32 count = PEEK(&node_count);
        for (u32 number = 1; number <= count; number++) {
            const struct node *n = &nodes[number];
            u32 parent = PEEK(&n->parent);
            u64 h = hash(parent, (u64)PEEK(&n->frame_hi) << 32 | PEEK(&n->frame_lo)), at = 0;
            while (*slot_at(fresh, parent, h, at))
                at++;
            *slot_at(fresh, parent, h, at) = slot_value(h, number);
        }
        RELEASE(&table, fresh);
    }
    RELEASE(&growing, 0);
}

bool trie_start(void)
{
    if (table)
        return true;
    nodes = sys_map(ROUND_UP(sizeof(struct node) * ((u64)TRIE_NODE_MAX + 1), PAGE_BYTES));
    if (nodes)
        table = new_table(FIRST_SLOTS);
    return table != NULL;
}

static u32 add_node(u32 parent, u64 frame)
{
    u32 number = __atomic_add_fetch(&node_count, 1, __ATOMIC_RELAXED);
    if (UNLIKELY(number > TRIE_NODE_MAX)) {
        POKE(&node_count, TRIE_NODE_MAX);
        return 0;
    }
    POKE(&nodes[number].parent, parent);
    POKE(&nodes[number].frame_lo, (u32)frame);
    POKE(&nodes[number].frame_hi, (u32)(frame >> 32));
    return number;
}

u32 trie_intern(u32 parent, u64 frame)
{
    struct table *t = ACQUIRE(&table);
    u32 mine = 0; /* made once, kept for the next slot when another thread was faster */
    u64 h = hash(parent, frame);
    for (u64 i = 0; i <= t->mask; i++) {
        u32 *slot = slot_at(t, parent, h, i);
        u32 value = ACQUIRE(slot);
        if (!value) {
            if (!mine)
                mine = add_node(parent, frame);
            if (!mine || __atomic_compare_exchange_n(slot, &value, slot_value(h, mine), false,
                                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                break;
        }
        u32 number = value & TRIE_NODE_MAX;
        if (value == slot_value(h, number) && node_is(&nodes[number], parent, frame))
            return number;
    }
    if (UNLIKELY((u64)mine * 8 > t->mask * 5))
        grow(t);
    return mine;
}

u32 track_node_count(void)
{
    return ACQUIRE(&node_count);
}

struct track_node track_node(u32 number)
{
    const struct node *n = &nodes[number];
    return (struct track_node){.pc = (u64)(n->frame_hi & 0xffff) << 32 | n->frame_lo,
                               .parent = n->parent,
                               .incarnation = n->frame_hi >> 16 & 0xfff,
                               .cut = n->frame_hi >> 31};
}

u64 trie_own_bytes(void)
{
    return PEEK(&table_own_bytes) + (u64)PEEK(&node_count) * sizeof(struct node);
}

void trie_after_fork(void)
{
    POKE(&growing, 0);
}
