/* SPDX-License-Identifier: MIT
 *
 * index.h - blocks, ordered by address, like a page table over the address space. There are four
 * of them: three that share the blocks of the malloc family (blocks.h says how), and one of the
 * blocks that the program tells of itself (moonheap_alloc), which mostly lie inside the others.
 *
 * Context: hot: one store to record, one to erase, no lock; listing: agent, frozen.
 * Invariant: a slot is written only by the thread that owns the block at that address; a word with
 * bit 0 set begins a block, and all that is known of it stands in that word and at most the next.
 * No two blocks of an index are so close that they would share a slot.
 *
 * A slot is 8 bytes. A record is one word:
 *     bit 0 begins a block | 1 bit 4 of its address | 2-7 bytes asked for, 56: see the next word
 *     | 8-33 stack | 34-45 thread | 46-63 epoch of birth
 * Blocks of 56 bytes and more have a second slot to themselves: it holds twice the bytes asked
 * for, so its bit 0 is clear. Whether it does is decided by moving an address and not by a jump:
 * sizes come in no order that a processor could foresee.
 */
#ifndef MOONHEAP_TRACK_INDEX_H
#define MOONHEAP_TRACK_INDEX_H

#include "track.h"

enum {
    INDEX_REGION_BITS = 30, /* address space that one leaf covers */
    INDEX_NEAR_REGIONS = 1 << (47 - INDEX_REGION_BITS), /* what programs have that do not ask */
    INDEX_FAR_TABLES = 1 << (57 - 47), /* for the rest of five-level page tables */
    INDEX_REGIONS = INDEX_NEAR_REGIONS * INDEX_FAR_TABLES,
    INDEX_INLINE_BYTES = 56,
    INDEX_THREAD_MAX = (1 << 12) - 1,
    INDEX_EPOCH_MAX = (1 << 18) - 1,
    INDEX_WINDOW_PAGES = 256,
};

struct index_record {
    u64 word;
    u64 size;
};

struct index_table {
    u64 *leaf[INDEX_NEAR_REGIONS];
    u64 made[INDEX_NEAR_REGIONS / 64]; /* a bit for each that is there, for who looks for the next */
};

struct index {
    struct index_table near;
    struct index_table *far[INDEX_FAR_TABLES]; /* of the addresses behind; made when one is met */
};
extern HIDDEN struct index index_main, index_small, index_large, index_custom;

/* log2 of the bytes of address space of a slot. Where the index is known to the compiler, so is
 * this. */
static ALWAYS_INLINE u32 index_shift(const struct index *x)
{
    return x == &index_main ? 5 : x == &index_large ? 11 : 3;
}

u64 *index_make_leaf(struct index *x, u64 address);
u64 *index_far_leaf(const struct index *x, u64 region);

static ALWAYS_INLINE u64 *index_leaf(const struct index *x, u64 region)
{
    return LIKELY(region < INDEX_NEAR_REGIONS) ? ACQUIRE(&x->near.leaf[region])
                                               : index_far_leaf(x, region);
}

static ALWAYS_INLINE u64 *index_slot(const struct index *x, u64 address)
{
    u64 *leaf = index_leaf(x, address >> INDEX_REGION_BITS);
    if (UNLIKELY(!leaf))
        return NULL;
    return leaf + ((address & ((1ul << INDEX_REGION_BITS) - 1)) >> index_shift(x));
}

static ALWAYS_INLINE u64 index_word(u64 address, u64 size, u32 stack, u32 thread, u32 epoch)
{
    u64 code = size < INDEX_INLINE_BYTES ? size : INDEX_INLINE_BYTES;
    return 1 | (address >> 3 & 2) | code << 2 | (u64)stack << 8 | (u64)thread << 34 |
           (u64)epoch << 46;
}

static inline u32 index_stack(u64 word)
{
    return (u32)(word >> 8) & 0x3ffffff;
}

static inline u32 index_thread(u64 word)
{
    return (u32)(word >> 34) & INDEX_THREAD_MAX;
}

static inline u32 index_epoch(u64 word)
{
    return (u32)(word >> 46);
}

static inline u64 index_with_stack(u64 word, u32 stack)
{
    return (word & ~(0x3fffffful << 8)) | (u64)stack << 8;
}

static ALWAYS_INLINE bool index_long(u64 word)
{
    return (word >> 2 & 63) == INDEX_INLINE_BYTES;
}

/* The slot, where it is there and can be found without a call; else NULL. */
static ALWAYS_INLINE u64 *index_slot_at_once(const struct index *x, u64 address)
{
    u64 region = address >> INDEX_REGION_BITS;
    if (UNLIKELY(region >= INDEX_NEAR_REGIONS))
        return NULL;
    u64 *leaf = ACQUIRE(&x->near.leaf[region]);
    if (UNLIKELY(!leaf))
        return NULL;
    return leaf + ((address & ((1ul << INDEX_REGION_BITS) - 1)) >> index_shift(x));
}

static ALWAYS_INLINE void index_write(u64 *slot, struct index_record r)
{
    u64 more = r.size >= INDEX_INLINE_BYTES;
    POKE(slot + more, more ? r.size << 1 : r.word);
    RELEASE(slot, r.word);
}

/* Records a block; false when the index has no room for its address. */
static ALWAYS_INLINE bool index_put(struct index *x, u64 address, struct index_record r)
{
    u64 *slot = index_slot(x, address);
    if (UNLIKELY(!slot))
        slot = index_make_leaf(x, address);
    if (slot)
        index_write(slot, r);
    return slot != NULL;
}

/* Odd while pages are being given back and a record may be aside, see trim.c. */
extern HIDDEN u32 index_trims;
/* Waits until it is even. */
void index_settle(void);
/* In a child: even, for who was about to put records back is not there. */
void trim_after_fork(void);

/* Erases the block that begins at `address`, whose slot this is, and returns what was known of it; a
 * word of 0 when none does. */
static ALWAYS_INLINE struct index_record index_erase(u64 *slot, u64 address)
{
    u64 word = PEEK(slot), begins_here = 1 | (address >> 3 & 2);
    if (UNLIKELY((word ^ begins_here) & 3))
        return (struct index_record){0, 0};
    u64 code = word >> 2 & 63, more = code == INDEX_INLINE_BYTES, last = PEEK(slot + more);
    POKE(slot, 0);
    RELEASE(slot + more, 0);
    return (struct index_record){word, (last >> 1 & -more) | (code & (more - 1))};
}

static ALWAYS_INLINE struct index_record index_take(struct index *x, u64 address)
{
    u64 *slot = index_slot(x, address);
    return slot ? index_erase(slot, address) : (struct index_record){0, 0};
}

/* The block that begins in the slot of `address`; false when none does. Its owner may be changing
 * it at this moment. */
bool index_read(const struct index *x, u64 address, struct track_block *b);
/* What lies behind the leaf of the region of `address`; NULL when there is no leaf. */
u8 *index_behind_leaf(const struct index *x, u64 address);

/* The first region from `region` on that has a leaf; INDEX_REGIONS when none does. */
u64 index_next_region(const struct index *x, u64 region);

/* What is known of the pages of a leaf: which of them were ever touched. */
struct index_window {
    const u64 *leaf;  /* NULL: it is of none */
    u64 from;         /* no page from here up to `first` was */
    u64 first, count; /* pages that `present` is of */
    u64 present[INDEX_WINDOW_PAGES]; /* not 0 for those that were; all when /proc is not there */
};
/* Was that page of the leaf ever touched? Reading an untouched one would make the kernel map it. The
 * window belongs to the caller, who lets it be one of no leaf at first and asks for pages in order. */
bool index_touched(const struct index *x, struct index_window *w, const u64 *leaf, u64 page);

/* Lists blocks at addresses in [*from, to) into out[0..max), in order; returns how many, and moves
 * *from behind the last of them, or to `to` when there are no more. */
u32 index_list(const struct index *x, struct index_window *w, u64 *from, u64 to,
               struct track_block *out, u32 max);

/* Forgets every block and gives the memory back. Only while nothing is recorded. */
void index_clear(struct index *x);
/* Bytes of it that are in memory. */
u64 index_own_bytes(const struct index *x);
/* Bytes of address space of a leaf. */
size_t index_leaf_bytes(const struct index *x);
/* Slots of a leaf. */
u64 index_leaf_slots(const struct index *x);

#endif
