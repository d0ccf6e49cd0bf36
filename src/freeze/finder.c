/* SPDX-License-Identifier: MIT
 *
 * finder.c - makes the table of finder.h.
 *
 * Context: frozen.
 * Invariant: as in finder.h; the table is made in two passes over the blocks, which first find how
 * far each leaf reaches and then fill it.
 */
#include "finder.h"

enum { GRANULES = 1 << (FINDER_REGION_SHIFT - FINDER_GRANULE_SHIFT) };

/* Makes the leaf of a region reach from one granule to another, both in it. */
static void reach(struct finder *f, u64 first, u64 last)
{
    u32 *leaf = &f->root[first / GRANULES];
    if (!*leaf) {
        *leaf = ++f->leaf_count;
        f->leaves[*leaf] = (struct finder_leaf){.lo = first, .count = last - first + 1};
        return;
    }
    struct finder_leaf *l = &f->leaves[*leaf]; /* blocks ascend, so it begins where it must */
    if (last - l->lo + 1 > l->count)
        l->count = last - l->lo + 1;
}

static void reach_all(struct finder *f)
{
    u64 in_region = (1ul << FINDER_REGION_SHIFT) - 1;
    for (u32 i = 0; i < f->count; i++) {
        u64 size = f->size(f->context, i), end = f->addr[i] + (size ? size - 1 : 0);
        f->block[i] = (f->addr[i] & in_region) << FINDER_SIZE_BITS |
                      (size < FINDER_SIZE_MASK ? size : FINDER_SIZE_MASK);
        if (end >> FINDER_ADDRESS_BITS)
            continue;
        u64 first = f->addr[i] >> FINDER_GRANULE_SHIFT, last = end >> FINDER_GRANULE_SHIFT;
        for (; first / GRANULES != last / GRANULES; first = (first / GRANULES + 1) * GRANULES)
            reach(f, first, first | (GRANULES - 1));
        reach(f, first, last);
    }
}

static bool make_room(struct finder *f)
{
    u64 entries = 0;
    for (u32 i = 1; i <= f->leaf_count; i++)
        entries += f->leaves[i].count + 1;
    f->entry_bytes = ROUND_UP(entries * sizeof(u32) + 1, PAGE_BYTES);
    f->entries = sys_map(f->entry_bytes);
    u32 *next = f->entries;
    for (u32 i = 1; next && i <= f->leaf_count; i++) {
        f->leaves[i].first = next;
        next += f->leaves[i].count + 1;
    }
    return f->entries != NULL;
}

/* Leaves are numbered in the order of the addresses that they are for. */
static void fill(struct finder *f)
{
    u32 below = 0;
    for (u32 i = 1; i <= f->leaf_count; i++) {
        struct finder_leaf *l = &f->leaves[i];
        u64 region = ROUND_DOWN(l->lo, (u64)GRANULES) << FINDER_GRANULE_SHIFT;
        while (below < f->count && f->addr[below] < region)
            below++;
        l->base = below;
        for (u64 g = 0; g <= l->count; g++) {
            u64 start = (l->lo + g) << FINDER_GRANULE_SHIFT;
            while (below < f->count && f->addr[below] < start)
                below++;
            l->first[g] = below;
        }
    }
}

u32 finder_block_slowly(const struct finder *f, u32 block, u64 address, u64 *offset)
{
    *offset = address - f->addr[block];
    if (*offset < f->size(f->context, block) || *offset == 0)
        return block + 1;
    return f->outer ? finder_outer(f, block + 1, address, offset) : 0;
}

u32 finder_outer(const struct finder *f, u32 block, u64 address, u64 *offset)
{
    while ((block = f->outer[block - 1]) != 0) {
        *offset = address - f->addr[block - 1];
        if (*offset < f->size(f->context, block - 1))
            break;
    }
    return block;
}

bool finder_begin(struct finder *f, const u64 *addresses, const u32 *outer, u32 count,
                  u64 (*size)(const void *context, u32 block), const void *context)
{
    *f = (struct finder){.addr = addresses,
                         .count = count,
                         .size = size,
                         .context = context,
                         .outer = outer};
    f->bytes = ROUND_UP(FINDER_REGIONS * sizeof(u32) +
                            (FINDER_REGIONS + 1) * sizeof(struct finder_leaf),
                        PAGE_BYTES);
    f->leaves = sys_map(f->bytes);
    f->block_bytes = ROUND_UP(count * sizeof(u64) + 1, PAGE_BYTES);
    f->block = sys_map(f->block_bytes);
    if (!f->leaves || !f->block)
        return false;
    f->root = (u32 *)(f->leaves + FINDER_REGIONS + 1);
    reach_all(f);
    if (!make_room(f))
        return false;
    fill(f);
    return true;
}

void finder_end(struct finder *f)
{
    if (f->leaves)
        sys_unmap(f->leaves, f->bytes);
    if (f->block)
        sys_unmap(f->block, f->block_bytes);
    if (f->entries)
        sys_unmap(f->entries, f->entry_bytes);
}
