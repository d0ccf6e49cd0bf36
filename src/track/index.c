/* SPDX-License-Identifier: MIT
 *
 * index.c - leaves of the index, and listing it.
 *
 * Context: hot for making leaves; the rest agent and frozen.
 */
#include "index.h"

/* Nothing in them is set before index_start: what is not zero would put both roots, a megabyte
 * each, into the library's file. */
struct index index_malloced, index_custom;

enum { PAGE_SLOTS = PAGE_BYTES / sizeof(u64), WINDOW_PAGES = 256, READ_TRIES = 1000 };

/* One page more than the region needs: the last block's second word may lie behind it. */
size_t index_leaf_bytes(const struct index *x)
{
    return (8ul << (INDEX_REGION_BITS - x->shift)) + PAGE_BYTES + x->more_bytes;
}

static u64 leaf_slots(const struct index *x)
{
    return 1ul << (INDEX_REGION_BITS - x->shift);
}

COLD u64 *index_make_leaf(struct index *x, u64 address)
{
    if (address >> INDEX_ADDRESS_BITS)
        return NULL;
    u64 **place = &x->root[address >> INDEX_REGION_BITS], *none = NULL;
    u64 *leaf = sys_map(index_leaf_bytes(x));
    if (!leaf)
        return NULL;
    if (!__atomic_compare_exchange_n(place, &none, leaf, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        sys_unmap(leaf, index_leaf_bytes(x));
    return index_slot(x, address);
}

void index_start(bool glibc)
{
    index_malloced.shift = glibc ? 5 : 3;
    /* The program's own blocks may be 8 bytes apart; custom.c says what stands behind a leaf. */
    index_custom.shift = 3;
    index_custom.more_bytes = 1ul << (INDEX_REGION_BITS - 12);
}

void index_clear(struct index *x)
{
    for (u64 i = 0; i < COUNT_OF(x->root); i++)
        if (PEEK(&x->root[i]))
            sys_discard(x->root[i], index_leaf_bytes(x));
}

static void decode(const struct index *x, u64 region, u64 slot, u64 word, u64 next,
                   struct track_block *b)
{
    b->addr = region << INDEX_REGION_BITS | slot << x->shift;
    if (x->shift == 5)
        b->addr |= (word >> 1 & 1) << 4;
    b->size = index_long(word) ? next >> 1 : word >> 2 & 63;
    b->stack = index_stack(word);
    b->thread = index_thread(word);
    b->birth = index_epoch(word);
}

/* Reads the record at a slot that its owner may change at any moment. The tries only end for a
 * block that the program tells of in two threads at once. */
static bool read_slot(const struct index *x, u64 region, u64 slot, struct track_block *b)
{
    const u64 *at = x->root[region] + slot;
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
    const u64 *slot = index_slot(x, address);
    u64 region = address >> INDEX_REGION_BITS;
    return slot && read_slot(x, region, (u64)(slot - x->root[region]), b);
}

void index_touched_pages(const struct index *x, const u64 *leaf, u64 page, u64 count, u64 *present)
{
    if (x->more_bytes) { /* one byte a page of slots says it, see custom.c */
        const u8 *used = (const u8 *)leaf + index_leaf_bytes(x) - x->more_bytes + page;
        for (u64 i = 0; i < count; i++)
            present[i] = PEEK(&used[i]);
        return;
    }
    int fd = sys_open("/proc/thread-self/pagemap", 0, 0);
    size_t bytes = count * sizeof(u64);
    long got =
        fd < 0 ? -1 : sys_pread(fd, present, bytes, ((u64)leaf / PAGE_BYTES + page) * sizeof(u64));
    if (fd >= 0)
        sys_close(fd);
    for (u64 i = 0; i < count; i++)
        present[i] = got == (long)bytes ? present[i] >> 62 : 1; /* present or swapped out */
}

u64 index_own_bytes(const struct index *x)
{
    u64 present[WINDOW_PAGES], touched = 0;
    for (u64 region = 0; region < COUNT_OF(x->root); region++) {
        const u64 *leaf = ACQUIRE(&x->root[region]);
        u64 pages = leaf ? leaf_slots(x) / PAGE_SLOTS : 0;
        for (u64 page = 0; page < pages; page += WINDOW_PAGES) {
            u64 count = pages - page < WINDOW_PAGES ? pages - page : WINDOW_PAGES;
            index_touched_pages(x, leaf, page, count, present);
            for (u64 i = 0; i < count; i++)
                touched += present[i] != 0;
        }
    }
    return touched * PAGE_BYTES;
}

/* Lists blocks of one page of a leaf from `from_slot` on. */
static u32 list_page(const struct index *x, u64 region, u64 page, u64 from_slot,
                     struct track_block *out, u32 max, u64 *next_slot)
{
    u32 n = 0;
    u64 slot = from_slot > page * PAGE_SLOTS ? from_slot : page * PAGE_SLOTS;
    u64 end = (page + 1) * PAGE_SLOTS;
    for (; slot < end && n < max; slot++)
        if (read_slot(x, region, slot, &out[n]))
            n++;
    *next_slot = slot;
    return n;
}

u32 track_list(struct track_cursor *c, struct track_block *out, u32 max)
{
    const struct index *x = c->custom ? &index_custom : &index_malloced;
    u64 present[WINDOW_PAGES];
    u32 n = 0;
    for (u64 region = c->next >> INDEX_REGION_BITS; region < COUNT_OF(x->root); region++) {
        const u64 *leaf = ACQUIRE(&x->root[region]);
        if (!leaf)
            continue;
        u64 start = region << INDEX_REGION_BITS;
        u64 slot = c->next > start ? (c->next - start) >> x->shift : 0;
        u64 pages = leaf_slots(x) / PAGE_SLOTS;
        u64 page = slot / PAGE_SLOTS;
        while (page < pages) {
            u64 count = pages - page < WINDOW_PAGES ? pages - page : WINDOW_PAGES;
            index_touched_pages(x, leaf, page, count, present);
            for (u64 i = 0; i < count; i++, page++) {
                if (!present[i])
                    continue;
                n += list_page(x, region, page, slot, out + n, max - n, &slot);
                if (n == max) {
                    c->next = start | slot << x->shift;
                    if (slot == leaf_slots(x))
                        c->next = start + (1ul << INDEX_REGION_BITS);
                    return n;
                }
            }
        }
        c->next = start + (1ul << INDEX_REGION_BITS);
    }
    c->next = (u64)COUNT_OF(x->root) << INDEX_REGION_BITS;
    return n;
}

bool track_at(u64 address, bool custom, struct track_block *out)
{
    return index_read(custom ? &index_custom : &index_malloced, address, out) &&
           out->addr == address;
}
