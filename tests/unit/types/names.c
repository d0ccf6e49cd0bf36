/* SPDX-License-Identifier: MIT
 *
 * Tests of the table of names: dense ids, one a name, in a table that is filled to its promise.
 */
#include "world.h"

static void ids_are_dense_and_stable(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct world_memory memory;
    struct types_names n;
    char text[32];
    types_names_init(&n, MANY, world_memory(&memory));
    assert_int_equal(types_names_find(&n, "unknown"), 0);
    for (u32 i = 1; i <= MANY; i++) {
        text_format(text, sizeof text, "name %u", i);
        assert_int_equal(types_names_find(&n, text), TYPES_NO_NAME);
        assert_int_equal(types_names_copy(&n, text, &memory.memory), i);
        assert_int_equal(types_names_copy(&n, text, &memory.memory), i);
    }
    for (u32 i = 1; i <= MANY; i++) {
        text_format(text, sizeof text, "name %u", i);
        assert_int_equal(types_names_find(&n, text), i);
        assert_string_equal(n.text[i], text);
    }
    assert_int_equal(n.count, MANY + 1);
    world_forget(&memory);
}

static void more_than_promised_is_unknown(void **state)
{
    (void)state;
    struct world_memory memory;
    struct types_names n;
    types_names_init(&n, 1, world_memory(&memory));
    assert_int_equal(types_names_add(&n, "a"), 1);
    assert_int_equal(types_names_add(&n, "b"), 0);
    assert_int_equal(types_names_add(&n, "a"), 1);
    world_forget(&memory);
}

static void added_names_are_not_copied(void **state)
{
    (void)state;
    static const char name[] = "kept";
    struct world_memory memory;
    struct types_names n;
    types_names_init(&n, 3, world_memory(&memory));
    assert_ptr_equal(n.text[types_names_add(&n, name)], name);
    world_forget(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_dense_and_stable),
        cmocka_unit_test(more_than_promised_is_unknown),
        cmocka_unit_test(added_names_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
