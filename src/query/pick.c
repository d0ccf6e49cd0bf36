/* SPDX-License-Identifier: MIT
 *
 * pick.c - a few blocks out of many: the largest, the oldest, those that retain most, or a fair
 * sample.
 *
 * Context: pure. Takes no memory: the caller's array is all there is.
 * Invariant: what is picked depends on the set (and the seed) alone.
 * Why a heap of n: one pass over the set, log n for the few blocks that enter. The sample is
 * selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S), which keeps the order of addresses.
 */
#include "query.h"

typedef u64 rank_fn(const void *context, block_id b);

static u64 by_size(const void *s, block_id b)
{
    return snapshot_block_bytes(s, b);
}

static u64 by_age(const void *s, block_id b)
{
    return snapshot_block_age_ns(s, b);
}

static u64 by_retained(const void *dominators, block_id b)
{
    return graph_retained_bytes(dominators, b);
}

/* Does a come before b in the answer? Ids ascend by address. */
static bool before(const void *s, rank_fn *rank, block_id a, block_id b)
{
    u64 x = rank(s, a), y = rank(s, b);
    return x != y ? x > y : a.v < b.v;
}

/* heap[0] is the one that comes last; sinks the block at `i`. */
static void sink(const void *s, rank_fn *rank, block_id *heap, u32 n, u32 i)
{
    for (;;) {
        u64 child = 2 * (u64)i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && before(s, rank, heap[child], heap[child + 1]))
            child++;
        if (!before(s, rank, heap[i], heap[child]))
            return;
        block_id moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
        i = (u32)child;
    }
}

static u32 pick(const struct query_set *set, block_id *out, u32 n, rank_fn *rank, const void *s)
{
    u32 held = 0;
    block_id b = {0};
    if (!n)
        return 0;
    QUERY_EACH (set, b) {
        if (held < n) {
            out[held++] = b;
            if (held == n)
                for (u32 i = n / 2; i-- > 0;)
                    sink(s, rank, out, n, i);
        } else if (before(s, rank, b, out[0])) {
            out[0] = b;
            sink(s, rank, out, n, 0);
        }
    }
    if (held < n)
        for (u32 i = held / 2; i-- > 0;)
            sink(s, rank, out, held, i);
    for (u32 left = held; left > 1; left--) { /* heapsort: the last one goes to the end */
        block_id last = out[0];
        out[0] = out[left - 1];
        out[left - 1] = last;
        sink(s, rank, out, left - 1, 0);
    }
    return held;
}

u32 query_pick_largest(const struct query_set *s, block_id *out, u32 n)
{
    return pick(s, out, n, by_size, s->view->snapshot);
}

u32 query_pick_oldest(const struct query_set *s, block_id *out, u32 n)
{
    return pick(s, out, n, by_age, s->view->snapshot);
}

u32 query_pick_retaining(const struct query_set *s, const struct graph_dominators *d, block_id *out,
                         u32 n)
{
    return pick(s, out, n, by_retained, d);
}

/* splitmix64 */
static u64 random_next(u64 *state)
{
    u64 z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

u32 query_pick_sample(const struct query_set *s, block_id *out, u32 n, u64 seed)
{
    u32 left = query_set_blocks(s), held = 0;
    block_id b = {0};
    QUERY_EACH (s, b) {
        /* chosen with probability (still wanted) / (still to come) */
        u64 draw = (u64)(((unsigned __int128)random_next(&seed) * left) >> 64);
        left--;
        if (held < n && draw < n - held)
            out[held++] = b;
    }
    return held;
}
