/* SPDX-License-Identifier: MIT
 *
 * tree.c - shortest paths from roots to all blocks at once.
 *
 * Context: pure.
 * Invariant: holder[b] is an entry as those of graph.in, without a class: the root edge or the
 * block by which b is reached first, 0 when it is not reached; following it ends at a root after as
 * many steps as the nearest root needs.
 */
#include "memory.h"
#include "path.h"
#include "spread.h"

bool graph_tree(struct graph *g, const struct graph_ask *ask, struct graph_tree *t, struct err *e)
{
    u64 blocks = g->s->block_count;
    u32 words = graph_set_words(g->s);
    struct spread w = {0};
    *t = (struct graph_tree){.include = ask->include};
    t->holder = memory_take(g, blocks + 1, sizeof *t->holder, e);
    u64 *seen = t->holder ? memory_take(g, words, sizeof *seen, e) : NULL;
    if (!seen || !spread_begin(&w, g, ask->include, seen, e)) {
        memory_give(g, seen, words, sizeof *seen);
        graph_tree_free(g, t);
        return false;
    }
    for (u32 i = 0; ask->without && i < words; i++)
        seen[i] = ask->without[i];
    w.holder = t->holder;
    spread_roots(&w, ask->root_kinds);
    spread_run(&w);
    spread_end(&w);
    memory_give(g, seen, words, sizeof *seen);
    return true;
}

bool graph_tree_path(struct graph *g, const struct graph_tree *t, block_id block,
                     struct graph_path *p, struct err *e)
{
    *p = (struct graph_path){.include = t->include};
    u32 entry = t->holder[block.v];
    if (!entry)
        return true;
    u64 steps = 1;
    for (; !(entry & EDGES_ROOT); entry = t->holder[entry])
        steps++;
    if (!path_begin(g, p, steps, e))
        return false;
    p->root_edge = (entry & ~EDGES_ROOT) + 1;
    u32 b = block.v;
    for (u32 i = p->count; i-- > 0; b = t->holder[b])
        p->steps[i] = (block_id){b};
    return true;
}

void graph_tree_free(struct graph *g, struct graph_tree *t)
{
    memory_give(g, t->holder, (u64)g->s->block_count + 1, sizeof *t->holder);
    *t = (struct graph_tree){0};
}
