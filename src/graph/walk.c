/* SPDX-License-Identifier: MIT
 *
 * walk.c - references one by one, with their offsets, and the neighbours of a set.
 *
 * Context: pure.
 * Invariant: a walk to a block and a walk from it meet the same references, each once.
 * Why the source's row is searched: the rows to a block name sources, not edges, which halves them.
 * A source with several references to the block has several entries, all in a row; its edges are
 * looked through at the first of them.
 */
#include <string.h>

#include "spread.h"

struct graph_walk graph_referents(const struct graph *g, u32 include, block_id block)
{
    return (struct graph_walk){.g = g,
                               .include = include,
                               .block = block,
                               .source = block.v,
                               .edge = g->row[block.v - 1],
                               .edge_end = g->row[block.v]};
}

struct graph_walk graph_referrers(const struct graph *g, u32 include, block_id block)
{
    return (struct graph_walk){.g = g,
                               .include = include,
                               .block = block,
                               .back = true,
                               .at = g->in_row[block.v],
                               .end = g->in_row[block.v + 1]};
}

struct graph_ref graph_root_ref(const struct graph *g, u32 root_edge)
{
    const struct snapshot_root_edge *r = &g->s->root_edges[root_edge - 1];
    return (struct graph_ref){.root_edge = root_edge,
                              .target = {r->target},
                              .offset = snapshot_root_edge_address(g->s, r),
                              .into = r->into,
                              .class = edges_root_class(g, r)};
}

static struct graph_ref block_ref(const struct graph *g, u32 source, u32 edge)
{
    block_id from = {source};
    if (edges_part(g, source, edge))
        return (struct graph_ref){
            .source = from, .target = {g->target[edge]}, .offset = GRAPH_PART};
    u32 class = edges_class(g, edge);
    edge -= nests_below(g, source);
    return (struct graph_ref){.source = from,
                              .target = {g->s->edge_target[edge]},
                              .offset = snapshot_edge_offset(g->s, from, edge),
                              .into = snapshot_edge_into(g->s, edge),
                              .class = class};
}

bool graph_next(struct graph_walk *w, struct graph_ref *ref)
{
    const struct graph *g = w->g;
    for (;;) {
        while (w->edge < w->edge_end) {
            u32 edge = w->edge++;
            if (w->back && g->target[edge] != w->block.v)
                continue;
            if (!edges_count(g, w->include, edge))
                continue;
            *ref = block_ref(g, w->source, edge);
            return true;
        }
        if (w->at == w->end)
            return false;
        u32 entry = g->in[w->at++];
        if (entry & EDGES_ROOT) {
            if (!edges_in_counts(g, w->include, entry))
                continue;
            *ref = graph_root_ref(g, (entry & ~EDGES_ROOT) + 1);
            return true;
        }
        u32 source = entry & EDGES_SOURCE;
        if (source != w->source) {
            w->source = source;
            w->edge = g->row[source - 1];
            w->edge_end = g->row[source];
        }
    }
}

void graph_set_referents(const struct graph *g, u32 include, const u64 *set, u64 *out)
{
    u32 words = graph_set_words(g->s), b = 0;
    memset(out, 0, words * sizeof *out);
    SPREAD_EACH(set, words, b)
    for (u32 edge = g->row[b - 1]; edge < g->row[b]; edge++)
        if (edges_count(g, include, edge))
            graph_set_add(out, (block_id){g->target[edge]});
}

void graph_set_referrers(const struct graph *g, u32 include, const u64 *set, u64 *out)
{
    u32 words = graph_set_words(g->s), b = 0;
    memset(out, 0, words * sizeof *out);
    SPREAD_EACH(set, words, b)
    for (u32 i = g->in_row[b]; i < g->in_row[b + 1]; i++)
        if (!(g->in[i] & EDGES_ROOT) && edges_in_counts(g, include, g->in[i]))
            graph_set_add(out, (block_id){g->in[i] & EDGES_SOURCE});
}
