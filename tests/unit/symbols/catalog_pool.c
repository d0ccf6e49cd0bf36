/* SPDX-License-Identifier: MIT
 *
 * Tests of what the builder of catalogues keeps its findings in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "symbols/catalog_pool.h"

enum { MANY = 100000 };

static void lists_grow(void **state)
{
    (void)state;
    struct err e = {0};
    struct catalog_pool pool = {.e = &e};
    CATALOG_LIST(u64) list = {0};
    assert_int_equal(setjmp(pool.out), 0);
    for (u64 i = 0; i < MANY; i++)
        *CATALOG_ADD(&pool, &list) = i * i;
    assert_int_equal(list.count, MANY);
    for (u64 i = 0; i < MANY; i++)
        assert_int_equal(list.at[i], i * i);
    free(list.at);
}

static void maps_keep_what_they_grow_around(void **state)
{
    (void)state;
    struct err e = {0};
    struct catalog_pool pool = {.e = &e};
    struct catalog_map map = {0};
    assert_int_equal(setjmp(pool.out), 0);
    assert_null(catalog_map_find(&map, 1));
    for (u32 i = 1; i <= MANY; i++)
        *catalog_map_add(&pool, &map, (u64)i << 4) = i;
    for (u32 i = 1; i <= MANY; i++) {
        assert_non_null(catalog_map_find(&map, (u64)i << 4));
        assert_int_equal(*catalog_map_find(&map, (u64)i << 4), i);
        assert_null(catalog_map_find(&map, ((u64)i << 4) + 1));
    }
    assert_int_equal(*catalog_map_add(&pool, &map, 16), 1);
    assert_int_equal(map.count, MANY);
    catalog_map_free(&map);
    assert_null(catalog_map_find(&map, 16));
}

static void a_text_is_kept_once(void **state)
{
    (void)state;
    struct err e = {0};
    struct catalog_pool pool = {.e = &e};
    struct catalog_strings strings = {0};
    assert_int_equal(setjmp(pool.out), 0);
    u32 session = catalog_strings_add(&pool, &strings, "session", 7);
    u32 part = catalog_strings_add(&pool, &strings, "session", 4);
    assert_int_not_equal(session, part);
    assert_int_equal(catalog_strings_add(&pool, &strings, "", 0), 0);
    assert_int_equal(catalog_strings_add(&pool, &strings, "session", 7), session);
    assert_int_equal(catalog_strings_add(&pool, &strings, "sess", 4), part);
    assert_string_equal(strings.bytes.at + session, "session");
    assert_string_equal(strings.bytes.at + part, "sess");
    assert_string_equal(strings.bytes.at, "");
    free(strings.bytes.at);
    catalog_map_free(&strings.by_hash);
}

static void failure_leaves_through_the_jump(void **state)
{
    (void)state;
    struct err e = {0};
    struct catalog_pool pool = {.e = &e};
    if (setjmp(pool.out) == 0) {
        catalog_pool_fail(&pool, STATUS_LIMIT, "more than %u", 7u);
        fail();
    }
    assert_int_equal(e.status, STATUS_LIMIT);
    assert_string_equal(e.text, "more than 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(maps_keep_what_they_grow_around),
        cmocka_unit_test(a_text_is_kept_once),
        cmocka_unit_test(failure_leaves_through_the_jump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
