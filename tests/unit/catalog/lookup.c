/* SPDX-License-Identifier: MIT
 *
 * Tests of the questions that an accepted catalogue answers.
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

static void below_all_typedefs(void **state)
{
    (void)state;
    made_begin(&made);
    u32 number = made_base(&made, "int", 4);
    u32 one = made_typedef(&made, "one", number), two = made_typedef(&made, "two", one);
    u32 nothing = made_typedef(&made, "nothing", 0);
    made_finish(&made, &c);
    assert_int_equal(catalog_plain(&c, two), number);
    assert_int_equal(catalog_plain(&c, number), number);
    assert_int_equal(catalog_plain(&c, nothing), 0);
    assert_int_equal(catalog_plain(&c, 0), 0);
}

static void variables_by_address(void **state)
{
    (void)state;
    made_begin(&made);
    u32 number = made_base(&made, "long", 8);
    made_variable(&made, "high", 0x4010, made_array(&made, number, 4));
    made_variable(&made, "low", 0x4000, number);
    made_thread_local(&made, "mine", 0x10, number);
    made_finish(&made, &c);
    const struct catalog_variable *v = catalog_variable_at(&c, 0x4007);
    assert_non_null(v);
    assert_string_equal(c.strings + v->name, "low");
    assert_null(catalog_variable_at(&c, 0x4008));
    assert_null(catalog_variable_at(&c, 0x3fff));
    v = catalog_variable_at(&c, 0x402f);
    assert_non_null(v);
    assert_string_equal(c.strings + v->name, "high");
    assert_int_equal(v->size, 32);
    assert_null(catalog_variable_at(&c, 0x4030));
    assert_null(catalog_variable_at(&c, UINT64_MAX));
    assert_non_null(catalog_thread_local_at(&c, 0x17));
    assert_null(catalog_thread_local_at(&c, 0x18));
}

/* outer    |----------------------|          other |---|
 * inlined      |-------|    |---|
 * within it      |---|                                       */
static void functions_by_address_innermost_first(void **state)
{
    (void)state;
    made_begin(&made);
    made.code_base = 0x1000;
    u32 type = made_base(&made, "int", 4);
    u32 outer = made_function(&made, "outer", type, 0);
    u32 inlined = made_function(&made, "inlined", 0, type);
    u32 within = made_function(&made, "within", type, type);
    u32 other = made_function(&made, "other", type, 0);
    made_range(&made, other, 0x200, 0x10);
    made_range(&made, outer, 0, 0x100);
    made_range(&made, within, 0x20, 0x10);
    made_range(&made, inlined, 0x10, 0x40);
    made_range(&made, inlined, 0x80, 0x10);
    made_range(&made, within, 0xf0, 0x20); /* astride: left out */
    made_finish(&made, &c);
    assert_int_equal(c.range_count, 5);

    u32 found[4];
    assert_int_equal(catalog_functions_at(&c, 0x1025, found, 4), 3);
    assert_int_equal(found[0], within);
    assert_int_equal(found[1], inlined);
    assert_int_equal(found[2], outer);
    assert_int_equal(catalog_functions_at(&c, 0x1025, found, 2), 2);
    assert_int_equal(catalog_functions_at(&c, 0x1030, found, 4), 2);
    assert_int_equal(found[0], inlined);
    assert_int_equal(catalog_functions_at(&c, 0x1095, found, 4), 1);
    assert_int_equal(found[0], outer);
    assert_int_equal(catalog_functions_at(&c, 0x10ff, found, 4), 1);
    assert_int_equal(catalog_functions_at(&c, 0x1100, found, 4), 0);
    assert_int_equal(catalog_functions_at(&c, 0x120f, found, 4), 1);
    assert_int_equal(found[0], other);
    assert_int_equal(catalog_functions_at(&c, 0xfff, found, 4), 0);
    assert_int_equal(catalog_functions_at(&c, UINT64_MAX, found, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(below_all_typedefs, finish),
        cmocka_unit_test_teardown(variables_by_address, finish),
        cmocka_unit_test_teardown(functions_by_address_innermost_first, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
