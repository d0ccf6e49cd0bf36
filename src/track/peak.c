/* SPDX-License-Identifier: MIT
 *
 * peak.c - see peak.h.
 *
 * Context: hot; from "reading" on agent.
 */
#include <string.h>

#include "blocks.h"
#include "epoch.h"
#include "peak.h"

enum {
    STEP_SHIFT = 12, /* a new mark is 1/4096 above the last: of 1 TiB there are 90 000 */
    FLUSH_WEIGHT_MIN = 4 << 10,
    CHUNK_BYTES_MIN = 16 << 10,
    CHUNK_BYTES_MAX = 1 << 20,
    MOVES_MAX = 100,
    ENTRY_WORDS_MAX = 3,
    PACKED_BITS = 10, /* of a size beside the 54 bits of an address that are not 0 */
};

/* An entry is the index's word and, in one more, the address and the size. A size that does not fit
 * there has a third one; then bit 0 of the first is clear. */
struct peak_chunk {
    struct peak_chunk *next;
    u64 *end; /* of the entries, while it is not the thread's current chunk */
    u64 room; /* words */
    u64 words[];
};

u32 peak_epoch;
static i64 next_mark = INT64_MAX;
static bool held; /* somebody reads: no mark may be set */
static u64 own_bytes;

/* --- marks --------------------------------------------------------------------------------- */

static void mark(void)
{
    u32 epoch = track_epoch_advance(), seen = PEEK(&peak_epoch);
    while (seen < epoch && !__atomic_compare_exchange_n(&peak_epoch, &seen, epoch, true,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
}

u64 peak_flush_weight(i64 total)
{
    u64 weight = total > 0 ? (u64)total >> STEP_SHIFT : 0;
    if (!PEEK(&peak_epoch) || weight > FLUSH_WEIGHT)
        return FLUSH_WEIGHT;
    return weight > FLUSH_WEIGHT_MIN ? weight : FLUSH_WEIGHT_MIN;
}

NOINLINE void peak_reach(i64 total)
{
    i64 next = PEEK(&next_mark);
    if (total < next || ACQUIRE(&held))
        return;
    i64 after = total + (total >> STEP_SHIFT) + 1;
    if (__atomic_compare_exchange_n(&next_mark, &next, after, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        mark();
}

void peak_begin(bool keep, i64 total)
{
    POKE(&next_mark, INT64_MAX);
    if (!keep) {
        POKE(&peak_epoch, 0);
        return;
    }
    mark();
    POKE(&next_mark, total + (total >> STEP_SHIFT) + 1);
}

/* --- logs ---------------------------------------------------------------------------------- */

static struct peak_chunk *make_chunk(u64 bytes)
{
    struct peak_chunk *c = sys_map(bytes);
    if (!c)
        return NULL;
    /* One call instead of a fault for each page; it may be refused. */
    sys_call(SYS_madvise, c, bytes, 23 /* MADV_POPULATE_WRITE, Linux 5.14 */);
    c->room = (bytes - sizeof *c) / sizeof(u64);
    __atomic_fetch_add(&own_bytes, bytes, __ATOMIC_RELAXED);
    return c;
}

/* The thread's entries stand from the first word of its first chunk on, chunk after chunk, up to
 * peak_at in its current one. Others read it: peak_at moves when an entry is whole. */
static void take_chunk(struct thread *t, struct peak_chunk *c)
{
    t->peak_limit = c ? c->words + c->room - ENTRY_WORDS_MAX + 1 : NULL;
    RELEASE(&t->peak_at, c ? c->words : NULL);
    RELEASE(&t->peak_chunk, c);
}

/* What is in it is of another peak. */
static void empty(struct thread *t, u32 epoch)
{
    RELEASE(&t->peak_epoch, 0);
    take_chunk(t, t->peak_first);
    RELEASE(&t->peak_epoch, epoch);
}

/* Makes room for an entry; false when memory is out. */
static COLD bool make_room(struct thread *t, u32 epoch)
{
    if (t->peak_epoch != epoch)
        empty(t, epoch);
    struct peak_chunk *last = t->peak_chunk, **place = last ? &last->next : &t->peak_first;
    if (last && t->peak_at < t->peak_limit)
        return true;
    if (!*place) {
        u64 bytes = last ? 2 * (last->room * sizeof(u64) + sizeof *last) : CHUNK_BYTES_MIN;
        *place = make_chunk(bytes < CHUNK_BYTES_MAX ? bytes : CHUNK_BYTES_MAX);
        if (!*place)
            return false;
    }
    if (last)
        last->end = t->peak_at;
    take_chunk(t, *place);
    return true;
}

static ALWAYS_INLINE bool has_room(const struct thread *t)
{
    return LIKELY(t->peak_epoch == PEEK(&peak_epoch)) && LIKELY(t->peak_at < t->peak_limit);
}

/* The rest of peak_log, which is a jump: what is done for most deaths then needs no stack. */
static NOINLINE void log_behind(struct thread *t, u64 address, struct index_record r)
{
    if (!has_room(t) && !make_room(t, PEEK(&peak_epoch))) {
        BUMP(&t->lost, 1);
        return;
    }
    if (!(r.size >> PACKED_BITS)) {
        peak_log(t, address, r);
        return;
    }
    u64 *at = t->peak_at;
    POKE(&at[0], r.word & ~1ul);
    POKE(&at[1], address);
    POKE(&at[2], r.size);
    RELEASE(&t->peak_at, at + 3);
}

NOINLINE void peak_log(struct thread *t, u64 address, struct index_record r)
{
    u64 *at = t->peak_at;
    if (UNLIKELY(r.size >> PACKED_BITS || !has_room(t))) {
        log_behind(t, address, r);
        return;
    }
    POKE(&at[0], r.word);
    POKE(&at[1], r.size << (64 - PACKED_BITS) | address >> 3);
    RELEASE(&t->peak_at, at + 2);
}

void peak_unlog(struct thread *t, struct index_record r)
{
    bool packed = !(r.size >> PACKED_BITS);
    u64 words = packed ? 2 : 3, *at = t->peak_at;
    if (t->peak_chunk && t->peak_epoch == PEEK(&peak_epoch) && at >= t->peak_chunk->words + words &&
        at[-(i64)words] == (packed ? r.word : r.word & ~1ul))
        RELEASE(&t->peak_at, at - words);
}

/* Who reads is not in the child. */
void peak_after_fork(void)
{
    POKE(&held, false);
}

u64 peak_own_bytes(void)
{
    return PEEK(&own_bytes);
}

/* --- reading ------------------------------------------------------------------------------- */

/* Room for blocks, which grows; what is mapped and never touched costs nothing. */
struct list {
    struct track_block *blocks;
    u64 count, room;
};

static bool grow(struct list *l)
{
    u64 room = l->room ? 2 * l->room : 1 << 16;
    struct track_block *blocks = sys_map(room * sizeof *blocks);
    if (!blocks)
        return false;
    if (l->blocks) {
        memcpy(blocks, l->blocks, l->count * sizeof *blocks);
        sys_unmap(l->blocks, l->room * sizeof *blocks);
    }
    l->blocks = blocks;
    l->room = room;
    return true;
}

static void drop(struct list *l)
{
    if (l->blocks)
        sys_unmap(l->blocks, l->room * sizeof *l->blocks);
    *l = (struct list){0};
}

static bool add_living(struct list *l, u32 epoch)
{
    enum { BATCH = 1 << 14 };
    struct track_cursor c = {0};
    for (u32 n = 1; n;) {
        if (l->room - l->count < BATCH && !grow(l))
            return false;
        n = track_list(&c, l->blocks + l->count, BATCH);
        u64 kept = l->count;
        for (u64 i = l->count; i < l->count + n; i++)
            if (l->blocks[i].birth <= epoch)
                l->blocks[kept++] = l->blocks[i];
        l->count = kept;
    }
    return true;
}

static bool add_entries(struct list *l, const u64 *at, const u64 *end)
{
    while (at < end) {
        if (l->count == l->room && !grow(l))
            return false;
        u64 word = PEEK(&at[0]), place = PEEK(&at[1]);
        bool packed = word & 1;
        l->blocks[l->count++] = (struct track_block){
            .addr = packed ? place << PACKED_BITS >> (PACKED_BITS - 3) : place,
            .size = packed ? place >> (64 - PACKED_BITS) : PEEK(&at[2]),
            .stack = index_stack(word),
            .birth = index_epoch(word),
            .thread = index_thread(word),
        };
        at += packed ? 2 : 3;
    }
    return true;
}

/* It logs on meanwhile: the chunk that is its current one may fill up and another follow. */
static bool add_log(struct list *l, const struct thread *t)
{
    const struct peak_chunk *last = ACQUIRE(&t->peak_chunk);
    const u64 *at = ACQUIRE(&t->peak_at);
    if (!last)
        return true;
    for (const struct peak_chunk *c = t->peak_first; c != last; c = c->next)
        if (!add_entries(l, c->words, c->end))
            return false;
    bool inside = at >= last->words && at <= last->words + last->room;
    return add_entries(l, last->words, inside ? at : PEEK(&last->end));
}

static bool add_dead(struct list *l, u32 epoch)
{
    for (const struct thread *t = thread_first(); t; t = t->next)
        if (ACQUIRE(&t->peak_epoch) == epoch && !add_log(l, t))
            return false;
    return true;
}

/* By address; a radix sort (Knuth, TAOCP 3, 5.2.5, algorithm R) by bytes, of those alone that
 * differ. */
static bool sort(struct list *l)
{
    u64 differ = 0;
    struct list other = {0};
    for (u64 i = 1; i < l->count; i++)
        differ |= l->blocks[i].addr ^ l->blocks[0].addr;
    if (!differ)
        return true;
    other.room = l->room;
    other.blocks = sys_map(other.room * sizeof *other.blocks);
    if (!other.blocks)
        return false;
    for (u32 shift = 0; shift < 64; shift += 8) {
        u64 first[257] = {0};
        if (!(differ >> shift & 0xff))
            continue;
        for (u64 i = 0; i < l->count; i++)
            first[(l->blocks[i].addr >> shift & 0xff) + 1]++;
        for (u32 d = 0; d < 256; d++)
            first[d + 1] += first[d];
        for (u64 i = 0; i < l->count; i++)
            other.blocks[first[l->blocks[i].addr >> shift & 0xff]++] = l->blocks[i];
        struct track_block *swap = l->blocks;
        l->blocks = other.blocks;
        other.blocks = swap;
    }
    drop(&other);
    return true;
}

/* Those that lived, then those that died: who died meanwhile is in both, next to itself by now. */
static void make_single(struct list *l)
{
    u64 kept = 0;
    for (u64 i = 0; i < l->count; i++)
        if (!kept || l->blocks[kept - 1].addr != l->blocks[i].addr)
            l->blocks[kept++] = l->blocks[i];
    l->count = kept;
}

bool track_peak_kept(void)
{
    return ACQUIRE(&peak_epoch) != 0;
}

bool track_peak_open(struct track_peak *p)
{
    struct list l = {0};
    bool done = true, moved = true;
    *p = (struct track_peak){0};
    if (!track_peak_kept())
        return false;
    RELEASE(&held, true);
    /* A thread that has not seen that yet may still move it, once. */
    for (u32 i = 0; done && moved && i < MOVES_MAX; i++) {
        drop(&l);
        p->epoch = ACQUIRE(&peak_epoch);
        p->ns = track_epoch_ns(p->epoch + 1);
        done = add_living(&l, p->epoch) && add_dead(&l, p->epoch) && sort(&l);
        moved = ACQUIRE(&peak_epoch) != p->epoch;
    }
    RELEASE(&held, false);
    if (!done || moved) {
        drop(&l);
        return false;
    }
    make_single(&l);
    p->blocks = l.blocks;
    p->count = l.count;
    p->room = l.room;
    return true;
}

void track_peak_close(struct track_peak *p)
{
    struct list l = {p->blocks, p->count, p->room};
    drop(&l);
    *p = (struct track_peak){0};
}
