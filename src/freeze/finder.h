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
 * has an entry for each 512 bytes, which hold at most 16 of glibc's blocks. So a search is one
 * entry of the leaf and a few neighbouring addresses, two cache misses in a large heap, and both
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
};

struct finder_leaf {
    u64 lo;     /* first granule, counted from address 0 */
    u64 count;  /* granules */
    u32 *first; /* count + 1 entries */
};

struct finder {
    const u64 *addr; /* of the blocks, ascending */
    const u32 *size; /* UINT32_MAX: that many or more */
    u32 count;
    u32 *root; /* number of each region's leaf, 0 = none */
    struct finder_leaf *leaves;
    u32 leaf_count;
    u64 bytes; /* of `root` and `leaves` */
    u32 *entries;
    u64 entry_bytes;
    u64 (*big_size)(const void *context, u32 block); /* of a block whose size is UINT32_MAX */
    const void *context;
};

/* `sizes` and `addresses` stay the caller's. false when memory is out. */
bool finder_begin(struct finder *f, const u64 *addresses, const u32 *sizes, u32 count,
                  u64 (*big_size)(const void *context, u32 block), const void *context);
void finder_end(struct finder *f);

/* Entry of the leaf for an address; NULL when no block is near. */
static ALWAYS_INLINE const u32 *finder_entry(const struct finder *f, u64 address)
{
    if (address >> FINDER_ADDRESS_BITS)
        return NULL;
    u32 leaf = f->root[address >> FINDER_REGION_SHIFT];
    if (LIKELY(!leaf))
        return NULL;
    const struct finder_leaf *l = &f->leaves[leaf];
    u64 granule = (address >> FINDER_GRANULE_SHIFT) - l->lo;
    return granule < l->count ? &l->first[granule] : NULL;
}

/* The block, from 1, that holds the address; 0 = none. `entry` is finder_entry's. */
static ALWAYS_INLINE u32 finder_block(const struct finder *f, const u32 *entry, u64 address)
{
    u32 at = entry[0], end = entry[1];
    while (at < end && f->addr[at] <= address)
        at++;
    if (at == 0)
        return 0;
    u64 offset = address - f->addr[at - 1], size = f->size[at - 1];
    if (UNLIKELY(size == UINT32_MAX))
        size = f->big_size(f->context, at - 1);
    return offset < size || offset == 0 ? at : 0;
}

#endif
