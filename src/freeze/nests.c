/* SPDX-License-Identifier: MIT
 *
 * nests.c - blocks inside blocks: which lies in which, what is left of those around others, and
 * whether the memory that they were told of in is still there.
 *
 * Context: frozen.
 * Invariant: of blocks in the order of their addresses, the one that the next lies in is the one
 * before it, or one of those that this one lies in.
 */
#include "job.h"

void freeze_nests_add(struct freeze_blocks *b, u32 block)
{
    u32 at = block;
    while (at > 0 && b->addr[block] - b->addr[at - 1] >= freeze_blocks_bytes(b, at - 1))
        at = b->outer[at - 1];
    b->outer[block] = at;
}

/* What a block takes of the one around it: it may reach beyond, when the program was wrong. */
static u64 taken(const struct freeze_blocks *b, u32 outer, u32 block)
{
    u64 size = freeze_blocks_bytes(b, block);
    u64 left = freeze_blocks_bytes(b, outer) - (b->addr[block] - b->addr[outer]);
    return size < left ? size : left;
}

bool freeze_nests(struct freeze_job *j)
{
    const struct freeze_blocks *b = &j->blocks;
    u32 count = 0;
    if (!b->outer)
        return true;
    u64 bytes = ROUND_UP(((u64)b->count + 1) * sizeof(u64), PAGE_BYTES);
    u64 *inside = sys_map(bytes); /* of each block, plus 1: bytes that are in others */
    if (!inside)
        return false;
    for (u32 i = 0; i < b->count; i++) {
        u32 outer = b->outer[i];
        if (!outer)
            continue;
        count += inside[outer] == 0;
        inside[outer] += taken(b, outer - 1, i) + (inside[outer] == 0);
    }
    struct snapshot_nest *nests = snapshot_writer_whole(j->w, SNAPSHOT_NESTS, count);
    for (u32 i = 0, n = 0; nests && n < count; i++) {
        u64 size = freeze_blocks_bytes(b, i);
        if (inside[i + 1])
            nests[n++] = (struct snapshot_nest){
                .block = i + 1,
                .own_bytes = inside[i + 1] - 1 < size ? size - (inside[i + 1] - 1) : 0};
    }
    sys_unmap(inside, bytes);
    return nests != NULL;
}

/* --- mappings ------------------------------------------------------------------------------ */

struct freeze_mappings {
    struct maps_reader reader;
    struct maps_region region;
    bool ended;
    u64 until; /* so far, from the last address on, the answer is `held` */
    bool held;
    u32 own_count;
    struct own_range own[OWN_MAX];
    char buffer[MAPS_BUFFER_BYTES];
};

struct freeze_mappings *freeze_mappings_begin(void)
{
    struct freeze_mappings *m = sys_map(ROUND_UP(sizeof *m, PAGE_BYTES));
    if (m && maps_open(&m->reader, m->buffer)) {
        m->own_count = own_list(m->own, OWN_MAX);
        return m;
    }
    if (m)
        sys_unmap(m, ROUND_UP(sizeof *m, PAGE_BYTES));
    return NULL;
}

bool freeze_mappings_hold(struct freeze_mappings *m, u64 address)
{
    if (!m) /* nobody says, so they are believed */
        return true;
    if (address < m->until)
        return m->held;
    while (!m->ended && m->region.hi <= address)
        m->ended = !maps_next(&m->reader, &m->region);
    m->held = !m->ended && m->region.lo <= address;
    m->until = m->ended ? UINT64_MAX : m->held ? m->region.hi : m->region.lo;
    /* Where the program's memory was there may be ours by now. */
    for (u32 i = 0; i < m->own_count; i++) {
        struct own_range own = m->own[i];
        if (address >= own.lo && address < own.hi) {
            m->held = false;
            m->until = own.hi;
        } else if (own.lo > address && own.lo < m->until) {
            m->until = own.lo;
        }
    }
    return m->held;
}

void freeze_mappings_end(struct freeze_mappings *m)
{
    maps_close(&m->reader);
    sys_unmap(m, ROUND_UP(sizeof *m, PAGE_BYTES));
}
