/* SPDX-License-Identifier: MIT
 *
 * Tests of paths folded by shape.
 */
#include "made.h"

enum { TABLE = 100, NODE, NAME, OTHER };

static u32 kind_of_block(void *context, block_id b)
{
    return ((const u32 *)context)[b.v];
}

static u32 kind_of_root(void *context, u32 root_edge)
{
    (void)context;
    return root_edge + 1000;
}

/* The kinds of a shape from the root down: "1001 100 101*", a star where paths came back. */
static const char *text_of(const struct graph_clusters *c, u32 shape)
{
    static char text[4000];
    char before[4000];
    text[0] = '\0';
    for (; shape; shape = c->shapes[shape].parent) {
        memcpy(before, text, sizeof before);
        text_format(text, sizeof text, "%u%s%s%s", c->shapes[shape].kind,
                    c->shapes[shape].folded ? "*" : "", before[0] ? " " : "", before);
    }
    return text;
}

/* A table of lists of nodes with a name each, one list from a second root, and a block that nobody
 * holds: the shapes are those of a person's sketch of it. */
static void a_hash_table_folds_to_its_sketch(void **state)
{
    (void)state;
    enum { LISTS = 10, LENGTH = 20, NODES = LISTS * LENGTH };
    struct made m;
    struct opened o;
    struct graph_tree t;
    struct graph_clusters c;
    struct graph_ask ask = {0};
    static u32 kinds_of[2 * NODES + 3];
    struct graph_kinds kinds = {kind_of_block, kind_of_root, kinds_of};
    u32 lost = 2 * NODES + 2;

    made_begin(&m, lost);
    made_root(&m, SNAPSHOT_ROOT_DATA, 1);
    kinds_of[1] = TABLE;
    kinds_of[lost] = OTHER;
    for (u32 i = 0; i < NODES; i++) {
        u32 node = 2 + 2 * i, name = node + 1;
        kinds_of[node] = NODE;
        kinds_of[name] = NAME;
        made_ref(&m, node, name);
        if (i % LENGTH)
            made_ref(&m, node - 2, node);
        else if (i)
            made_ref(&m, 1, node);
        else
            made_root(&m, SNAPSHOT_ROOT_DATA, node);
    }
    opened_begin(&o, &m);
    u64 *set = opened_set(&o), *out = opened_set(&o);
    for (u32 b = 2; b <= lost; b++)
        if (kinds_of[b] != NODE)
            graph_set_add(set, (block_id){b});
    ANSWERED(graph_tree(&o.g, &ask, &t, &e));
    ANSWERED(graph_clusters(&o.g, &t, set, &kinds, &c, &e));

    assert_int_equal(c.cluster_count, 3);
    assert_string_equal(text_of(&c, c.order[0]), "1001 100 101* 102");
    assert_int_equal(c.shapes[c.order[0]].count, (LISTS - 1) * LENGTH);
    assert_string_equal(text_of(&c, c.order[1]), "1002 101* 102");
    assert_int_equal(c.shapes[c.order[1]].count, LENGTH);
    assert_int_equal(c.shapes[c.order[1]].first.v, 3);
    assert_int_equal(c.order[2], 0);
    assert_int_equal(c.shapes[0].count, 1);
    assert_int_equal(c.shapes[0].bytes, made_bytes(&m, lost));

    u64 bytes = 0;
    graph_cluster_members(&o.g, &c, set, c.order[1], out);
    for (u32 b = 1; b <= lost; b++) {
        bool mine = b > 2 && b <= 1 + 2 * LENGTH && b % 2;
        assert_int_equal(graph_set_has(out, (block_id){b}), mine);
        bytes += mine ? made_bytes(&m, b) : 0;
    }
    assert_int_equal(c.shapes[c.order[1]].bytes, bytes);
    graph_cluster_members(&o.g, &c, set, 0, out);
    assert_true(graph_set_has(out, (block_id){lost}));

    graph_clusters_free(&o.g, &c);
    graph_tree_free(&o.g, &t);
    free(set);
    free(out);
    opened_end(&o);
    made_end(&m);
}

/* Each block's shape is its path with every return to an earlier kind cut out. */
static void every_shape_is_its_path_folded(void **state)
{
    (void)state;
    u64 seed = made_seed();
    u32 folded = 0;
    for (u32 round = 0; round < 300; round++) {
        struct made m;
        struct opened o;
        struct graph_tree t;
        struct graph_clusters c;
        u32 kinds_of[100], total = 0;
        struct graph_kinds kinds = {kind_of_block, kind_of_root, kinds_of};
        made_at_random(&m, &seed, 90);
        opened_begin(&o, &m);
        struct graph_ask ask = {.include = made_include(&seed)};
        u64 *set = opened_set(&o);
        u32 kind_count = 1 + made_random(&seed, 8);
        for (u32 b = 1; b <= m.blocks; b++) {
            kinds_of[b] = made_random(&seed, kind_count);
            if (made_random(&seed, 2))
                graph_set_add(set, (block_id){b});
        }
        ANSWERED(graph_tree(&o.g, &ask, &t, &e));
        ANSWERED(graph_clusters(&o.g, &t, set, &kinds, &c, &e));
        for (u32 b = 1; b <= m.blocks; b++) {
            struct graph_path p;
            u32 way[100], length = 0;
            if (!graph_set_has(set, (block_id){b}))
                continue;
            ANSWERED(graph_tree_path(&o.g, &t, (block_id){b}, &p, &e));
            for (u32 i = 0; i < p.count; i++) {
                u32 at = 0;
                while (at < length && way[at] != kinds_of[p.steps[i].v])
                    at++;
                way[at] = kinds_of[p.steps[i].v];
                length = at + 1;
            }
            folded += length < p.count;
            u32 shape = c.shape_of[b];
            assert_int_equal(shape != 0, p.count != 0);
            for (; length > 0; shape = c.shapes[shape].parent)
                assert_int_equal(c.shapes[shape].kind, way[--length]);
            if (p.count) {
                assert_int_equal(c.shapes[shape].kind, p.root_edge + 1000);
                assert_int_equal(c.shapes[shape].parent, 0);
            }
            graph_path_free(&o.g, &p);
        }
        for (u32 i = 0; i < c.cluster_count; i++) {
            total += c.shapes[c.order[i]].count;
            if (i > 0)
                assert_true(c.shapes[c.order[i - 1]].count >= c.shapes[c.order[i]].count);
        }
        for (u32 i = 0; i < o.words; i++)
            total -= (u32)__builtin_popcountll(set[i]);
        assert_int_equal(total, 0);
        graph_clusters_free(&o.g, &c);
        graph_tree_free(&o.g, &t);
        free(set);
        opened_end(&o);
        made_end(&m);
    }
    assert_true(folded > 100);
}

/* As many shapes as blocks: the table of shapes grows many times. */
static void shapes_without_number(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct made m;
    struct opened o;
    struct graph_tree t;
    struct graph_clusters c;
    struct graph_ask ask = {0};
    u32 *kinds_of = calloc(MANY + 1, sizeof *kinds_of);
    struct graph_kinds kinds = {kind_of_block, kind_of_root, kinds_of};
    made_begin(&m, MANY);
    for (u32 b = 1; b <= MANY; b++) {
        kinds_of[b] = b;
        made_root(&m, SNAPSHOT_ROOT_DATA, b);
    }
    opened_begin(&o, &m);
    u64 *set = opened_set(&o);
    for (u32 b = 1; b <= MANY; b++)
        graph_set_add(set, (block_id){b});
    ANSWERED(graph_tree(&o.g, &ask, &t, &e));
    ANSWERED(graph_clusters(&o.g, &t, set, &kinds, &c, &e));
    assert_int_equal(c.cluster_count, MANY);
    assert_int_equal(c.shape_count, 2 * MANY + 1);
    graph_clusters_free(&o.g, &c);
    graph_tree_free(&o.g, &t);
    free(set);
    free(kinds_of);
    opened_end(&o);
    made_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_table_folds_to_its_sketch),
        cmocka_unit_test(every_shape_is_its_path_folded),
        cmocka_unit_test(shapes_without_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
