/* SPDX-License-Identifier: MIT
 *
 * Tests of where catalogues are kept, and which files are trusted.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "made.h"

static struct made made;
static char folder[] = "/tmp/moonheap.catalog.XXXXXX", path[200];
static struct catalog c;

static int make_file(void **state)
{
    (void)state;
    struct err e;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/new/folders/file", folder);
    made_begin(&made);
    made_variable(&made, "answer", 0x40, made_base(&made, "int", 4));
    made_finish(&made, &c);
    return catalog_save(c.bytes, c.size, path, &e) ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    made_end(&made);
    unlink(path);
    for (int i = 0; i < 3; i++) {
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
    return 0;
}

static void is_mapped_as_it_was_saved(void **state)
{
    (void)state;
    struct catalog mapped;
    struct err e;
    struct stat st;
    assert_true(catalog_open(&mapped, path, &e));
    assert_int_equal(mapped.size, c.size);
    assert_memory_equal(mapped.bytes, c.bytes, c.size);
    assert_non_null(catalog_variable_at(&mapped, 0x40));
    catalog_close(&mapped);
    assert_null(mapped.bytes);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    struct catalog mapped;
    struct err e;
    assert_int_equal(chmod(path, 0620), 0);
    assert_false(catalog_open(&mapped, path, &e));
    assert_int_equal(e.status, STATUS_UNSAFE);
    assert_int_equal(chmod(path, 0600), 0);
}

static void what_is_no_catalogue_is_refused(void **state)
{
    (void)state;
    struct catalog mapped;
    struct err e;
    assert_false(catalog_open(&mapped, "/nowhere/at all", &e));
    assert_int_equal(e.status, STATUS_NOT_FOUND);
    assert_false(catalog_open(&mapped, folder, &e));
    assert_int_equal(e.status, STATUS_MALFORMED);
    assert_int_equal(truncate(path, 100), 0);
    assert_false(catalog_open(&mapped, path, &e));
    assert_int_equal(e.status, STATUS_MALFORMED);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(truncate(path, 0), 0);
    assert_false(catalog_open(&mapped, path, &e));
    assert_int_equal(e.status, STATUS_MALFORMED);
    assert_true(catalog_save(c.bytes, c.size, path, &e));
    assert_true(catalog_open(&mapped, path, &e));
    catalog_close(&mapped);
}

static void the_place_follows_the_environment(void **state)
{
    (void)state;
    const u8 id[] = {0xab, 0xcd, 0x01};
    char out[64];
    char *own[] = {"HOME=/home/me", "XDG_CACHE_HOME=/cache", "MOONHEAP_CATALOG=/cats", NULL};
    assert_true(catalog_path(own, id, 3, out, sizeof out));
    assert_string_equal(out, "/cats/ab/cd01");
    own[2] = NULL;
    assert_true(catalog_path(own, id, 3, out, sizeof out));
    assert_string_equal(out, "/cache/moonheap/catalog/ab/cd01");
    own[1] = "XDG_CACHE_HOME=not/absolute";
    assert_true(catalog_path(own, id, 3, out, sizeof out));
    assert_string_equal(out, "/home/me/.cache/moonheap/catalog/ab/cd01");
    assert_false(catalog_path(own, id, 3, out, 20));
    assert_false(catalog_path(own, id, 1, out, sizeof out));
    own[0] = NULL;
    assert_false(catalog_path(own, id, 3, out, sizeof out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_mapped_as_it_was_saved),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(what_is_no_catalogue_is_refused),
        cmocka_unit_test(the_place_follows_the_environment),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
