/* SPDX-License-Identifier: MIT
 *
 * query.h - a world opened for queries.
 */
#ifndef TESTS_UNIT_QUERY_QUERY_H
#define TESTS_UNIT_QUERY_QUERY_H

#include "../types/world.h"
#include "query/query.h"

struct opened {
    struct world_memory memory;
    struct snapshot s;
    struct types t;
    struct query_view v;
};

static inline void opened_begin(struct opened *o, const struct world *w)
{
    world_open(w, &o->s);
    types_build(&o->t, &o->s, world_memory(&o->memory));
    query_view_init(&o->v, &o->s, &o->t);
}

static inline void opened_end(struct opened *o)
{
    world_forget(&o->memory);
    snapshot_close(&o->s);
}

static inline struct query_set opened_empty(struct opened *o)
{
    struct query_set set;
    query_set_init(&set, &o->v,
                   types_take(&o->memory.memory, query_set_words(&o->v), sizeof(u64)));
    return set;
}

static inline struct query_set opened_all(struct opened *o)
{
    struct query_set set = opened_empty(o);
    query_set_fill(&set);
    return set;
}

/* splitmix64, seeded by the clock unless MOONHEAP_TEST_SEED says otherwise; the seed is printed. */
static inline u64 test_seed(void)
{
    const char *text = getenv("MOONHEAP_TEST_SEED");
    u64 seed = text ? strtoull(text, NULL, 0) : sys_monotonic_ns();
    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static inline u64 test_random(u64 *state)
{
    u64 z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
