/* SPDX-License-Identifier: MIT
 *
 * blocks.c - the live blocks, and the ages of the epochs they were born in.
 *
 * Context: frozen. Threads run on meanwhile.
 * Invariant: the columns hold blocks of epochs up to the job's only, at ascending addresses, so a
 * listing ends although the program goes on allocating, and holds each block once. Blocks that the
 * program told of stand among those of the malloc family, behind one at the same address.
 */
#include "job.h"

enum { BATCH = 1 << 14 }; /* fits the cache; each call looks anew which pages of the index are used */

u32 freeze_blocks_room(void)
{
    struct track_counters c;
    track_counters(&c);
    u64 known = c.live_blocks + c.custom_blocks, room = known + known / 8 + (1 << 20);
    return room < UINT32_MAX - 1 ? (u32)room : UINT32_MAX - 2;
}

static bool make_room(struct freeze_job *j)
{
    struct freeze_blocks *b = &j->blocks;
    b->room = freeze_blocks_room();
    if (j->peak)
        b->room = j->peak->count < UINT32_MAX - 1 ? (u32)j->peak->count + 1 : UINT32_MAX - 2;
    b->addr = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_ADDR, b->room);
    b->size = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_SIZE, b->room);
    b->stack = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_STACK, b->room);
    b->birth = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_BIRTH, b->room);
    b->thread = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_THREAD, b->room);
    return b->thread != NULL;
}

static bool write_epochs(struct freeze_job *j)
{
    u64 *ages = snapshot_writer_whole(j->w, SNAPSHOT_EPOCHS, (u64)j->epoch + 1);
    for (u32 i = 0; ages && i <= j->epoch; i++) {
        u64 began = track_epoch_ns(i);
        ages[i] = began < j->now_ns ? j->now_ns - began : 0;
    }
    return ages != NULL;
}

/* A size that fits its column; the others go to BIG_SIZES. */
static u32 column_size(u64 size, u32 block, struct snapshot_big_size *big, u32 *big_count)
{
    if (LIKELY(size < UINT32_MAX))
        return (u32)size;
    if (*big_count == FREEZE_BIG_ROOM)
        return UINT32_MAX - 1;
    big[(*big_count)++] = (struct snapshot_big_size){.block = block, .size = size};
    return UINT32_MAX;
}

/* One of the two lists of the recorder's, a batch at a time. */
struct source {
    struct track_cursor cursor;
    struct track_block *batch;
    u64 at, count;
    u64 last;
    bool told;  /* there may be blocks */
    bool whole; /* the batch is all of it, and not ours */
};

/* The next block of the job; NULL at the end. */
static const struct track_block *next_of(struct source *s, const struct freeze_job *j)
{
    while (s->told) {
        if (s->at == s->count && s->whole)
            return NULL;
        if (s->at == s->count) {
            s->count = track_list(&s->cursor, s->batch, BATCH);
            s->at = 0;
            s->told = s->count > 0;
            continue;
        }
        const struct track_block *b = &s->batch[s->at];
        if (b->birth <= j->epoch && b->addr > s->last)
            return b;
        s->at++;
    }
    return NULL;
}

static u64 room_bytes(const struct freeze_blocks *b)
{
    return ROUND_UP((u64)b->room * sizeof(u32) + b->room / 8 + 8, PAGE_BYTES);
}

static void write_block(struct freeze_job *j, const struct track_block *from, bool custom,
                        struct snapshot_big_size *big)
{
    struct freeze_blocks *b = &j->blocks;
    u32 at = b->count++;
    b->addr[at] = from->addr;
    b->size[at] = column_size(from->size, at + 1, big, &b->big_count);
    b->stack[at] = from->stack;
    b->birth[at] = from->birth;
    b->thread[at] = from->thread <= UINT16_MAX ? (u16)from->thread : 0;
    if (b->outer)
        freeze_nests_add(b, at);
    if (custom)
        b->custom[at / 64] |= 1ull << (at % 64);
}

/* Memory of a pool that was unmapped takes its blocks along. */
static bool is_gone(const struct freeze_blocks *b, struct freeze_mappings *m, u64 address)
{
    for (u32 at = b->count; at > 0; at = b->outer[at - 1])
        if (!freeze_blocks_custom(b, at - 1) &&
            address - b->addr[at - 1] < freeze_blocks_bytes(b, at - 1))
            return false;
    return !freeze_mappings_hold(m, address);
}

static void merge(struct freeze_job *j, struct source from[2], struct snapshot_big_size *big)
{
    struct freeze_blocks *b = &j->blocks;
    struct freeze_mappings *m = b->outer ? freeze_mappings_begin() : NULL;
    while (!b->cut) {
        const struct track_block *a = next_of(&from[0], j), *c = next_of(&from[1], j);
        bool custom = c && (!a || c->addr < a->addr);
        const struct track_block *next = custom ? c : a;
        if (!next)
            break;
        from[custom].at++;
        from[custom].last = next->addr;
        if (custom && is_gone(b, m, next->addr))
            continue;
        b->cut = b->count == b->room;
        if (!b->cut)
            write_block(j, next, custom, big);
    }
    if (m)
        freeze_mappings_end(m);
}

static bool make_sources(struct freeze_job *j, struct source from[2], u64 batch_bytes)
{
    struct track_counters c;
    struct freeze_blocks *b = &j->blocks;
    track_counters(&c);
    if (j->peak) {
        from[0] = (struct source){
            .told = true, .whole = true, .batch = j->peak->blocks, .count = j->peak->count};
        return true;
    }
    from[0] = (struct source){.told = true, .batch = sys_map(batch_bytes)};
    from[1] = (struct source){.told = c.custom_allocations > 0, .cursor.custom = true};
    if (!from[1].told)
        return from[0].batch != NULL;
    from[1].batch = sys_map(batch_bytes);
    b->custom = sys_map(room_bytes(b));
    b->outer = b->custom ? (u32 *)(b->custom + b->room / 64 + 1) : NULL;
    return from[0].batch && from[1].batch && b->custom;
}

bool freeze_blocks(struct freeze_job *j)
{
    struct freeze_blocks *b = &j->blocks;
    struct snapshot_big_size *big =
        snapshot_writer_whole(j->w, SNAPSHOT_BIG_SIZES, FREEZE_BIG_ROOM);
    u64 batch_bytes = ROUND_UP(BATCH * sizeof(struct track_block), PAGE_BYTES);
    struct source from[2] = {0};
    if (!big || !write_epochs(j) || !make_room(j))
        return false;
    b->big = big;
    bool ok = make_sources(j, from, batch_bytes);
    if (ok)
        merge(j, from, big);
    for (u32 i = 0; i < 2; i++)
        if (from[i].batch && !from[i].whole)
            sys_unmap(from[i].batch, batch_bytes);

    snapshot_writer_trim(j->w, SNAPSHOT_BIG_SIZES, b->big_count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_ADDR, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_SIZE, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_STACK, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_BIRTH, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_THREAD, b->count);
    return ok && freeze_nests(j) && freeze_marks(j);
}

void freeze_blocks_end(struct freeze_blocks *b)
{
    if (b->custom)
        sys_unmap(b->custom, room_bytes(b));
}

u32 freeze_blocks_below(const struct freeze_blocks *b, u64 address)
{
    return BISECT(i, b->count, b->addr[i] < address);
}

u64 freeze_blocks_bytes(const struct freeze_blocks *b, u32 block)
{
    if (LIKELY(b->size[block] != UINT32_MAX))
        return b->size[block];
    return b->big[BISECT(i, b->big_count, b->big[i].block <= block)].size;
}
