/* SPDX-License-Identifier: MIT
 *
 * made.h - made-up heaps: blocks and references that a test adds one by one or at random, the
 * snapshot of them, and the naive answers that the graph's are held against.
 *
 * Invariant: what is here knows nothing of src/graph but the meaning of its bits; the oracles go
 * over the list of references again and again until nothing changes.
 */
#ifndef TESTS_UNIT_GRAPH_MADE_H
#define TESTS_UNIT_GRAPH_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"

enum { MADE_ROOM = 200 }; /* references that a random block may have */

struct made_edge {
    u32 source; /* block id; 0 = from a root of that kind */
    u32 kind;
    u32 word, target, into;
};

struct made {
    u32 blocks;
    struct made_edge *edges;
    u32 count, room;
    u32 *words; /* by block id: words that have a reference so far */
    u32 root_words[SNAPSHOT_ROOT_LIMIT];
    u32 *used; /* by block id: words in use, UINT32_MAX = all */
};

static inline void made_begin(struct made *m, u32 blocks)
{
    *m = (struct made){.blocks = blocks};
    m->words = calloc(blocks + 1, sizeof *m->words);
    m->used = malloc((blocks + 1) * sizeof *m->used);
    assert_true(m->words && m->used);
    memset(m->used, 0xff, (blocks + 1) * sizeof *m->used);
}

static inline void made_end(struct made *m)
{
    free(m->edges);
    free(m->words);
    free(m->used);
}

static inline void made_add(struct made *m, struct made_edge edge)
{
    if (m->count == m->room) {
        m->room = m->room ? 2 * m->room : 64;
        m->edges = realloc(m->edges, m->room * sizeof *m->edges);
        assert_non_null(m->edges);
    }
    m->edges[m->count++] = edge;
}

/* A reference in the next word of the source. */
static inline void made_ref(struct made *m, u32 source, u32 target)
{
    made_add(m, (struct made_edge){source, 0, m->words[source]++, target, 0});
}

static inline void made_into(struct made *m, u32 source, u32 target, u32 into)
{
    made_add(m, (struct made_edge){source, 0, m->words[source]++, target, into});
}

static inline void made_root(struct made *m, u32 kind, u32 target)
{
    made_add(m, (struct made_edge){0, kind, m->root_words[kind]++, target, 0});
}

static inline u32 made_class(const struct made *m, const struct made_edge *x)
{
    u32 class = x->into ? GRAPH_INTERIOR : 0;
    if (x->source)
        return class | (x->word >= m->used[x->source] ? GRAPH_TAIL : 0);
    return class | (x->kind == SNAPSHOT_ROOT_DEAD_STACK ? GRAPH_WEAK_ROOT : 0);
}

/* Every block has room for its references and for 32 bytes that others may point into. */
static inline u64 made_bytes(const struct made *m, u32 block)
{
    return 32 + 8 * (u64)m->words[block] + block % 8;
}

static inline int made_order(const void *x, const void *y)
{
    const struct made_edge *a = x, *b = y;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->word < b->word ? -1 : a->word > b->word;
}

static inline void made_blocks(const struct made *m, struct snapshot_writer *w)
{
    u64 *addr = snapshot_writer_whole(w, SNAPSHOT_BLOCK_ADDR, m->blocks);
    u32 *size = snapshot_writer_whole(w, SNAPSHOT_BLOCK_SIZE, m->blocks);
    snapshot_writer_whole(w, SNAPSHOT_BLOCK_STACK, m->blocks);
    u32 *birth = snapshot_writer_whole(w, SNAPSHOT_BLOCK_BIRTH, m->blocks);
    snapshot_writer_whole(w, SNAPSHOT_BLOCK_THREAD, m->blocks);
    snapshot_writer_whole(w, SNAPSHOT_EPOCHS, 4);
    u64 next = 0x10000;
    for (u32 b = 1; b <= m->blocks; b++) {
        addr[b - 1] = next;
        size[b - 1] = (u32)made_bytes(m, b);
        birth[b - 1] = b % 4;
        next = ROUND_UP(next + size[b - 1], 16UL);
    }
}

static inline void made_references(struct made *m, struct snapshot_writer *w)
{
    if (m->count)
        qsort(m->edges, m->count, sizeof *m->edges, made_order);
    struct snapshot_root *roots = snapshot_writer_whole(w, SNAPSHOT_ROOTS, SNAPSHOT_ROOT_LIMIT - 1);
    for (u32 k = 1; k < SNAPSHOT_ROOT_LIMIT; k++)
        roots[k - 1] = (struct snapshot_root){
            .lo = (u64)k << 40, .hi = ((u64)k << 40) + 8ul * m->root_words[k], .kind = k};
    u32 held = 0, intos = 0, tails = 0;
    while (held < m->count && m->edges[held].source == 0)
        held++;
    for (u32 i = held; i < m->count; i++)
        intos += m->edges[i].into != 0;
    for (u32 b = 1; b <= m->blocks; b++)
        tails += m->used[b] != UINT32_MAX;

    struct snapshot_root_edge *root_edges = snapshot_writer_whole(w, SNAPSHOT_ROOT_EDGES, held);
    u32 *row = snapshot_writer_whole(w, SNAPSHOT_EDGE_ROW, (u64)m->blocks + 1);
    u32 *target = snapshot_writer_whole(w, SNAPSHOT_EDGE_TARGET, m->count - held);
    u16 *at = snapshot_writer_whole(w, SNAPSHOT_EDGE_AT, m->count - held);
    struct snapshot_edge_into *into = snapshot_writer_whole(w, SNAPSHOT_EDGE_INTO, intos);
    struct snapshot_tail *tail = snapshot_writer_whole(w, SNAPSHOT_TAILS, tails);
    struct snapshot_edge_far *far = NULL;
    snapshot_writer_section(w, SNAPSHOT_EDGE_FAR);
    for (u32 i = 0; i < m->count; i++) {
        const struct made_edge *x = &m->edges[i];
        u32 edge = i - held;
        if (i < held) {
            root_edges[i] = (struct snapshot_root_edge){x->kind, x->word, x->target, x->into};
            continue;
        }
        row[x->source] = edge + 1;
        target[edge] = x->target;
        at[edge] = (u16)x->word;
        bool new_row = i == held || x[-1].source != x->source;
        if (x->word >> 16 != (new_row ? 0 : x[-1].word >> 16)) {
            far = snapshot_writer_add(w, 1);
            *far = (struct snapshot_edge_far){edge, x->word >> 16};
        }
        if (x->into)
            *into++ = (struct snapshot_edge_into){edge, x->into};
    }
    for (u32 b = 1; b <= m->blocks; b++) {
        row[b] = row[b] > row[b - 1] ? row[b] : row[b - 1];
        if (m->used[b] != UINT32_MAX)
            *tail++ = (struct snapshot_tail){.block = b, .used = 8ul * m->used[b]};
    }
}

/* The snapshot of what was added. Sorts the edges: roots' first, then by source. */
static inline void made_open(struct made *m, struct snapshot *s)
{
    struct snapshot_writer w;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, (1ul << 20) + 64ul * m->blocks + 64ul * m->count));
    struct snapshot_meta *meta = snapshot_writer_whole(&w, SNAPSHOT_META, 1);
    meta->flags = SNAPSHOT_FLAG_GRAPH;
    snapshot_writer_whole(&w, SNAPSHOT_STRINGS, 1);
    made_blocks(m, &w);
    made_references(m, &w);
    if (!snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

/* A made heap, its snapshot and its graph. */
struct opened {
    struct snapshot s;
    struct graph g;
    u32 words;
};

static inline void opened_begin(struct opened *o, struct made *m)
{
    struct err e = {0};
    made_open(m, &o->s);
    if (!graph_build(&o->g, &o->s, UINT64_MAX, &e))
        fail_msg("%s", e.text);
    o->words = graph_set_words(&o->s);
}

static inline void opened_end(struct opened *o)
{
    graph_free(&o->g);
    snapshot_close(&o->s);
}

static inline u64 *opened_set(const struct opened *o)
{
    u64 *set = calloc(o->words ? o->words : 1, sizeof *set);
    assert_non_null(set);
    return set;
}

/* Fails with the message when the graph could not answer. */
#define ANSWERED(call)                                                                             \
    do {                                                                                           \
        struct err e = {0};                                                                        \
        if (!(call))                                                                               \
            fail_msg("%s", e.text);                                                                \
    } while (0)

/* --- chance -------------------------------------------------------------------------------- */

/* Seeded by the clock unless MOONHEAP_TEST_SEED says otherwise; the seed is printed. */
static inline u64 made_seed(void)
{
    const char *text = getenv("MOONHEAP_TEST_SEED");
    u64 seed = text ? strtoull(text, NULL, 0) : sys_monotonic_ns();
    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64; a number below `limit`. */
static inline u32 made_random(u64 *state, u32 limit)
{
    u64 z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (u32)((z ^ (z >> 31)) % limit);
}

/* Sparse and dense, with weak references of every class, cycles, references to oneself, several
 * from one block to another, and blocks that nobody holds. */
static inline void made_at_random(struct made *m, u64 *state, u32 most)
{
    made_begin(m, 1 + made_random(state, most));
    u32 edges = made_random(state, 3 * m->blocks + 1);
    for (u32 i = 0; i < edges; i++) {
        u32 source = 1 + made_random(state, m->blocks), target = 1 + made_random(state, m->blocks);
        if (m->words[source] >= MADE_ROOM)
            continue;
        m->words[source] += made_random(state, 4) == 0; /* words without a reference */
        made_into(m, source, target, made_random(state, 4) ? 0 : 1 + made_random(state, 31));
    }
    u32 roots = 1 + made_random(state, 6);
    for (u32 i = 0; i < roots; i++) {
        u32 kind = 1 + made_random(state, SNAPSHOT_ROOT_LIMIT - 1);
        u32 into = made_random(state, 4) ? 0 : 1 + made_random(state, 31);
        made_add(m, (struct made_edge){0, kind, m->root_words[kind]++,
                                       1 + made_random(state, m->blocks), into});
    }
    for (u32 b = 1; b <= m->blocks; b++)
        if (made_random(state, 8) == 0)
            m->used[b] = made_random(state, m->words[b] + 1);
}

static inline u32 made_include(u64 *state)
{
    return made_random(state, GRAPH_ANY + 1);
}

/* --- oracles ------------------------------------------------------------------------------- */

/* dist[b] = references from a root (or from `from`, when not 0) to b, 0 = not reached; without one
 * block (0 = none). Bellman and Ford: over all references until nothing gets nearer. */
static inline void made_distances(const struct made *m, u32 include, u32 from, u32 without,
                                  u32 *dist)
{
    memset(dist, 0, (m->blocks + 1) * sizeof *dist);
    if (from)
        dist[from] = 1;
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 i = 0; i < m->count; i++) {
            const struct made_edge *x = &m->edges[i];
            if (made_class(m, x) & ~include)
                continue;
            if (without && (x->target == without || x->source == without))
                continue;
            if (x->source == 0 ? from != 0 : dist[x->source] == 0)
                continue;
            u32 next = x->source ? dist[x->source] + 1 : 1;
            if (dist[x->target] == 0 || dist[x->target] > next) {
                dist[x->target] = next;
                changed = true;
            }
        }
    }
}

#endif
