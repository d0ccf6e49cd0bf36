/* SPDX-License-Identifier: MIT
 *
 * finder.h - from an address to the block that holds it, quickly: most words of a heap are asked.
 *
 * Context: frozen; inside the room only.
 * Invariant: for a granule g between the first and the last that blocks of its region touch,
 * first[g] is how many blocks begin below it, so that the block of an address in g is among
 * first[g] - 1 .. first[g + 1] - 1. Outside of those granules no block lies.
 *
 * A table like the kernel's for pages: a root entry for each 1 GiB says where its leaf is; a leaf
 * has an entry for each 512 bytes, which hold at most 16 of glibc's blocks. What a search needs to
 * know of a block, where in its region it begins and how long it is, is one word. So a search is
 * one entry of the leaf and a few neighbouring words, two cache misses in a large heap, and both
 * can be asked for ahead; halving 10 million addresses would be ten or more.
 */
#ifndef MOONHEAP_FREEZE_FINDER_H
#define MOONHEAP_FREEZE_FINDER_H

#include "base/base.h"

enum {
    FINDER_ADDRESS_BITS = 47,
    FINDER_REGION_SHIFT = 30,
    FINDER_GRANULE_SHIFT = 9,
    FINDER_REGIONS = 1 << (FINDER_ADDRESS_BITS - FINDER_REGION_SHIFT),
    FINDER_SIZE_BITS = 64 - FINDER_REGION_SHIFT,
};
#define FINDER_SIZE_MASK ((1ull << FINDER_SIZE_BITS) - 1)

struct finder_leaf {
    u64 lo;     /* first granule, counted from address 0 */
    u64 count;  /* granules */
    u32 *first; /* count + 1 entries */
    u32 base;   /* blocks that begin below the region */
};

struct finder {
    const u64 *addr; /* of the blocks, ascending */
    u32 count;
    u64 *block; /* of each: where in its region it begins, and its bytes; the mask = that or more */
    u64 block_bytes;
    u32 *root; /* number of each region's leaf, 0 = none */
    struct finder_leaf *leaves;
    u32 leaf_count;
    u64 bytes; /* of `root` and `leaves` */
    u32 *entries;
    u64 entry_bytes;
    u64 (*size)(const void *context, u32 block);
    const void *context;
    const u32 *outer; /* of each block, the one that it lies in, from 1; NULL when none does */
};

/* Blocks are counted from 0; `addresses` and `outer` stay the caller's. false when memory is out. */
bool finder_begin(struct finder *f, const u64 *addresses, const u32 *outer, u32 count,
                  u64 (*size)(const void *context, u32 block), const void *context);
void finder_end(struct finder *f);

/* The rare case of finder_block: the block before the first of the region, or a huge one. */
u32 finder_block_slowly(const struct finder *f, u32 block, u64 address, u64 *offset);

/* The address is not in the block (from 1): in which of those around it? */
u32 finder_outer(const struct finder *f, u32 block, u64 address, u64 *offset);

/* A search that is under way: the leaf, and its entry for the address. */
struct finder_place {
    const struct finder_leaf *leaf;
    const u32 *entry;
};

/* false when no block is near the address. */
static ALWAYS_INLINE bool finder_near(const struct finder *f, u64 address,
                                      struct finder_place *place)
{
    if (address >> FINDER_ADDRESS_BITS)
        return false;
    u32 leaf = f->root[address >> FINDER_REGION_SHIFT];
    if (LIKELY(!leaf))
        return false;
    place->leaf = &f->leaves[leaf];
    u64 granule = (address >> FINDER_GRANULE_SHIFT) - place->leaf->lo;
    place->entry = &place->leaf->first[granule];
    return granule < place->leaf->count;
}

/* The block, from 1, that holds the address, and how far into it that is; 0 = none. */
static ALWAYS_INLINE u32 finder_block(const struct finder *f, struct finder_place place,
                                      u64 address, u64 *offset)
{
    u32 at = place.entry[0], end = place.entry[1];
    u64 in_region = address & ((1ul << FINDER_REGION_SHIFT) - 1);
    while (at < end && f->block[at] >> FINDER_SIZE_BITS <= in_region)
        at++;
    if (UNLIKELY(at == place.leaf->base))
        return at ? finder_block_slowly(f, at - 1, address, offset) : 0;
    u64 block = f->block[at - 1], size = block & FINDER_SIZE_MASK;
    *offset = in_region - (block >> FINDER_SIZE_BITS);
    if (UNLIKELY(size == FINDER_SIZE_MASK))
        return finder_block_slowly(f, at - 1, address, offset);
    if (LIKELY(*offset < size || *offset == 0))
        return at;
    return UNLIKELY(f->outer != NULL) ? finder_outer(f, at, address, offset) : 0;
}

#endif
