/* SPDX-License-Identifier: MIT
 *
 * index.c - leaves of an index, and listing it.
 *
 * Context: hot for making leaves; the rest agent and frozen.
 */
#include <sys/ioctl.h>

#include "index.h"

/* Nothing in them is set before it is used: what is not zero would put the roots, a megabyte each,
 * into the library's file. */
struct index index_main, index_small, index_large, index_custom;

enum { PAGE_SLOTS = PAGE_BYTES / sizeof(u64), READ_TRIES = 1000 };

static bool any_leaf; /* before the first one, the tables need not be looked at */

u64 index_leaf_slots(const struct index *x)
{
    return 1ul << (INDEX_REGION_BITS - index_shift(x));
}

/* One page more than the region needs: the last block's second word may lie behind it. */
static size_t slots_bytes(const struct index *x)
{
    return index_leaf_slots(x) * sizeof(u64) + PAGE_BYTES;
}

/* Behind each leaf a byte for each page of addresses, see custom.c? */
static bool has_page_marks(const struct index *x)
{
    return x == &index_custom;
}

size_t index_leaf_bytes(const struct index *x)
{
    return slots_bytes(x) + (has_page_marks(x) ? 1ul << (INDEX_REGION_BITS - 12) : 0);
}

u8 *index_behind_leaf(const struct index *x, u64 address)
{
    u64 *leaf = index_leaf(x, address >> INDEX_REGION_BITS);
    return leaf ? (u8 *)leaf + slots_bytes(x) : NULL;
}

static const struct index_table *table_of(const struct index *x, u64 table)
{
    return table ? ACQUIRE(&x->far[table]) : &x->near;
}

COLD u64 *index_far_leaf(const struct index *x, u64 region)
{
    const struct index_table *table =
        region < INDEX_REGIONS ? table_of(x, region / INDEX_NEAR_REGIONS) : NULL;
    return table ? ACQUIRE(&table->leaf[region % INDEX_NEAR_REGIONS]) : NULL;
}

/* Maps memory for `*place`, unless another thread has just done so; false when it is refused. */
static bool fill(void **place, size_t bytes)
{
    void *none = NULL, *made = sys_map_sparse(bytes);
    if (!made)
        return false;
    if (!__atomic_compare_exchange_n(place, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        sys_unmap(made, bytes);
    return true;
}

COLD u64 *index_make_leaf(struct index *x, u64 address)
{
    u64 region = address >> INDEX_REGION_BITS, at = region % INDEX_NEAR_REGIONS;
    struct index_table *table = &x->near;
    if (region >= INDEX_REGIONS)
        return NULL;
    sys_small_pages(x, sizeof *x);
    if (region >= INDEX_NEAR_REGIONS) {
        struct index_table **far = &x->far[region / INDEX_NEAR_REGIONS];
        if (!ACQUIRE(far) && !fill((void **)far, ROUND_UP(sizeof **far, PAGE_BYTES)))
            return NULL;
        table = ACQUIRE(far);
    }
    if (!fill((void **)&table->leaf[at], index_leaf_bytes(x)))
        return NULL;
    POKE(&any_leaf, true);
    __atomic_fetch_or(&table->made[at / 64], 1ul << at % 64, __ATOMIC_RELEASE);
    return index_slot(x, address);
}

u64 index_next_region(const struct index *x, u64 region)
{
    while (region < INDEX_REGIONS && PEEK(&any_leaf)) {
        const struct index_table *table = table_of(x, region / INDEX_NEAR_REGIONS);
        u64 at = region % INDEX_NEAR_REGIONS;
        u64 bits = table ? ACQUIRE(&table->made[at / 64]) >> at % 64 : 0;
        if (bits)
            return region + (u64)__builtin_ctzl(bits);
        region = table ? ROUND_UP(region + 1, 64ul)
                       : ROUND_UP(region + 1, (u64)INDEX_NEAR_REGIONS);
    }
    return INDEX_REGIONS;
}

void index_clear(struct index *x)
{
    for (u64 i = 0; (i = index_next_region(x, i)) < INDEX_REGIONS; i++)
        sys_discard(index_leaf(x, i), index_leaf_bytes(x));
}

static void decode(const struct index *x, u64 region, u64 slot, u64 word, u64 next,
                   struct track_block *b)
{
    b->addr = region << INDEX_REGION_BITS | slot << index_shift(x);
    if (index_shift(x) > 4)
        b->addr |= (word >> 1 & 1) << 4;
    b->size = index_long(word) ? next >> 1 : word >> 2 & 63;
    b->stack = index_stack(word);
    b->thread = index_thread(word);
    b->birth = index_epoch(word);
}

/* Reads the record at a slot that its owner may change at any moment. The tries only end for a
 * block that the program tells of in two threads at once. */
static bool read_slot(const struct index *x, u64 region, const u64 *leaf, u64 slot,
                      struct track_block *b)
{
    const u64 *at = leaf + slot;
    for (u32 i = 0; i < READ_TRIES; i++) {
        u64 word = ACQUIRE(at);
        if (!(word & 1))
            return false;
        u64 next = index_long(word) ? ACQUIRE(at + 1) : 0;
        if (PEEK(at) != word || (index_long(word) && (next == 0 || (next & 1))))
            continue;
        decode(x, region, slot, word, next, b);
        return true;
    }
    return false;
}

bool index_read(const struct index *x, u64 address, struct track_block *b)
{
    u64 region = address >> INDEX_REGION_BITS;
    const u64 *slot = index_slot(x, address), *leaf = index_leaf(x, region);
    return slot && read_slot(x, region, leaf, (u64)(slot - leaf), b);
}

/* PAGEMAP_SCAN of Linux 6.7, see Documentation/admin-guide/mm/pagemap.rst. */
struct page_region {
    u64 start, end, categories;
};
struct pagemap_scan {
    u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
    u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
enum { PAGE_IS_PRESENT = 1 << 3, PAGE_IS_SWAPPED = 1 << 4 };
#define PAGEMAP_SCAN _IOWR('f', 16, struct pagemap_scan)

/* The first page of the leaf from `page` on that was touched, or `end`. A leaf is mostly untouched,
 * and 256 MiB of nothing are a thousand system calls else; older kernels cannot say it: `page`. */
static u64 skip_untouched(int pagemap, const u64 *leaf, u64 page, u64 end)
{
    struct page_region found;
    struct pagemap_scan scan = {
        .size = sizeof scan,
        .start = (u64)(uintptr_t)leaf + page * PAGE_BYTES,
        .end = (u64)(uintptr_t)leaf + end * PAGE_BYTES,
        .vec = (u64)(uintptr_t)&found,
        .vec_len = 1,
        .max_pages = 1,
        .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        .return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
    };
    long count = sys_call(SYS_ioctl, pagemap, PAGEMAP_SCAN, &scan);
    if (sys_failed(count))
        return page;
    return count ? (found.start - (u64)(uintptr_t)leaf) / PAGE_BYTES : end;
}

/* Lets the window begin at a page of the leaf, or at the next one that was touched. */
static void look(const struct index *x, struct index_window *w, const u64 *leaf, u64 page)
{
    u64 end = index_leaf_slots(x) / PAGE_SLOTS;
    bool marks = has_page_marks(x);
    int fd = marks ? -1 : sys_open("/proc/thread-self/pagemap", 0, 0);
    w->leaf = leaf;
    w->from = page;
    w->first = fd < 0 ? page : skip_untouched(fd, leaf, page, end);
    w->count = end - w->first < INDEX_WINDOW_PAGES ? end - w->first : INDEX_WINDOW_PAGES;
    size_t bytes = w->count * sizeof(u64);
    long got = fd < 0 ? -1
                      : sys_pread(fd, w->present, bytes,
                                  ((u64)leaf / PAGE_BYTES + w->first) * sizeof(u64));
    if (fd >= 0)
        sys_close(fd);
    for (u64 i = 0; i < w->count; i++) /* present or swapped out */
        w->present[i] = got == (long)bytes ? w->present[i] >> 62 : 1;
    const u8 *used = (const u8 *)leaf + slots_bytes(x) + w->first;
    for (u64 i = 0; marks && i < w->count; i++)
        w->present[i] = PEEK(&used[i]);
}

bool index_touched(const struct index *x, struct index_window *w, const u64 *leaf, u64 page)
{
    if (w->leaf != leaf || page < w->from || page >= w->first + w->count)
        look(x, w, leaf, page);
    return page >= w->first && w->present[page - w->first] != 0;
}

u64 index_own_bytes(const struct index *x)
{
    struct index_window w = {0};
    u64 touched = 0;
    for (u64 i = 0; (i = index_next_region(x, i)) < INDEX_REGIONS; i++)
        for (u64 page = 0; page < index_leaf_slots(x) / PAGE_SLOTS; page++)
            touched += index_touched(x, &w, index_leaf(x, i), page);
    return touched * PAGE_BYTES;
}

u32 index_list(const struct index *x, struct index_window *w, u64 *from, u64 to,
               struct track_block *out, u32 max)
{
    const u32 shift = index_shift(x);
    const u64 region_mask = (1ul << INDEX_REGION_BITS) - 1;
    u32 n = 0;
    for (u64 region = *from >> INDEX_REGION_BITS; (region = index_next_region(x, region)) <
                                                  INDEX_REGIONS;
         region++) {
        const u64 *leaf = index_leaf(x, region);
        u64 start = region << INDEX_REGION_BITS;
        if (start >= to)
            break;
        u64 slot = *from > start ? (*from & region_mask) >> shift : 0;
        u64 end = to - start > region_mask ? index_leaf_slots(x)
                                           : ((to - start - 1) >> shift) + 1;
        while (slot < end) {
            u64 page = slot / PAGE_SLOTS, stop = (page + 1) * PAGE_SLOTS;
            if (!index_touched(x, w, leaf, page)) {
                slot = stop;
                continue;
            }
            for (stop = stop < end ? stop : end; slot < stop; slot++) {
                if (!(PEEK(&leaf[slot]) & 1))
                    continue;
                if (n == max)
                    return n;
                if (read_slot(x, region, leaf, slot, &out[n]) && out[n].addr >= *from &&
                    out[n].addr < to)
                    *from = out[n++].addr + 1;
            }
        }
    }
    *from = to;
    return n;
}
