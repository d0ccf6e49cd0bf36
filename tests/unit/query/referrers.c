/* SPDX-License-Identifier: MIT
 *
 * Tests of blocks put together by what refers to them, against sets of kinds as bits.
 */
#include "query.h"

enum { BLOCKS = 150, TYPES = 5, WORDS = 16 };

static void random_world(struct world *w, u64 *state, u32 *type_of)
{
    static const char *const makers[TYPES] = {"a", "b", "c", "d", "e"};
    u32 stacks[TYPES];
    world_begin(w);
    w->flags = SNAPSHOT_FLAG_GRAPH;
    for (u32 i = 0; i < TYPES; i++)
        stacks[i] = world_calls(w, "main", makers[i], NULL);
    for (u32 i = 0; i < BLOCKS; i++) {
        type_of[i + 1] = (u32)(test_random(state) % TYPES);
        world_block(w, 0x10000 + 0x100 * i, 8 * WORDS, stacks[type_of[i + 1]]);
    }
    u32 root =
        world_root(w, (struct snapshot_root){
                          .lo = 0x400000, .hi = 0x401000, .kind = SNAPSHOT_ROOT_DATA, .module = 1});
    for (u32 i = 0; i < 10; i++)
        world_edge(w, (struct world_edge){0, root, i, 1 + (u32)(test_random(state) % BLOCKS), 0});
    for (u32 b = 1; b <= BLOCKS; b++)
        for (u32 word = 0; word < WORDS; word++)
            if (test_random(state) % 8 == 0)
                world_edge(
                    w, (struct world_edge){b, 0, word, 1 + (u32)(test_random(state) % BLOCKS), 0});
}

/* Bit (type, word) of each referrer, or the top one for a root. */
struct bits {
    u64 of[2];
};

static void expect(const struct world *w, const u32 *type_of, bool via, struct bits *want)
{
    memset(want, 0, (BLOCKS + 1) * sizeof *want);
    for (u32 i = 0; i < w->edge_count; i++) {
        const struct world_edge *x = &w->edges[i];
        u32 bit = x->source ? type_of[x->source] * WORDS + (via ? x->word : 0) : 127;
        want[x->target].of[bit / 64] |= 1ull << bit % 64;
    }
}

static void same_referrers_same_group(void **state)
{
    (void)state;
    static struct world w;
    u64 seed = test_seed();
    for (u32 round = 0; round < 30; round++) {
        struct opened o;
        struct graph g;
        struct err e = {0};
        u32 type_of[BLOCKS + 1];
        struct bits want[BLOCKS + 1];
        random_world(&w, &seed, type_of);
        opened_begin(&o, &w);
        assert_true(graph_build(&g, &o.s, UINT64_MAX, &e));
        struct query_set all = opened_all(&o);
        for (u32 via = 0; via < 2; via++) {
            struct query_grouping by;
            query_group_by_referrers(&by, &all, &g, via ? QUERY_KEY_VIA : QUERY_KEY_REFERRERS,
                                     &o.memory.memory, &o.memory.memory);
            expect(&w, type_of, via, want);
            for (u32 a = 1; a <= BLOCKS; a++)
                for (u32 b = 1; b < a; b++) {
                    bool same = !memcmp(&want[a], &want[b], sizeof *want);
                    assert_int_equal(by.map[a - 1] == by.map[b - 1], same);
                    assert_int_equal(!strcmp(by.texts[by.map[a - 1]], by.texts[by.map[b - 1]]),
                                     same);
                }
        }
        graph_free(&g);
        opened_end(&o);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_referrers_same_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
