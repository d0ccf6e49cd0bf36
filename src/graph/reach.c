/* SPDX-License-Identifier: MIT
 *
 * reach.c - what roots reach, what they do not, what a set reaches, and what two snapshots agree
 * on.
 *
 * Context: pure.
 * Invariant: a block is in exactly one of reach and unreachable, whatever is asked, unless it is in
 * `without`, whose blocks are in neither.
 */
#include <string.h>

#include "spread.h"

/* Blocks that are to be left out count as met already, so the walk needs no other test. */
static void leave_out(const struct graph_ask *ask, u64 *seen, u32 words)
{
    if (ask->without)
        memcpy(seen, ask->without, words * sizeof *seen);
    else
        memset(seen, 0, words * sizeof *seen);
}

static void take_out(const struct graph_ask *ask, u64 *seen, u32 words)
{
    for (u32 i = 0; ask->without && i < words; i++)
        seen[i] &= ~ask->without[i];
}

bool graph_reach(struct graph *g, const struct graph_ask *ask, u64 *out, struct err *e)
{
    struct spread w;
    u32 words = graph_set_words(g->s);
    if (!spread_begin(&w, g, ask->include, out, e))
        return false;
    leave_out(ask, out, words);
    spread_roots(&w, ask->root_kinds);
    spread_run(&w);
    spread_end(&w);
    take_out(ask, out, words);
    return true;
}

bool graph_unreachable(struct graph *g, const struct graph_ask *ask, u64 *out, struct err *e)
{
    u32 words = graph_set_words(g->s), blocks = g->s->block_count;
    if (!graph_reach(g, ask, out, e))
        return false;
    for (u32 i = 0; i < words; i++)
        out[i] = ~out[i];
    if (blocks % 64)
        out[words - 1] &= (1ull << (blocks % 64)) - 1;
    take_out(ask, out, words);
    return true;
}

bool graph_closure(struct graph *g, const struct graph_ask *ask, const u64 *from, u64 *out,
                   struct err *e)
{
    struct spread w;
    u32 words = graph_set_words(g->s);
    if (!spread_begin(&w, g, ask->include, out, e))
        return false;
    leave_out(ask, out, words);
    spread_set(&w, from);
    spread_run(&w);
    spread_end(&w);
    take_out(ask, out, words);
    return true;
}

void graph_confirm(const struct snapshot *s, u64 *set, const struct snapshot *older,
                   const u64 *older_set)
{
    u32 at = 0, b = 0;
    SPREAD_EACH(set, graph_set_words(s), b)
    {
        u64 addr = s->block_addr[b - 1];
        while (at < older->block_count && older->block_addr[at] < addr)
            at++;
        bool both = false; /* a pool and its first block may have one address */
        for (u32 k = at; k < older->block_count && older->block_addr[k] == addr; k++)
            both |= older->block_birth[k] == s->block_birth[b - 1] &&
                    graph_set_has(older_set, (block_id){k + 1});
        if (!both)
            set[(b - 1) / 64] &= ~(1ull << ((b - 1) % 64));
    }
}
