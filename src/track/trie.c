/* SPDX-License-Identifier: MIT
 *
 * trie.c - see trie.h.
 *
 * Context: hot, lock-free.
 *
 * All nodes lie in one array of 16-bit units in reserved address space, in runs: a head of two
 * units (the number of the node that the run hangs on) and then a frame a node, each the caller of
 * the next. So a stack that differs from a known one in its last k frames costs k + 2 units, and
 * only the first of them has to be looked for in a table: to the next node of a run leads the next
 * unit. A frame whose number needs more than 15 bits, or that has a flag, takes three units. A
 * node's number is the place of its frame's last unit. The upper bits of each unit say what it is
 * part of, so that a node's parent is found from its number.
 *
 * The table has a slot for the first node of each run, with 6 bits of its hash so that most others
 * are passed over without a look at the units. Slots are in proportion to units: a run is looked
 * for in a window near the place that follows from its parent's number. A program that makes new
 * stacks makes them below the ones it has just made, so what is looked up lies beside what was
 * looked up last; and since the table is as long as the array from the start, in memory only as
 * far as it is used, it never has to be made anew. Where the window is full, because parents have
 * many callees, the run is in a second table, found by its hash. That one grows by copying; others
 * go on with the old one meanwhile.
 *
 * Nothing here is an atomic read-modify-write but the taking of a new stretch of units. Two threads
 * may write the same slot, or one the table that another is copying: then one of the runs is not
 * found again and may be made once more, which is all that can happen.
 */
#include <emmintrin.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "trie.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

enum {
    /* what a unit is, in its upper bits; a plain frame has bit 15 clear */
    PART_BITS = 14,
    PART_MASK = (1 << PART_BITS) - 1,
    KIND_MASK = 3 << PART_BITS,
    HEAD = 2 << PART_BITS, /* one of the two of a head */
    WIDE = 3 << PART_BITS, /* one of the three of a frame that needs more than 15 bits */
    PLAIN_END = 1 << 15,
    HEAD_UNITS = 2,
    WIDE_UNITS = 3,

    STRETCH_MIN = 1 << 6, /* units that a thread takes at once */
    STRETCH_MAX = 1 << 12,
    WINDOW = 32,
    LANES = 4,
    SLOTS = 3, /* of the table for each */
    UNITS = 8,
    BATCH = 1 << 15, /* units whose memory is asked for at once... */
    BATCH_FROM = 1 << 17, /* ... from so many on: a small trie is to cost what it holds */

    CROWD_FIRST = 1 << 10,
    CROWD_PROBES = 96, /* with 5 of 8 slots in use no run needs as many */
};

/* The second table. */
struct crowd {
    u64 mask;
    u32 runs;
    u32 slots[]; /* as those of the first */
};

/* Read by every thread all the time; what is written has a cache line of its own. */
static u16 *units; /* [0] is unused */
static u32 *slots; /* number of a run's first node | bits of its hash above it; 0 = empty */
static struct crowd *crowd;
static struct {
    u32 given; /* units that threads have taken so far */
    u8 growing;
    u64 crowd_bytes;
} shared __attribute__((aligned(CACHE_LINE))) = {.given = 1};

static size_t unit_bytes(u64 count)
{
    return ROUND_UP(count * sizeof(u16), PAGE_BYTES);
}

static size_t slot_bytes(u64 count)
{
    return ROUND_UP((count * SLOTS / UNITS + 2 * WINDOW) * sizeof(u32), PAGE_BYTES);
}

static size_t crowd_bytes(u64 slot_count)
{
    return ROUND_UP(offsetof(struct crowd, slots) + slot_count * sizeof(u32), PAGE_BYTES);
}

static struct crowd *new_crowd(u64 slot_count)
{
    size_t bytes = crowd_bytes(slot_count);
    struct crowd *fresh = sys_map(bytes);
    if (fresh) {
        fresh->mask = slot_count - 1;
        __atomic_fetch_add(&shared.crowd_bytes, bytes, __ATOMIC_RELAXED);
    }
    return fresh;
}

bool trie_start(void)
{
    if (crowd)
        return true;
    /* some units more than there can be: the last node is asked for its next */
    units = sys_map_sparse(unit_bytes((u64)TRIE_NUMBER_MAX + 1 + WIDE_UNITS));
    slots = sys_map_sparse(slot_bytes((u64)TRIE_NUMBER_MAX + 1));
    if (units && slots)
        crowd = new_crowd(CROWD_FIRST);
    return crowd != NULL;
}

/* --- reading nodes ------------------------------------------------------------------------- */

static ALWAYS_INLINE u32 part(u32 at)
{
    return PEEK(&units[at]) & PART_MASK;
}

static ALWAYS_INLINE u32 kind(u32 at)
{
    return PEEK(&units[at]) & KIND_MASK;
}

/* A node's frame, and how many units it takes. */
static ALWAYS_INLINE u32 frame_of(u32 node, u32 *length)
{
    u32 unit = PEEK(&units[node]);
    *length = 1;
    if (LIKELY(unit < PLAIN_END))
        return unit;
    *length = WIDE_UNITS;
    return part(node - 2) << 2 * PART_BITS | part(node - 1) << PART_BITS | part(node);
}

/* The node on which the one hangs that begins at `begin`. */
static ALWAYS_INLINE u32 parent_before(u32 begin)
{
    return kind(begin - 1) == HEAD ? part(begin - 2) << PART_BITS | part(begin - 1) : begin - 1;
}

/* The two units of a head, as they lie in memory. */
static ALWAYS_INLINE u32 head_of(u32 parent)
{
    return HEAD | parent >> PART_BITS | (HEAD | (parent & PART_MASK)) << 16;
}

/* Is that the first node of a run, and is it (parent, frame)? */
static ALWAYS_INLINE bool is_first(u32 node, u32 parent, u32 frame)
{
    u32 length, head;
    if (frame_of(node, &length) != frame)
        return false;
    memcpy(&head, &units[node - length - 1], sizeof head);
    return head == head_of(parent);
}

/* The next node of a run when it is of that frame; else 0. None comes after node 0: a head does. */
static ALWAYS_INLINE u32 next_in_run(u32 node, u32 frame)
{
    if (LIKELY(frame < PLAIN_END))
        return PEEK(&units[node + 1]) == frame ? node + 1 : 0;
    u32 length, next = node + WIDE_UNITS;
    bool same = kind(node + 1) == WIDE && kind(node + 2) == WIDE && kind(next) == WIDE &&
                frame_of(next, &length) == frame;
    return same ? next : 0;
}

/* --- the tables ---------------------------------------------------------------------------- */

/* What stands in the slot of a run. */
static ALWAYS_INLINE u32 slot_value(u64 h, u32 number)
{
    return (u32)(h >> 58) << TRIE_NUMBER_BITS | number;
}

/* Of the first node of a run. The places where it may stand follow from it. */
struct key {
    u32 parent, frame;
    u64 h;
};

static ALWAYS_INLINE struct key key_of(u32 parent, u32 frame)
{
    return (struct key){parent, frame, (frame + ((u64)parent << 31)) * 0x9e3779b97f4a7c15ul};
}

/* The window of the first table that it may be in. */
static ALWAYS_INLINE u32 *window_of(const struct key *k)
{
    return &slots[(u64)k->parent * SLOTS / UNITS + (k->h >> 54) % WINDOW];
}

/* The i-th place in the second table: strides of the run's own. */
static u32 *crowd_slot(struct crowd *c, const struct key *k, u64 i)
{
    u64 h = (k->h ^ k->h >> 29) * 0xbf58476d1ce4e5b9ul;
    return &c->slots[((h >> 16) + i * (h >> 40 | 1)) & c->mask];
}

static ALWAYS_INLINE bool holds(u32 value, const struct key *k)
{
    return !((value ^ slot_value(k->h, 0)) >> TRIE_NUMBER_BITS) &&
           is_first(value & TRIE_NUMBER_MAX, k->parent, k->frame);
}

static COLD void grow(struct crowd *old)
{
    if (__atomic_exchange_n(&shared.growing, 1, __ATOMIC_ACQUIRE))
        return;
    struct crowd *fresh = ACQUIRE(&crowd) == old ? new_crowd((old->mask + 1) * 4) : NULL;
    if (fresh) {
        for (u64 from = 0; from <= old->mask; from++) {
            u32 value = ACQUIRE(&old->slots[from]), number = value & TRIE_NUMBER_MAX, length;
            if (!value)
                continue;
            u32 frame = frame_of(number, &length);
            struct key k = key_of(parent_before(number - length + 1), frame);
            for (u64 i = 0; i < CROWD_PROBES; i++) {
                u32 *slot = crowd_slot(fresh, &k, i);
                if (!*slot) {
                    *slot = value;
                    fresh->runs++;
                    break;
                }
            }
        }
        /* The old one stays mapped, for someone may be looking into it; he finds nothing. */
        u64 gone = crowd_bytes(old->mask + 1) - PAGE_BYTES;
        RELEASE(&crowd, fresh);
        if (gone)
            sys_discard((char *)old + PAGE_BYTES, gone);
        __atomic_fetch_sub(&shared.crowd_bytes, gone, __ATOMIC_RELAXED);
    }
    RELEASE(&shared.growing, 0);
}

static NOINLINE u32 find_in_crowd(u32 parent, u32 frame, u32 **empty)
{
    struct key of_it = key_of(parent, frame), *k = &of_it;
    struct crowd *c = ACQUIRE(&crowd);
    if (UNLIKELY((u64)PEEK(&c->runs) * 8 > c->mask * 5)) {
        grow(c);
        c = ACQUIRE(&crowd);
    }
    for (u64 i = 0; i < CROWD_PROBES; i++) {
        u32 *slot = crowd_slot(c, k, i), value = ACQUIRE(slot);
        if (!value) {
            *empty = slot;
            __atomic_fetch_add(&c->runs, 1, __ATOMIC_RELAXED); /* who looks fills it */
            return 0;
        }
        if (holds(value, k))
            return value & TRIE_NUMBER_MAX;
    }
    *empty = NULL;
    return 0;
}

/* A bit for each 32-bit lane that is not 0. */
static ALWAYS_INLINE u32 lanes_of(__m128i v)
{
    return (u32)_mm_movemask_ps(_mm_castsi128_ps(v));
}

/* The first node of the run with that key; 0 when there is none, and then *empty is where it is to
 * be entered, NULL for nowhere. Four slots are looked at at once, since the processor cannot guess
 * how many are in use. */
static ALWAYS_INLINE u32 find(const struct key *k, u32 **empty)
{
    __m128i tag = _mm_set1_epi32((int)(slot_value(k->h, 0) >> TRIE_NUMBER_BITS));
    u32 *window = window_of(k);
    for (u32 *lanes = window; lanes < window + WINDOW; lanes += LANES) {
        __m128i four = _mm_loadu_si128((const __m128i *)lanes);
        u32 vacant = lanes_of(_mm_cmpeq_epi32(four, _mm_setzero_si128()));
        u32 alike = lanes_of(_mm_cmpeq_epi32(_mm_srli_epi32(four, TRIE_NUMBER_BITS), tag));
        for (alike &= (vacant & -vacant) - 1; alike; alike &= alike - 1) {
            u32 value = ACQUIRE(&lanes[__builtin_ctz(alike)]);
            if (holds(value, k))
                return value & TRIE_NUMBER_MAX;
        }
        if (LIKELY(vacant)) {
            *empty = &lanes[__builtin_ctz(vacant)];
            return 0;
        }
    }
    return find_in_crowd(k->parent, k->frame, empty);
}

/* --- making nodes -------------------------------------------------------------------------- */

/* Asks for the memory of the units of [from, to) and of their slots at once, since a page fault for
 * each page costs several times as much. Kernels before 5.14 refuse, and then it is page faults. */
static COLD void ask_for_memory(u32 from, u32 to)
{
    char *unit = (char *)units, *slot = (char *)slots;
    sys_call(SYS_madvise, unit + unit_bytes(from), unit_bytes(to) - unit_bytes(from),
             MADV_POPULATE_WRITE);
    sys_call(SYS_madvise, slot + slot_bytes(from), slot_bytes(to) - slot_bytes(from),
             MADV_POPULATE_WRITE);
}

/* A new stretch, of at least `need` units: a long one when the last was used up, a short one when
 * it was left because what hangs on another thread's node must have the higher number. */
static NOINLINE bool take_stretch(struct trie_room *room, u32 need)
{
    bool used_up = room->end - room->next < need;
    u32 bytes = used_up && room->taken ? room->taken * 2 : STRETCH_MIN;
    u32 wanted = bytes < STRETCH_MAX ? bytes : STRETCH_MAX;
    if (wanted < need)
        wanted = need;
    u32 begin = __atomic_fetch_add(&shared.given, wanted, __ATOMIC_RELAXED);
    if (UNLIKELY(begin > TRIE_NUMBER_MAX - wanted)) {
        POKE(&shared.given, TRIE_NUMBER_MAX);
        return false;
    }
    if (UNLIKELY(begin >= BATCH_FROM && begin / BATCH != (begin + wanted) / BATCH))
        ask_for_memory((begin + wanted) / BATCH * BATCH, (begin + wanted) / BATCH * BATCH + BATCH);
    *room = (struct trie_room){begin, begin + wanted, wanted};
    return true;
}

static ALWAYS_INLINE void put_wide(u32 at, u32 value)
{
    POKE(&units[at], (u16)(WIDE | (value & PART_MASK)));
}

/* Room for a run of those frames below `parent`, whose number must be less than theirs. */
static NOINLINE bool make_room(struct trie_room *room, u32 parent, const u32 *frames, u32 count)
{
    u32 need = HEAD_UNITS + count;
    for (u32 i = 0; i < count; i++)
        need += frames[i] < PLAIN_END ? 0 : WIDE_UNITS - 1;
    return (room->end - room->next >= need && parent < room->next) || take_stretch(room, need);
}

/* Makes nodes for frames[0..count), each the caller of the next, in a run of their own, and gives
 * the last one; 0 when there is no room. */
static ALWAYS_INLINE u32 add(struct trie_room *room, const struct key *k, u32 *slot,
                             const u32 *frames, u32 count, u32 *nodes)
{
    if (UNLIKELY(room->end - room->next < HEAD_UNITS + WIDE_UNITS * count ||
                 k->parent >= room->next) &&
        !make_room(room, k->parent, frames, count))
        return 0;
    u16 *all = units;
    u32 at = room->next, head = head_of(k->parent);
    memcpy(&all[at], &head, sizeof head);
    at += HEAD_UNITS - 1;
    for (u32 i = 0; i < count; i++) {
        u32 frame = frames[i];
        at++;
        if (UNLIKELY(frame >= PLAIN_END)) {
            put_wide(at++, frame >> 2 * PART_BITS);
            put_wide(at++, frame >> PART_BITS);
            frame = WIDE | (frame & PART_MASK);
        }
        POKE(&all[at], (u16)frame);
        nodes[i] = at;
    }
    room->next = at + 1;
    if (LIKELY(slot))
        RELEASE(slot, slot_value(k->h, nodes[0]));
    return at;
}

u32 trie_intern(struct trie_room *room, u32 parent, const u32 *frames, u32 count, u32 *nodes)
{
    for (const u32 *end = frames + count; frames < end; frames++) {
        u32 next = next_in_run(parent, *frames);
        if (!next) {
            u32 *empty = NULL;
            struct key k = key_of(parent, *frames);
            next = find(&k, &empty);
            if (!next)
                return add(room, &k, empty, frames, (u32)(end - frames), nodes);
        }
        *nodes++ = parent = next;
    }
    return parent;
}

/* --- for the agent ------------------------------------------------------------------------- */

u32 track_node_count(void)
{
    return ACQUIRE(&shared.given) - 1;
}

struct track_node track_node(u32 number)
{
    u32 length, frame = frame_of(number, &length);
    u32 parent = parent_before(number - length + 1);
    if (UNLIKELY(frame & TRIE_MARK))
        return (struct track_node){.parent = parent,
                                   .tag = frame == TRIE_IGNORED ? 0 : frame & ~TRIE_MARK,
                                   .ignored = frame == TRIE_IGNORED};
    u64 code = frames_code[frame & FRAME_MAX];
    return (struct track_node){.pc = code & FRAME_CODE_MASK,
                               .parent = parent,
                               .incarnation = (u32)(code >> FRAME_CODE_BITS),
                               .cut = frame & TRIE_CUT};
}

u64 trie_own_bytes(void)
{
    u32 given = PEEK(&shared.given);
    return unit_bytes(given) + slot_bytes(given) + PEEK(&shared.crowd_bytes);
}

void trie_after_fork(void)
{
    POKE(&shared.growing, 0);
}
