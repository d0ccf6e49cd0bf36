/* SPDX-License-Identifier: MIT
 *
 * blocks.c - see blocks.h.
 *
 * Context: hot; listing: agent and frozen.
 */
#include "blocks.h"

enum { OTHERS = 2, HEADS = 32 };

u64 blocks_small_below;
u8 blocks_small_hint[BLOCKS_HINTS];

static struct index *const of_malloc[] = {&index_main, &index_small, &index_large};

void blocks_start(bool glibc)
{
    blocks_small_below = glibc ? 0 : BLOCKS_SMALL_BYTES + 1;
}

NOINLINE bool blocks_put_small(u64 address, struct index_record r)
{
    u8 *hint = blocks_hint_of(address);
    if (!PEEK(hint))
        POKE(hint, 1);
    return index_put(&index_small, address, r);
}

NOINLINE bool blocks_put_large(u64 address, struct index_record r)
{
    return index_put(&index_large, address, r);
}

NOINLINE struct index_record blocks_take_large(u64 address)
{
    return index_take(&index_large, address);
}

NOINLINE struct index_record blocks_take_small(u64 address)
{
    return index_take(&index_small, address);
}

struct index *blocks_index(u64 address, struct track_block *b)
{
    struct index *large = blocks_begins_page(address) ? &index_large : NULL;
    struct index *small = PEEK(blocks_hint_of(address)) ? &index_small : NULL;
    struct index *const may_have[] = {large, small, &index_main};
    for (u32 i = 0; i < COUNT_OF(may_have); i++)
        if (may_have[i] && index_read(may_have[i], address, b) && b->addr == address)
            return may_have[i];
    return NULL;
}

void blocks_clear(void)
{
    for (u32 i = 0; i < COUNT_OF(of_malloc); i++)
        index_clear(of_malloc[i]);
}

u64 blocks_own_bytes(void)
{
    u64 bytes = 0;
    for (u32 i = 0; i < COUNT_OF(of_malloc); i++)
        bytes += index_own_bytes(of_malloc[i]);
    return bytes;
}

/* --- listing ------------------------------------------------------------------------------- */

/* One of the two indices that hold few blocks, some of them read ahead. */
struct few {
    const struct index *x;
    u64 from;
    struct index_window window;
    struct track_block heads[HEADS];
    u32 at, count;
};

/* Its next block, NULL when there is none. */
static const struct track_block *head(struct few *f)
{
    if (f->at == f->count && f->from != UINT64_MAX) {
        f->at = 0;
        f->count = index_list(f->x, &f->window, &f->from, UINT64_MAX, f->heads, HEADS);
    }
    return f->at < f->count ? &f->heads[f->at] : NULL;
}

static u64 later(u64 a, u64 b)
{
    return a > b ? a : b;
}

/* Of the main index there are the most by far: they are listed in rows up to the next of the
 * others. */
static u32 list_malloced(struct track_cursor *c, struct track_block *out, u32 max)
{
    struct few others[OTHERS] = {{.x = &index_small, .from = later(c->next, c->ahead[0])},
                                 {.x = &index_large, .from = later(c->next, c->ahead[1])}};
    struct index_window window = {0};
    u32 n = 0;
    while (n < max) {
        struct few *first = NULL;
        for (u32 i = 0; i < OTHERS; i++)
            if (head(&others[i]) && (!first || head(&others[i])->addr < head(first)->addr))
                first = &others[i];
        u64 to = first ? head(first)->addr : UINT64_MAX;
        n += index_list(&index_main, &window, &c->next, to, out + n, max - n);
        if (!first || n == max)
            break;
        out[n] = *head(first);
        first->at++;
        c->next = out[n++].addr + 1;
    }
    for (u32 i = 0; i < OTHERS; i++) /* nothing before it has to be looked for again */
        c->ahead[i] = others[i].at < others[i].count ? others[i].heads[others[i].at].addr
                                                     : others[i].from;
    return n;
}

u32 track_list(struct track_cursor *c, struct track_block *out, u32 max)
{
    struct index_window window = {0};
    return c->custom ? index_list(&index_custom, &window, &c->next, UINT64_MAX, out, max)
                     : list_malloced(c, out, max);
}

bool track_at(u64 address, bool custom, struct track_block *out)
{
    if (custom)
        return index_read(&index_custom, address, out) && out->addr == address;
    return blocks_index(address, out) != NULL;
}
