/* SPDX-License-Identifier: MIT
 *
 * index.h - the live blocks, ordered by address, like a page table over the address space. There
 * are two: of the blocks of the malloc family, and of those that the program tells of itself
 * (moonheap_alloc), which mostly lie inside the others.
 *
 * Context: hot: one store to record, one to erase, no lock; listing: agent, frozen.
 * Invariant: a slot is written only by the thread that owns the block at that address; a word with
 * bit 0 set begins a block, and all that is known of it stands in that word and at most the next.
 *
 * A slot is 8 bytes for each 32 bytes of address space with glibc's allocator, whose blocks are at
 * least that far apart, so a record costs a quarter of the block; for 8 bytes with any other, whose
 * smallest blocks may be 8 bytes apart, and so may the program's own. A record is one word:
 *     bit 0 begins a block | 1 bit 4 of its address | 2-7 bytes asked for, 56: see the next word
 *     | 8-33 stack | 34-45 thread | 46-63 epoch of birth
 * Blocks of 56 bytes and more have a second slot to themselves: it holds twice the bytes asked
 * for, so its bit 0 is clear.
 */
#ifndef MOONHEAP_TRACK_INDEX_H
#define MOONHEAP_TRACK_INDEX_H

#include "track.h"

enum {
    INDEX_ADDRESS_BITS = 47,
    INDEX_REGION_BITS = 30, /* address space that one leaf covers */
    INDEX_INLINE_BYTES = 56,
    INDEX_THREAD_MAX = (1 << 12) - 1,
    INDEX_EPOCH_MAX = (1 << 18) - 1,
};

struct index_record {
    u64 word;
    u64 size;
};

struct index {
    u64 *root[1 << (INDEX_ADDRESS_BITS - INDEX_REGION_BITS)];
    u8 shift;          /* log2 of the bytes of address space of a slot: 5 or 3 */
    size_t more_bytes; /* behind each leaf, for its owner's use */
};
extern struct index index_malloced, index_custom;

u64 *index_make_leaf(struct index *x, u64 address);

static ALWAYS_INLINE u64 *index_slot(const struct index *x, u64 address)
{
    u64 *leaf =
        address >> INDEX_ADDRESS_BITS ? NULL : ACQUIRE(&x->root[address >> INDEX_REGION_BITS]);
    if (UNLIKELY(!leaf))
        return NULL;
    return leaf + ((address & ((1ul << INDEX_REGION_BITS) - 1)) >> x->shift);
}

static ALWAYS_INLINE u64 index_word(u64 address, u64 size, u32 stack, u32 thread, u32 epoch)
{
    u64 code = size < INDEX_INLINE_BYTES ? size : INDEX_INLINE_BYTES;
    return 1 | (address >> 4 & 1) << 1 | code << 2 | (u64)stack << 8 | (u64)thread << 34 |
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

/* Records a block; false when the index has no room for its address. */
static ALWAYS_INLINE bool index_put(struct index *x, u64 address, struct index_record r)
{
    u64 *slot = index_slot(x, address);
    if (UNLIKELY(!slot)) {
        slot = index_make_leaf(x, address);
        if (!slot)
            return false;
    }
    if (index_long(r.word))
        POKE(slot + 1, r.size << 1);
    RELEASE(slot, r.word);
    return true;
}

/* Erases the block that begins at `address`; false when none does. */
static ALWAYS_INLINE bool index_take(struct index *x, u64 address, struct index_record *r)
{
    u64 *slot = index_slot(x, address);
    if (UNLIKELY(!slot))
        return false;
    u64 word = PEEK(slot);
    if (UNLIKELY(!(word & 1) || (word >> 1 & 1) != (address >> 4 & 1)))
        return false;
    POKE(slot, 0);
    r->word = word;
    r->size = word >> 2 & 63;
    if (index_long(word)) {
        r->size = PEEK(slot + 1) >> 1;
        POKE(slot + 1, 0);
    }
    return true;
}

/* The block that begins in the slot of `address`; false when none does. Its owner may be changing
 * it at this moment. */
bool index_read(const struct index *x, u64 address, struct track_block *b);
/* What lies behind the leaf of the region of `address`; NULL when there is no leaf. */
static inline u8 *index_behind_leaf(const struct index *x, u64 address)
{
    u64 *leaf =
        address >> INDEX_ADDRESS_BITS ? NULL : ACQUIRE(&x->root[address >> INDEX_REGION_BITS]);
    return leaf ? (u8 *)(leaf + (1ul << (INDEX_REGION_BITS - x->shift))) + PAGE_BYTES : NULL;
}

/* Forgets every block and gives the memory back. Only while nothing is recorded. */
void index_clear(struct index *x);
/* Bytes of it that are in memory. */
u64 index_own_bytes(const struct index *x);
/* Bytes of address space of a leaf. */
size_t index_leaf_bytes(const struct index *x);
/* Which pages of a leaf, from `page` on, were ever touched? Reading an untouched one would make the
 * kernel map it. present[i] gets a nonzero word for those that were; all when /proc is not there. */
void index_touched_pages(const struct index *x, const u64 *leaf, u64 page, u64 count,
                         u64 *present);
/* Before the first block: how far apart the allocator's blocks are. */
void index_start(bool glibc);

#endif
