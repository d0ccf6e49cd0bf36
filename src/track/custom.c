/* SPDX-License-Identifier: MIT
 *
 * custom.c - see custom.h.
 *
 * Context: hot.
 * Invariant: as long as the program has told of no block, nobody comes here: `record_state` is
 * RECORD_ON_CUSTOM from the first one on, and the ways into the recorder then take a longer road.
 * So who does not use this pays nothing, not even a test.
 *
 * An address is kept to a multiple of 8. A record of 56 bytes and more takes two slots, so of a
 * block that begins 8 bytes into such a one there is no place for a record: it counts as lost.
 * Behind each leaf of the index there is a byte for each page of address space, set once a block
 * began there: a free of a large block, and a listing, look only where something can be.
 */
#include "custom.h"

static bool told;

bool custom_told(void)
{
    return PEEK(&told);
}

static u64 place_of(const void *p)
{
    return ROUND_DOWN((u64)p, 8ul);
}

static void misuse(struct thread *t)
{
    POKE(&t->misuses, t->misuses + 1);
}

static void count(struct thread *t, i64 sign, u64 size)
{
    u64 interval = record_sample_bytes;
    u64 blocks = interval ? sample_blocks_for(size, interval) : 1;
    u64 bytes = interval ? sample_bytes_for(size, interval) : size;
    POKE(&t->custom_blocks, t->custom_blocks + sign * (i64)blocks);
    POKE(&t->custom_bytes, t->custom_bytes + sign * (i64)bytes);
}

static bool take(struct thread *t, u64 address, struct index_record *r)
{
    *r = index_take(&index_custom, address);
    if (!r->word)
        return false;
    count(t, -1, r->size);
    return true;
}

static bool begins_long(u64 address)
{
    const u64 *slot = index_slot(&index_custom, address);
    u64 word = slot ? PEEK(slot) : 0;
    return (word & 1) && index_long(word);
}

static void put(struct thread *t, u64 address, struct index_record r)
{
    struct index_record old;
    u64 region = (1ul << INDEX_REGION_BITS) - 1;
    if (take(t, address, &old))
        misuse(t);
    if (index_long(r.word) && ((address + 8) & region) && take(t, address + 8, &old))
        misuse(t);
    bool room = index_slot(&index_custom, address) || index_make_leaf(&index_custom, address);
    if (!room || ((address & region) && begins_long(address - 8))) {
        POKE(&t->lost, t->lost + 1);
        return;
    }
    u8 *used = &index_behind_leaf(&index_custom, address)[(address & region) / PAGE_BYTES];
    if (!PEEK(used))
        POKE(used, 1);
    index_put(&index_custom, address, r);
    count(t, 1, r.size);
}

void custom_birth(struct thread *t, const void *p, u64 size, const struct walk_origin *origin)
{
    u8 on = RECORD_ON;
    if (UNLIKELY(PEEK(&record_state) == RECORD_ON))
        __atomic_compare_exchange_n(&record_state, &on, RECORD_ON_CUSTOM, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
    POKE(&told, true);
    POKE(&t->custom_allocations, t->custom_allocations + 1);
    if (record_sample_bytes && !sample_takes(t, size))
        return;
    u64 word = record_special ? record_special_word(t, place_of(p), size, origin)
                              : record_word(t, place_of(p), size, origin);
    put(t, place_of(p), (struct index_record){word, size});
}

void custom_death(struct thread *t, const void *p)
{
    struct index_record r;
    POKE(&t->custom_frees, t->custom_frees + 1);
    if (!take(t, place_of(p), &r) && !record_sample_bytes)
        misuse(t);
}

void custom_move(struct thread *t, const void *from, const void *to, u64 size,
                 const struct walk_origin *origin)
{
    struct index_record r;
    if (!take(t, place_of(from), &r)) {
        if (record_sample_bytes)
            return; /* it was no sample */
        misuse(t);
        custom_birth(t, to, size, origin);
        return;
    }
    r.word = index_word(place_of(to), size, index_stack(r.word),
                        index_thread(r.word), index_epoch(r.word));
    r.size = size;
    put(t, place_of(to), r);
}

/* Takes the records of [lo, hi), of one page. */
static void forget_page(struct thread *t, u64 lo, u64 hi)
{
    const u64 *slot = index_slot(&index_custom, lo);
    struct index_record r;
    for (u64 at = lo; at < hi; at += 8, slot++)
        if (PEEK(slot) & 1)
            take(t, at, &r);
}

NOINLINE void custom_forget_inside(struct thread *t, const void *p)
{
    struct track_block outer;
    index_settle();
    if (!p || !track_at((u64)p, false, &outer))
        return;
    u64 at = ROUND_UP(outer.addr, 8ul), end = outer.addr + outer.size;
    while (at < end) {
        u64 region_end = ROUND_DOWN(at, 1ul << INDEX_REGION_BITS) + (1ul << INDEX_REGION_BITS);
        const u8 *used = index_behind_leaf(&index_custom, at);
        u64 stop = end < region_end ? end : region_end;
        while (used && at < stop) {
            u64 next = ROUND_DOWN(at, PAGE_BYTES) + PAGE_BYTES;
            next = next < stop ? next : stop;
            if (PEEK(&used[(at & ((1ul << INDEX_REGION_BITS) - 1)) / PAGE_BYTES]))
                forget_page(t, at, next);
            at = next;
        }
        at = stop;
    }
}
