/* SPDX-License-Identifier: MIT
 *
 * heap.c - a private heap in one reserved range of addresses.
 *
 * Context: agent; heap_owns and heap_free also from any thread of the program.
 * Invariant: every block of a heap lies in [base, base + reserve). The range is cut into spans of
 * 64 KiB; a span is free, holds blocks of one size class, or is the head or tail of one large
 * block. Spans below `frontier` have been in use at some time and are accessible; those above are
 * only reserved. A span whose blocks are all free goes back to the kernel at once, but for one of
 * each class.
 * Why this way: size classes with a free list inside each span, as in most allocators since
 * Bonwick's slabs (USENIX Summer 1994), are quick and keep fragmentation low; first fit over one
 * table of spans is short, and the table is small: 16 GiB are 262 144 entries. The lock is a futex
 * of our own (Drepper, "Futexes Are Tricky", mutex2) because a pthread mutex may be interposed,
 * and because a heap whose lock is held at fork is simply abandoned by the child.
 */
#include "heap.h"
#include "sys.h"

enum {
    SPAN_SHIFT = 16,
    SPAN_BYTES = 1 << SPAN_SHIFT,
    GRAIN = 16,
    SMALL_MAX = SPAN_BYTES / 2,
    /* 16, 32 ... 128, then four steps in each doubling up to SMALL_MAX */
    LINEAR_MAX = 128,
    LINEAR_CLASSES = LINEAR_MAX / GRAIN,
    CLASS_COUNT = LINEAR_CLASSES + 4 * 8,
    RESERVE_MIN = 16 << 20,
    COMMIT_SPANS = 16, /* the frontier moves by this much */
};

enum span_state {
    SPAN_FREE = 0, /* as fresh memory reads */
    SPAN_SMALL,
    SPAN_LARGE,
    SPAN_TAIL, /* of the large block before it */
};

struct span {
    u32 next, prev; /* in the list of its class's spans with room; 0 = none (span 0 is ours) */
    u32 pages;      /* LARGE: pages of the block; SMALL: pages touched */
    u16 live;       /* SMALL: blocks in use */
    u16 fresh;      /* SMALL: blocks ever handed out; those behind were never touched */
    u16 freed;      /* SMALL: 1 + number of the first freed block, 0 = none */
    u8 state;
    u8 class;
};

struct heap {
    u32 lock;     /* 0 free, 1 held, 2 held and waited for */
    u32 spans;    /* in the range, with those that hold this header */
    u32 header;   /* spans that hold it */
    u32 frontier; /* first span that is not accessible yet */
    u32 lowest;   /* no span below is free */
    u64 cap, used, mapped;
    u8 *mapping; /* what was reserved: a bit more than the range, to align it */
    u64 mapping_bytes;
    u32 room[CLASS_COUNT]; /* first span of each class with a free block, 0 = none */
    struct span table[];
};

/* --- the lock ------------------------------------------------------------------------------ */

static void lock(struct heap *h)
{
    u32 seen = 0;
    if (__atomic_compare_exchange_n(&h->lock, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(&h->lock, 2, __ATOMIC_ACQUIRE) != 0)
        sys_futex_wait(&h->lock, 2, 0);
}

static void unlock(struct heap *h)
{
    if (__atomic_exchange_n(&h->lock, 0, __ATOMIC_RELEASE) == 2)
        sys_futex_wake(&h->lock, 1);
}

/* --- size classes -------------------------------------------------------------------------- */

static u32 class_of(size_t bytes)
{
    if (bytes <= LINEAR_MAX)
        return bytes ? (u32)((bytes - 1) / GRAIN) : 0;
    u32 top = 63 - (u32)__builtin_clzl(bytes - 1); /* 2^top < bytes <= 2^(top+1), top >= 7 */
    return LINEAR_CLASSES + (top - 7) * 4 + (u32)((bytes - 1 - (1UL << top)) >> (top - 2));
}

static u32 class_bytes(u32 class)
{
    if (class < LINEAR_CLASSES)
        return (class + 1) * GRAIN;
    u32 top = 7 + (class - LINEAR_CLASSES) / 4, step = (class - LINEAR_CLASSES) % 4 + 1;
    return (1U << top) + (step << (top - 2));
}

static u32 class_blocks(u32 class)
{
    return SPAN_BYTES / class_bytes(class);
}

/* --- spans --------------------------------------------------------------------------------- */

static u8 *span_start(const struct heap *h, u32 span)
{
    return (u8 *)h + ((u64)span << SPAN_SHIFT);
}

static u32 span_of(const struct heap *h, const void *p)
{
    return (u32)((u64)((const u8 *)p - (const u8 *)h) >> SPAN_SHIFT);
}

/* Spans that a large block of so many pages takes. */
static u32 span_count(u32 pages)
{
    return (u32)((pages * PAGE_BYTES + SPAN_BYTES - 1) >> SPAN_SHIFT);
}

static bool make_accessible(struct heap *h, u32 end)
{
    if (end <= h->frontier)
        return true;
    u32 frontier = ROUND_UP(end, (u32)COMMIT_SPANS);
    frontier = frontier < h->spans ? frontier : h->spans;
    if (!sys_commit(span_start(h, h->frontier), (u64)(frontier - h->frontier) << SPAN_SHIFT))
        return false;
    h->frontier = frontier;
    return true;
}

/* First fit: `count` free spans in a row, the first at a multiple of `align` bytes; 0 = none. */
static u32 find_spans(struct heap *h, u32 count, u64 align)
{
    bool lowest_known = false;
    for (u32 at = h->lowest; at < h->spans;) {
        const struct span *s = &h->table[at];
        if (s->state != SPAN_FREE) {
            at += s->state == SPAN_LARGE ? span_count(s->pages) : 1;
            continue;
        }
        if (!lowest_known)
            h->lowest = at;
        lowest_known = true;
        u64 address = (u64)span_start(h, at);
        u64 aligned = ROUND_UP(address, align);
        u32 first = at + (u32)((aligned - address) >> SPAN_SHIFT);
        if (first >= h->spans || count > h->spans - first)
            return 0;
        u32 end = first;
        while (end < first + count && h->table[end].state == SPAN_FREE)
            end++;
        if (end == first + count)
            return make_accessible(h, end) ? first : 0;
        at = first == at ? end : at + 1;
    }
    return 0;
}

static void free_spans(struct heap *h, u32 first, u32 count, u64 touched_bytes)
{
    sys_discard(span_start(h, first), touched_bytes);
    h->mapped -= touched_bytes;
    for (u32 i = first; i < first + count; i++)
        h->table[i] = (struct span){0};
    if (first < h->lowest)
        h->lowest = first;
}

/* --- spans with room, one list for each class ---------------------------------------------- */

static void list_push(struct heap *h, u32 class, u32 span)
{
    u32 head = h->room[class];
    h->table[span].next = head;
    h->table[span].prev = 0;
    if (head)
        h->table[head].prev = span;
    h->room[class] = span;
}

static void list_remove(struct heap *h, u32 class, u32 span)
{
    struct span *s = &h->table[span];
    if (s->prev)
        h->table[s->prev].next = s->next;
    else
        h->room[class] = s->next;
    if (s->next)
        h->table[s->next].prev = s->prev;
    s->next = s->prev = 0;
}

/* --- small blocks -------------------------------------------------------------------------- */

static void *alloc_small(struct heap *h, u32 class)
{
    u32 bytes = class_bytes(class);
    u32 span = h->room[class];
    if (!span) {
        span = find_spans(h, 1, SPAN_BYTES);
        if (!span)
            return NULL;
        h->table[span].state = SPAN_SMALL;
        h->table[span].class = (u8)class;
        list_push(h, class, span);
    }
    struct span *s = &h->table[span];
    u8 *start = span_start(h, span);
    u8 *block;
    if (s->freed) {
        block = start + (u64)(s->freed - 1U) * bytes;
        s->freed = *(u16 *)block;
    } else {
        block = start + (u64)s->fresh++ * bytes;
        u32 pages = (u32)(((u64)s->fresh * bytes + PAGE_BYTES - 1) / PAGE_BYTES);
        h->mapped += (pages - s->pages) * PAGE_BYTES;
        s->pages = pages;
    }
    s->live++;
    h->used += bytes;
    if (!s->freed && s->fresh == class_blocks(class))
        list_remove(h, class, span);
    return block;
}

static void free_small(struct heap *h, u32 span, void *p)
{
    struct span *s = &h->table[span];
    u32 class = s->class, bytes = class_bytes(class);
    u64 offset = (u64)((u8 *)p - span_start(h, span));
    if (offset % bytes != 0 || offset / bytes >= s->fresh || !s->live)
        return;
    bool was_full = !s->freed && s->fresh == class_blocks(class);
    *(u16 *)p = s->freed;
    s->freed = (u16)(offset / bytes + 1);
    s->live--;
    h->used -= bytes;
    if (was_full)
        list_push(h, class, span);
    if (!s->live && (s->next || s->prev)) {
        list_remove(h, class, span);
        free_spans(h, span, 1, s->pages * PAGE_BYTES);
    }
}

/* --- large blocks -------------------------------------------------------------------------- */

static void *alloc_large(struct heap *h, u64 bytes, u64 align)
{
    u32 pages = (u32)(ROUND_UP(bytes, PAGE_BYTES) / PAGE_BYTES);
    u32 count = span_count(pages);
    u32 first = find_spans(h, count, align);
    if (!first)
        return NULL;
    h->table[first].state = SPAN_LARGE;
    h->table[first].pages = pages;
    for (u32 i = first + 1; i < first + count; i++)
        h->table[i].state = SPAN_TAIL;
    h->used += pages * PAGE_BYTES;
    h->mapped += pages * PAGE_BYTES;
    return span_start(h, first);
}

static void free_large(struct heap *h, u32 span, const void *p)
{
    if (p != span_start(h, span))
        return;
    u32 pages = h->table[span].pages;
    h->used -= pages * PAGE_BYTES;
    free_spans(h, span, span_count(pages), pages * PAGE_BYTES);
}

/* Grows or shrinks a large block where it lies. */
static bool resize_large(struct heap *h, u32 span, u64 bytes)
{
    u32 pages = (u32)(ROUND_UP(bytes, PAGE_BYTES) / PAGE_BYTES), old = h->table[span].pages;
    u32 count = span_count(pages), old_count = span_count(old);
    if (pages > old) {
        if (h->used + (pages - old) * PAGE_BYTES > h->cap || span + count > h->spans)
            return false;
        for (u32 i = span + old_count; i < span + count; i++)
            if (h->table[i].state != SPAN_FREE)
                return false;
        if (!make_accessible(h, span + count))
            return false;
        for (u32 i = span + old_count; i < span + count; i++)
            h->table[i].state = SPAN_TAIL;
        h->mapped += (pages - old) * PAGE_BYTES;
        h->used += (pages - old) * PAGE_BYTES;
    } else {
        h->used -= (old - pages) * PAGE_BYTES;
        h->table[span].pages = pages;
        free_spans(h, span + count, old_count - count, 0);
        sys_discard(span_start(h, span) + pages * PAGE_BYTES, (old - pages) * PAGE_BYTES);
        h->mapped -= (old - pages) * PAGE_BYTES;
    }
    h->table[span].pages = pages;
    return true;
}

/* --- the door ------------------------------------------------------------------------------ */

struct heap *heap_create(u64 reserve_bytes, u64 cap_bytes)
{
    u8 *mapping = NULL;
    u64 reserve = ROUND_UP(reserve_bytes > RESERVE_MIN ? reserve_bytes : RESERVE_MIN,
                           (u64)SPAN_BYTES);
    for (; reserve >= RESERVE_MIN; reserve = ROUND_DOWN(reserve / 2, (u64)SPAN_BYTES)) {
        mapping = sys_reserve(reserve + SPAN_BYTES);
        if (mapping)
            break;
    }
    if (!mapping)
        return NULL;
    u32 spans = (u32)(reserve >> SPAN_SHIFT);
    u64 header_bytes = sizeof(struct heap) + spans * sizeof(struct span);
    struct heap *h = (struct heap *)ROUND_UP((u64)mapping, (u64)SPAN_BYTES);
    u32 header = (u32)((header_bytes + SPAN_BYTES - 1) >> SPAN_SHIFT);
    if (!sys_commit(h, (u64)header << SPAN_SHIFT)) {
        sys_unmap(mapping, reserve + SPAN_BYTES);
        return NULL;
    }
    h->spans = spans;
    h->header = h->frontier = h->lowest = header;
    h->cap = cap_bytes ? cap_bytes : UINT64_MAX;
    h->mapping = mapping;
    h->mapping_bytes = reserve + SPAN_BYTES;
    for (u32 i = 0; i < header; i++)
        h->table[i].state = SPAN_TAIL; /* never handed out */
    return h;
}

void heap_destroy(struct heap *h)
{
    if (h)
        sys_unmap(h->mapping, h->mapping_bytes);
}

void *heap_alloc(struct heap *h, size_t bytes)
{
    return heap_alloc_aligned(h, GRAIN, bytes);
}

void *heap_alloc_aligned(struct heap *h, size_t align, size_t bytes)
{
    if (bytes > (u64)h->spans << SPAN_SHIFT || align > (u64)h->spans << SPAN_SHIFT)
        return NULL;
    u64 rounded = bytes;
    if (align > GRAIN) { /* a power of two is a class of its own, at multiples of itself */
        u64 least = bytes > align ? bytes : align;
        rounded = least <= SMALL_MAX ? 1UL << (64 - __builtin_clzl(least - 1)) : least;
    }
    bool small = rounded <= SMALL_MAX;
    u64 costs = small ? class_bytes(class_of(rounded)) : ROUND_UP(bytes, PAGE_BYTES);
    void *p = NULL;
    lock(h);
    if (costs <= h->cap && h->used <= h->cap - costs)
        p = small ? alloc_small(h, class_of(rounded))
                  : alloc_large(h, costs ? costs : PAGE_BYTES,
                                align > SPAN_BYTES ? align : SPAN_BYTES);
    unlock(h);
    return p;
}

void heap_free(struct heap *h, void *p)
{
    if (!p || !heap_owns(h, p))
        return;
    u32 span = span_of(h, p);
    lock(h);
    switch (h->table[span].state) {
    case SPAN_SMALL:
        free_small(h, span, p);
        break;
    case SPAN_LARGE:
        free_large(h, span, p);
        break;
    default: /* not a block: leave it, nothing good can come of it */
        break;
    }
    unlock(h);
}

size_t heap_block_bytes(const struct heap *h, const void *p)
{
    const struct span *s = &h->table[span_of(h, p)];
    return s->state == SPAN_SMALL ? class_bytes(s->class) : s->pages * PAGE_BYTES;
}

void *heap_realloc(struct heap *h, void *p, size_t bytes)
{
    if (!p)
        return heap_alloc(h, bytes);
    size_t old = heap_block_bytes(h, p);
    u32 span = span_of(h, p);
    if (h->table[span].state == SPAN_SMALL) {
        if (bytes <= SMALL_MAX && class_bytes(class_of(bytes)) == old)
            return p;
    } else if (bytes > SMALL_MAX && bytes <= (u64)h->spans << SPAN_SHIFT) {
        lock(h);
        bool done = resize_large(h, span, bytes);
        unlock(h);
        if (done)
            return p;
    }
    void *copy = heap_alloc(h, bytes);
    if (!copy)
        return NULL;
    __builtin_memcpy(copy, p, old < bytes ? old : bytes);
    heap_free(h, p);
    return copy;
}

bool heap_owns(const struct heap *h, const void *p)
{
    return (u64)p - (u64)h < heap_range_bytes(h);
}

u64 heap_range_bytes(const struct heap *h)
{
    return (u64)h->spans << SPAN_SHIFT;
}

u64 heap_used_bytes(const struct heap *h)
{
    return PEEK(&h->used);
}

u64 heap_mapped_bytes(const struct heap *h)
{
    u64 header = sizeof(struct heap) + PEEK(&h->frontier) * sizeof(struct span);
    return ROUND_UP(header, PAGE_BYTES) + PEEK(&h->mapped);
}
