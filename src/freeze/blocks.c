/* SPDX-License-Identifier: MIT
 *
 * blocks.c - the live blocks, and the ages of the epochs they were born in.
 *
 * Context: frozen. Threads run on meanwhile.
 * Invariant: the columns hold blocks of epochs up to the job's only, at ascending addresses, so a
 * listing ends although the program goes on allocating, and holds each block once.
 */
#include "job.h"

enum { BATCH = 1 << 14 }; /* fits the cache; each call looks anew which pages of the index are used */

u32 freeze_blocks_room(void)
{
    struct track_counters c;
    track_counters(&c);
    u64 room = c.live_blocks + c.live_blocks / 8 + (1 << 20);
    return room < UINT32_MAX - 1 ? (u32)room : UINT32_MAX - 2;
}

static bool make_room(struct freeze_job *j)
{
    struct freeze_blocks *b = &j->blocks;
    b->room = freeze_blocks_room();
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

bool freeze_blocks(struct freeze_job *j)
{
    struct freeze_blocks *b = &j->blocks;
    struct snapshot_big_size *big =
        snapshot_writer_whole(j->w, SNAPSHOT_BIG_SIZES, FREEZE_BIG_ROOM);
    u64 scratch_bytes = ROUND_UP(BATCH * sizeof(struct track_block), PAGE_BYTES);
    struct track_block *batch = NULL;
    if (!big || !write_epochs(j) || !make_room(j) || !(batch = sys_map(scratch_bytes)))
        return false;

    b->big = big;
    struct track_cursor cursor = {0};
    u64 last = 0;
    for (u32 n; !b->cut && (n = track_list(&cursor, batch, BATCH)) > 0;) {
        for (u32 i = 0; i < n; i++) {
            const struct track_block *from = &batch[i];
            if (from->birth > j->epoch || (b->count && from->addr <= last))
                continue;
            if (b->count == b->room) {
                b->cut = true;
                break;
            }
            u32 at = b->count++;
            last = from->addr;
            b->addr[at] = from->addr;
            b->size[at] = column_size(from->size, at + 1, big, &b->big_count);
            b->stack[at] = from->stack;
            b->birth[at] = from->birth;
            b->thread[at] = from->thread <= UINT16_MAX ? (u16)from->thread : 0;
        }
    }
    sys_unmap(batch, scratch_bytes);

    snapshot_writer_trim(j->w, SNAPSHOT_BIG_SIZES, b->big_count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_ADDR, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_SIZE, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_STACK, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_BIRTH, b->count);
    snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_THREAD, b->count);
    return true;
}

u64 freeze_blocks_bytes(const struct freeze_blocks *b, u32 block)
{
    if (LIKELY(b->size[block] != UINT32_MAX))
        return b->size[block];
    u32 lo = 0, hi = b->big_count;
    while (hi - lo > 1) {
        u32 mid = lo + (hi - lo) / 2;
        if (b->big[mid].block <= block + 1)
            lo = mid;
        else
            hi = mid;
    }
    return b->big[lo].size;
}
