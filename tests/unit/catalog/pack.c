/* SPDX-License-Identifier: MIT
 *
 * Tests that tables become a whole catalogue, whatever they hold.
 */
#include "made.h"

static struct made made;
static struct catalog c;

static int finish(void **state)
{
    (void)state;
    made_end(&made);
    return 0;
}

static void sizes_and_depths_follow(void **state)
{
    (void)state;
    made_begin(&made);
    u32 pointer = made_pointer(&made, 0);
    u32 node = made_struct(&made, "node", 16);
    made_aim(&made, pointer, node);
    made_member(&made, node, "next", 0, pointer);
    u32 alias = made_typedef(&made, "node_t", node);
    u32 nodes = made_array(&made, alias, 3);
    u32 flexible = made_array(&made, alias, 0);
    u32 table = made_struct(&made, "table", 56);
    made_member(&made, table, "tail", 56, flexible);
    made_member(&made, table, "nodes", 8, nodes);
    made_finish(&made, &c);

    assert_int_equal(c.types[alias - 1].size, 16);
    assert_int_equal(c.types[nodes - 1].size, 48);
    assert_int_equal(c.types[flexible - 1].size, 0);
    assert_int_equal(c.types[pointer - 1].depth, 0);
    assert_int_equal(c.types[node - 1].depth, 1);
    assert_int_equal(c.types[table - 1].depth, 4);
    const struct catalog_type *t = &c.types[table - 1];
    assert_int_equal(t->count, 2);
    assert_string_equal(c.strings + c.members[t->first].name, "nodes");
    assert_string_equal(c.strings + c.members[t->first + 1].name, "tail");
}

static void circles_are_cut(void **state)
{
    (void)state;
    made_begin(&made);
    u32 one = made_typedef(&made, "one", 0), two = made_typedef(&made, "two", one);
    made_aim(&made, one, two);
    u32 in = made_struct(&made, "matryoshka", 8);
    made_member(&made, in, "itself", 0, in);
    u32 row = made_array(&made, 0, 2);
    made_aim(&made, row, row);
    made_finish(&made, &c);
    assert_int_equal(catalog_plain(&c, one), 0);
    assert_int_equal(catalog_plain(&c, two), 0);
    assert_int_equal(c.types[in - 1].count, 0);
    assert_int_equal(c.types[in - 1].size, 8);
    assert_int_not_equal(c.types[row - 1].kind, CATALOG_ARRAY);
}

static void the_outermost_of_too_many_layers_is_cut(void **state)
{
    (void)state;
    made_begin(&made);
    u32 type = made_base(&made, "int", 4);
    u32 at[CATALOG_DEPTH_MAX];
    for (u32 i = 0; i < COUNT_OF(at); i++) {
        at[i] = type = made_struct(&made, "layer", 8);
        made_member(&made, type, "in", 0, i ? at[i - 1] : 1);
    }
    made_finish(&made, &c);
    assert_int_equal(c.types[at[COUNT_OF(at) - 2] - 1].count, 1);
    assert_int_equal(c.types[at[COUNT_OF(at) - 1] - 1].count, 0);
    assert_int_equal(c.types[at[COUNT_OF(at) - 1] - 1].size, 8);
}

static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    made_begin(&made);
    u32 number = made_base(&made, "long", 8);
    u32 holder = made_struct(&made, "holder", 8);
    made_member(&made, holder, "inside", 0, number);
    made_member(&made, holder, "astride", 4, number);
    made_member(&made, holder, "beyond", 9, number);
    struct catalog_member *bits = made_member(&made, holder, "bits", 4, number);
    bits->bit_offset = 30;
    bits->bit_size = 2;
    bits = made_member(&made, holder, "wide", 4, number);
    bits->bit_offset = 30;
    bits->bit_size = 3;
    made_variable(&made, "first", 0x10, number);
    made_variable(&made, "again", 0x10, number);
    made_variable(&made, "empty", 0x30, made_array(&made, number, 0));
    made_variable(&made, "over the end", UINT64_MAX - 3, number);
    made_finish(&made, &c);
    assert_int_equal(c.types[holder - 1].count, 2);
    assert_string_equal(c.strings + c.members[1].name, "bits");
    assert_int_equal(c.variable_count, 1);
}

static void tables_that_disagree_are_refused(void **state)
{
    (void)state;
    struct err e;
    u64 size;
    made_begin(&made);
    u32 holder = made_struct(&made, "holder", 8);
    made_member(&made, holder, "in", 0, made_base(&made, "long", 8));
    struct catalog parts = made_parts(&made);
    made.members[0].type = 0;
    assert_null(catalog_pack(&parts, &size, &e));
    made.members[0].type = 3;
    assert_null(catalog_pack(&parts, &size, &e));
    made.members[0].type = 2;
    made.types[0].count = 2;
    assert_null(catalog_pack(&parts, &size, &e));
    made.types[0].count = 1;
    made.types[1].target = 7;
    assert_null(catalog_pack(&parts, &size, &e));
    made.types[1].target = 0;
    made.types[1].name = made.string_bytes;
    assert_null(catalog_pack(&parts, &size, &e));
    made.types[1].name = 0;
    made_finish(&made, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sizes_and_depths_follow, finish),
        cmocka_unit_test_teardown(circles_are_cut, finish),
        cmocka_unit_test_teardown(the_outermost_of_too_many_layers_is_cut, finish),
        cmocka_unit_test_teardown(what_does_not_fit_is_left_out, finish),
        cmocka_unit_test_teardown(tables_that_disagree_are_refused, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
