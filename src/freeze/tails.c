/* SPDX-License-Identifier: MIT
 *
 * tails.c - see tails.h.
 *
 * Context: frozen, in the clone.
 * Why an entry for each block and not a list of claims: claims come in no order and the section
 * ascends, so this is the sorting; pages of it that nothing was claimed of are never touched.
 */
#include "tails.h"

enum {
    PER_PAGE = PAGE_BYTES / sizeof(u64),
    NEAR_BYTES = 8 << 16, /* of a block, for which EDGE_AT alone says the word */
};

bool tails_begin(struct tails *t, u32 blocks)
{
    *t = (struct tails){.blocks = blocks};
    t->bytes = ROUND_UP((u64)blocks * sizeof *t->used + 1, PAGE_BYTES);
    t->touched_bytes = ROUND_UP(t->bytes / PAGE_BYTES / 8 + 8, PAGE_BYTES);
    t->used = sys_map(t->bytes);
    t->touched = sys_map(t->touched_bytes);
    return t->used && t->touched;
}

void tails_end(struct tails *t)
{
    if (t->used)
        sys_unmap(t->used, t->bytes);
    if (t->touched)
        sys_unmap(t->touched, t->touched_bytes);
}

static bool read_word(struct regions *regions, u64 at, u64 end, u64 *value)
{
    if (at % sizeof *value || end < sizeof *value || at > end - sizeof *value ||
        !regions_holds(regions, at))
        return false;
    *value = *(const u64 *)at;
    return true;
}

/* A std::deque's iterator has these three words too, at the first element of a node, but they bound
 * the node; a pointer to the node's place in the table of nodes follows. */
static bool is_deque(struct regions *regions, u64 at, u64 end, u64 lo)
{
    u64 place, node;
    return read_word(regions, at, end, &place) && place &&
           read_word(regions, place, UINT64_MAX, &node) && node == lo;
}

void tails_claim(struct tails *t, struct regions *regions, u64 at, u64 end, u32 block, u64 lo,
                 u64 hi, u64 into)
{
    u64 third;
    if (!read_word(regions, at + 8, end, &third) || third != hi ||
        (into == 0 && is_deque(regions, at + 16, end, lo)))
        return;
    t->touched[block / PER_PAGE / 64] |= 1ull << (block / PER_PAGE % 64);
    if (t->used[block] < into + 1)
        t->used[block] = into + 1;
}

/* Is the last reference of the block beyond what is in use? */
static bool is_worth_telling(const struct tails *t, const struct freeze_blocks *b, u32 block,
                             const u32 *row, const u16 *word)
{
    if (!t->used[block] || row[block] == row[block + 1])
        return false;
    u64 first = ROUND_UP(b->addr[block], (u64)8) - b->addr[block];
    return freeze_blocks_bytes(b, block) > NEAR_BYTES ||
           first + 8u * word[row[block + 1] - 1] >= t->used[block] - 1;
}

/* The next at or behind `block`; t->blocks when there is none. */
static u32 next_of(const struct tails *t, const struct freeze_blocks *b, u32 block, const u32 *row,
                   const u16 *word)
{
    while (block < t->blocks) {
        u32 page = block / PER_PAGE;
        if (!(t->touched[page / 64] >> (page % 64) & 1))
            block = (page + 1) * PER_PAGE;
        else if (is_worth_telling(t, b, block, row, word))
            return block;
        else
            block++;
    }
    return t->blocks;
}

bool tails_write(const struct tails *t, struct freeze_job *j, const u32 *row, const u16 *word)
{
    const struct freeze_blocks *b = &j->blocks;
    struct snapshot_writer *w = j->w;
    u64 count = 0, room = (w->reserved - w->used) / 2 / sizeof(struct snapshot_tail);
    for (u32 i = next_of(t, b, 0, row, word); i < t->blocks; i = next_of(t, b, i + 1, row, word))
        count++;
    bool all = count <= room;
    count = all ? count : room;
    struct snapshot_tail *out = snapshot_writer_whole(w, SNAPSHOT_TAILS, count);
    u32 block = 0;
    for (u64 i = 0; out && i < count; i++, block++) {
        block = next_of(t, b, block, row, word);
        out[i] = (struct snapshot_tail){.block = block + 1, .used = t->used[block] - 1};
    }
    return all;
}
