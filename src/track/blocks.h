/* SPDX-License-Identifier: MIT
 *
 * blocks.h - the live blocks of the malloc family: which index has the record of which block.
 *
 * Context: hot; listing: agent, frozen.
 * Invariant: no two blocks that one index is to hold can be so close that they share a slot,
 * whatever the allocator; that is what the choice is made by.
 *   main   a slot for each 32 bytes. glibc's blocks are at least 32 bytes apart. Of other
 *          allocators only blocks of more than 16 bytes at a multiple of 16: the next one begins at
 *          least 17 bytes on, so 32. One of 56 bytes and more has the second slot to itself.
 *   small  a slot for each 8 bytes: the rest of theirs. jemalloc, tcmalloc and mimalloc have blocks
 *          of 8 and of 16 bytes, each sort in pages of its own, so this is as dense as it can be.
 *   large  a slot for each 2 KiB: 64 KiB and more, at the beginning of a page or 16 bytes behind,
 *          as they are mapped singly. A page of the main index for each of them would be as if the
 *          block were 4 KiB larger; this is 8 bytes in a page that covers 1 MiB.
 * A block that is given back tells no size, but its address says whether it can be large; for small
 * ones there is a hint for each page of addresses, modulo 512 MiB, that one has ever begun there.
 * A hint that is wrong costs a second look.
 */
#ifndef MOONHEAP_TRACK_BLOCKS_H
#define MOONHEAP_TRACK_BLOCKS_H

#include "index.h"

enum {
    BLOCKS_LARGE_BYTES = 64 << 10,
    BLOCKS_SMALL_BYTES = 16,
    BLOCKS_HINTS = 1 << 17,
};

/* Blocks of fewer bytes are small; 0 with glibc, where none are. */
extern HIDDEN u64 blocks_small_below;
extern HIDDEN u8 blocks_small_hint[BLOCKS_HINTS];

/* Before the first block. */
void blocks_start(bool glibc);

bool blocks_put_small(u64 address, struct index_record r);
bool blocks_put_large(u64 address, struct index_record r);
struct index_record blocks_take_large(u64 address);
struct index_record blocks_take_small(u64 address);

static ALWAYS_INLINE bool blocks_begins_page(u64 address)
{
    return (address & (PAGE_BYTES - 1) & ~16ul) == 0;
}

static ALWAYS_INLINE u8 *blocks_hint_of(u64 address)
{
    return &blocks_small_hint[address / PAGE_BYTES % BLOCKS_HINTS];
}

/* Slot of such a block, where it surely has it in that index and it is there; else NULL. */
static ALWAYS_INLINE u64 *blocks_slot_to_put(u64 address, u64 size)
{
    if (UNLIKELY(size >= BLOCKS_LARGE_BYTES))
        return NULL;
    if (UNLIKELY(size < PEEK(&blocks_small_below) || (address & 8)))
        return PEEK(blocks_hint_of(address)) ? index_slot_at_once(&index_small, address) : NULL;
    return index_slot_at_once(&index_main, address);
}

/* Slot that a block most likely has. */
static ALWAYS_INLINE u64 *blocks_slot_to_take(u64 address)
{
    if (UNLIKELY(blocks_begins_page(address)))
        return NULL;
    if (UNLIKELY(PEEK(&blocks_small_below) != 0) && PEEK(blocks_hint_of(address)))
        return index_slot_at_once(&index_small, address);
    return index_slot_at_once(&index_main, address);
}

/* Records a block; false when there is no room for its address. */
static ALWAYS_INLINE bool blocks_put(u64 address, struct index_record r)
{
    if (UNLIKELY(r.size >= BLOCKS_LARGE_BYTES) && blocks_begins_page(address))
        return blocks_put_large(address, r);
    if (UNLIKELY(r.size < PEEK(&blocks_small_below) || (address & 8)))
        return blocks_put_small(address, r);
    return index_put(&index_main, address, r);
}

/* Erases the block that begins at `address` and returns what was known of it; a word of 0 when none
 * does. */
static ALWAYS_INLINE struct index_record blocks_take(u64 address)
{
    struct index_record r;
    if (UNLIKELY(blocks_begins_page(address)) && (r = blocks_take_large(address)).word)
        return r;
    if (UNLIKELY(PEEK(&blocks_small_below)) && PEEK(blocks_hint_of(address)) &&
        (r = blocks_take_small(address)).word)
        return r;
    return index_take(&index_main, address);
}

/* The index that has the block that begins at `address`; NULL when none does. */
struct index *blocks_index(u64 address, struct track_block *b);

void blocks_clear(void);
u64 blocks_own_bytes(void);

#endif
