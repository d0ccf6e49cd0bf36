/* SPDX-License-Identifier: MIT
 *
 * edges.c - from the rows of a snapshot (references from each block) to rows both ways.
 *
 * Context: pure.
 * Invariant: in[in_row[b]..in_row[b + 1]) has one entry for each root edge to block b, in their
 * order, and then one for each edge to it, in theirs. Why by counting: targets are small integers,
 * so sorting by them is two passes over the edges and no comparison (Knuth, The Art of Computer
 * Programming 3, 5.2, "distribution counting").
 */
#include "edges.h"
#include "memory.h"

enum { AHEAD = 24 }; /* edges; far enough for a line to come from memory */

const char *graph_class_word(u32 class)
{
#define X(name, bit, word)                                                                         \
    if (class & (bit))                                                                             \
        return word;
    GRAPH_CLASSES(X)
#undef X
    return "";
}

static void mark(u64 *bits, u32 edge)
{
    bits[edge / 64] |= 1ull << (edge % 64);
}

/* Edges whose word is in the unused tail of their block: the last ones of its row. */
static void mark_tails(struct graph *g)
{
    const struct snapshot *s = g->s;
    for (u32 i = 0; i < s->tail_count; i++) {
        block_id b = {s->tails[i].block};
        u32 first = s->edge_row[b.v - 1], more = nests_below(g, b.v);
        for (u32 edge = s->edge_row[b.v]; edge > first; edge--) {
            if (snapshot_edge_offset(s, b, edge - 1) < s->tails[i].used)
                break;
            mark(g->tail, edge - 1 + more);
        }
    }
}

static bool make_classes(struct graph *g, struct err *e)
{
    u64 words = ((u64)g->edge_count + 63) / 64;
    if (g->s->edge_into_count > 0) {
        g->interior = memory_take(g, words, sizeof *g->interior, e);
        if (!g->interior)
            return false;
        for (u32 i = 0, more = 0; i < g->s->edge_into_count; i++) {
            u32 edge = g->s->edge_into[i].edge;
            while (more < g->inner_count && g->s->edge_row[g->inner[more]] <= edge)
                more++;
            mark(g->interior, edge + more);
        }
    }
    if (g->s->tail_count > 0) {
        g->tail = memory_take(g, words, sizeof *g->tail, e);
        if (!g->tail)
            return false;
        mark_tails(g);
    }
    return true;
}

/* in_row[b] becomes the end of row b; filling from the back moves it to the row's beginning. */
static void count_rows(struct graph *g)
{
    const struct snapshot *s = g->s;
    u32 *end = g->in_row;
    for (u32 i = 0; i < g->edge_count; i++) {
        if (i + AHEAD < g->edge_count)
            __builtin_prefetch(&end[g->target[i + AHEAD]], 1);
        end[g->target[i]]++;
    }
    for (u32 i = 0; i < s->root_edge_count; i++)
        end[s->root_edges[i].target]++;
    for (u32 b = 1; b <= s->block_count; b++)
        end[b] += end[b - 1];
    end[s->block_count + 1] = (u32)g->in_count;
}

static void fill_rows(struct graph *g)
{
    const struct snapshot *s = g->s;
    u32 *at = g->in_row;
    u32 edge = g->edge_count;
    for (u32 b = s->block_count; b > 0; b--) {
        for (u32 first = g->row[b - 1]; edge > first;) {
            edge--;
            if (edge >= 2 * AHEAD) {
                __builtin_prefetch(&at[g->target[edge - 2 * AHEAD]], 1);
                __builtin_prefetch(&g->in[at[g->target[edge - AHEAD]] - 1], 1);
            }
            g->in[--at[g->target[edge]]] = b | edges_class(g, edge) << EDGES_CLASS_AT;
        }
    }
    for (u32 i = s->root_edge_count; i-- > 0;)
        g->in[--at[s->root_edges[i].target]] = i | EDGES_ROOT;
}

bool graph_open(struct graph *g, const struct snapshot *s, u64 memory_limit, struct err *e)
{
    *g = (struct graph){.s = s, .memory_limit = memory_limit};
    if (!s->edge_row)
        return err_set(e, STATUS_UNSUPPORTED, "the snapshot was taken without references");
    if (!nests_build(g, e))
        return false;
    g->in_count = (u64)g->edge_count + s->root_edge_count;
    if (s->block_count > EDGES_MAX_BLOCK || g->in_count > UINT32_MAX ||
        s->root_edge_count >= EDGES_ROOT) {
        nests_free(g);
        return err_set(e, STATUS_LIMIT, "%u blocks with %llu references are too many for a graph",
                       s->block_count, (unsigned long long)g->in_count);
    }
    if (make_classes(g, e))
        return true;
    graph_free(g);
    return false;
}

bool graph_rows(struct graph *g, struct err *e)
{
    u64 rows = (u64)g->s->block_count + 2;
    if (g->in_row)
        return true;
    u32 *in_row = memory_take(g, rows, sizeof *in_row, e);
    g->in = in_row ? memory_take(g, g->in_count, sizeof *g->in, e) : NULL;
    if (!g->in) {
        memory_give(g, in_row, rows, sizeof *in_row);
        return false;
    }
    g->in_row = in_row;
    count_rows(g);
    fill_rows(g);
    return true;
}

bool graph_build(struct graph *g, const struct snapshot *s, u64 memory_limit, struct err *e)
{
    if (!graph_open(g, s, memory_limit, e))
        return false;
    if (graph_rows(g, e))
        return true;
    graph_free(g);
    return false;
}

void graph_free(struct graph *g)
{
    if (!g->s)
        return;
    u64 words = ((u64)g->edge_count + 63) / 64;
    memory_give(g, g->interior, words, sizeof *g->interior);
    memory_give(g, g->tail, words, sizeof *g->tail);
    memory_give(g, g->in_row, (u64)g->s->block_count + 2, sizeof *g->in_row);
    memory_give(g, g->in, g->in_count, sizeof *g->in);
    nests_free(g);
    *g = (struct graph){0};
}
