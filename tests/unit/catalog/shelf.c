/* SPDX-License-Identifier: MIT
 *
 * Tests of the shelf: a catalogue is found by build-id, also when it comes later, and opened once.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "made.h"

static void found_when_it_is_there(void **state)
{
    (void)state;
    static struct made m;
    char folder[] = "/tmp/moonheap-shelf.XXXXXX", variable[100], path[300];
    char *environment[] = {variable, NULL};
    struct err e = {0};
    u64 size = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(variable, sizeof variable, "MOONHEAP_CATALOG=%s", folder);
    struct catalog_shelf *shelf = catalog_shelf_create(environment);
    assert_non_null(shelf);

    made_begin(&m);
    made_base(&m, "int", 4);
    u32 bytes = sizeof m.build_id;
    assert_null(catalog_shelf_find(shelf, m.build_id, bytes));
    assert_null(catalog_shelf_find(shelf, m.build_id, 0));
    assert_null(catalog_shelf_find(shelf, m.build_id, CATALOG_BUILD_ID_MAX + 1));

    struct catalog parts = made_parts(&m);
    void *file = catalog_pack(&parts, &size, &e);
    assert_true(catalog_path(environment, m.build_id, bytes, path, sizeof path));
    assert_true(catalog_save(file, size, path, &e));
    const struct catalog *c = catalog_shelf_find(shelf, m.build_id, bytes);
    assert_non_null(c);
    assert_int_equal(c->type_count, 1);

    assert_int_equal(unlink(path), 0);
    assert_ptr_equal(catalog_shelf_find(shelf, m.build_id, bytes), c); /* it stays open */
    u8 other[20] = {1, 2};
    assert_null(catalog_shelf_find(shelf, other, sizeof other));
    catalog_shelf_destroy(shelf);
    catalog_shelf_destroy(NULL);
    free(file);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_when_it_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
