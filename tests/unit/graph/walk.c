/* SPDX-License-Identifier: MIT
 *
 * Tests of references one by one: from both sides they are the ones that were made, with their
 * offsets.
 */
#include "made.h"

static bool is_edge(const struct made *m, const struct graph_ref *ref, const struct made_edge *x)
{
    u64 offset = x->source ? 8ul * x->word : ((u64)x->kind << 40) + 8ul * x->word;
    return ref->source.v == x->source && ref->target.v == x->target && ref->offset == offset &&
           ref->into == x->into && ref->class == made_class(m, x) &&
           (ref->root_edge != 0) == (x->source == 0);
}

/* The walk gives the references that `mine` picks, in the order in which they were sorted. */
static void check_walk(const struct made *m, struct graph_walk w, u32 include, u32 block, bool back)
{
    struct graph_ref ref;
    for (u32 i = 0; i < m->count; i++) {
        const struct made_edge *x = &m->edges[i];
        if ((back ? x->target : x->source) != block || (made_class(m, x) & ~include))
            continue;
        assert_true(graph_next(&w, &ref));
        assert_true(is_edge(m, &ref, x));
        if (x->source == 0) {
            struct graph_ref same = graph_root_ref(w.g, ref.root_edge);
            assert_int_equal(ref.root_edge, i + 1);
            assert_true(is_edge(m, &same, x));
        }
    }
    assert_false(graph_next(&w, &ref));
    assert_false(graph_next(&w, &ref));
}

static void walks_meet_every_reference_once(void **state)
{
    (void)state;
    u64 seed = made_seed();
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        made_at_random(&m, &seed, 20);
        opened_begin(&o, &m);
        u32 include = made_include(&seed);
        for (u32 b = 1; b <= m.blocks; b++) {
            check_walk(&m, graph_referents(&o.g, include, (block_id){b}), include, b, false);
            check_walk(&m, graph_referrers(&o.g, include, (block_id){b}), include, b, true);
        }
        opened_end(&o);
        made_end(&m);
    }
}

static void neighbours_of_a_set(void **state)
{
    (void)state;
    u64 seed = made_seed();
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        made_at_random(&m, &seed, 90);
        opened_begin(&o, &m);
        u32 include = made_include(&seed);
        u64 *set = opened_set(&o), *out = opened_set(&o), *expected = opened_set(&o);
        for (u32 b = 1; b <= m.blocks; b++)
            if (made_random(&seed, 3) == 0)
                graph_set_add(set, (block_id){b});
        for (u32 back = 0; back < 2; back++) {
            memset(expected, 0, o.words * sizeof *expected);
            memset(out, 0xff, o.words * sizeof *out);
            for (u32 i = 0; i < m.count; i++) {
                const struct made_edge *x = &m.edges[i];
                u32 from = back ? x->target : x->source, to = back ? x->source : x->target;
                if (x->source && !(made_class(&m, x) & ~include) &&
                    graph_set_has(set, (block_id){from}))
                    graph_set_add(expected, (block_id){to});
            }
            if (back)
                graph_set_referrers(&o.g, include, set, out);
            else
                graph_set_referents(&o.g, include, set, out);
            assert_memory_equal(out, expected, o.words * sizeof *out);
        }
        free(set);
        free(out);
        free(expected);
        opened_end(&o);
        made_end(&m);
    }
}

/* References far into a large block: their words need more than 16 bits. */
static void offsets_beyond_half_a_megabyte(void **state)
{
    (void)state;
    struct made m;
    struct opened o;
    struct graph_ref ref;
    static const u32 words[] = {5, 0xffff, 0x10000, 0x10001, 0x57777, 0x80000};
    made_begin(&m, 3);
    for (u32 i = 0; i < COUNT_OF(words); i++) {
        m.words[1] = words[i];
        made_ref(&m, 1, 1 + i % 3);
    }
    made_ref(&m, 2, 3);
    opened_begin(&o, &m);
    struct graph_walk w = graph_referents(&o.g, GRAPH_STRONG, (block_id){1});
    for (u32 i = 0; i < COUNT_OF(words); i++) {
        assert_true(graph_next(&w, &ref));
        assert_int_equal(ref.offset, 8ul * words[i]);
    }
    w = graph_referrers(&o.g, GRAPH_STRONG, (block_id){3});
    assert_true(graph_next(&w, &ref));
    assert_int_equal(ref.offset, 8ul * words[2]);
    assert_true(graph_next(&w, &ref));
    assert_int_equal(ref.offset, 8ul * words[5]);
    assert_true(graph_next(&w, &ref));
    assert_int_equal(ref.source.v, 2);
    assert_int_equal(ref.offset, 0);
    opened_end(&o);
    made_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_meet_every_reference_once),
        cmocka_unit_test(neighbours_of_a_set),
        cmocka_unit_test(offsets_beyond_half_a_megabyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
