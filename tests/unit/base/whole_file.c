/* SPDX-License-Identifier: MIT
 *
 * A file is the old one until it is whole, and what fails leaves nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static char directory[64], path[96];

static int make_directory(void **unused)
{
    (void)unused;
    snprintf(directory, sizeof directory, "/tmp/moonheap-whole-XXXXXX");
    snprintf(path, sizeof path, "%s/file", mkdtemp(directory));
    return 0;
}

static int remove_directory(void **unused)
{
    (void)unused;
    unlink(path);
    return rmdir(directory); /* fails when a test left anything else */
}

static void save(const char *text)
{
    struct whole_file f;
    struct err e = {0};
    assert_true(whole_file_begin(&f, path, &e));
    assert_true(whole_file_write(&f, text, strlen(text), &e));
    assert_true(whole_file_end(&f, true, &e));
}

static void assert_file_is(const char *text)
{
    char found[64] = "";
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, found, sizeof found - 1) >= 0);
    close(fd);
    assert_string_equal(found, text);
}

static u32 files(void)
{
    u32 count = 0;
    DIR *d = opendir(directory);
    for (struct dirent *at; (at = readdir(d)) != NULL;)
        count += at->d_name[0] != '.';
    closedir(d);
    return count;
}

static void it_is_the_old_one_until_the_end(void **unused)
{
    (void)unused;
    struct whole_file f;
    struct err e = {0};
    save("old");
    assert_true(whole_file_begin(&f, path, &e));
    assert_true(whole_file_write(&f, "ne", 2, &e));
    assert_file_is("old");
    assert_true(whole_file_write(&f, "w", 1, &e));
    assert_true(whole_file_end(&f, true, &e));
    assert_file_is("new");
    assert_int_equal(files(), 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_given_up_leaves_nothing(void **unused)
{
    (void)unused;
    struct whole_file f;
    struct err e = {0};
    save("old");
    assert_true(whole_file_begin(&f, path, &e));
    assert_true(whole_file_write(&f, "new", 3, &e));
    assert_false(whole_file_end(&f, false, &e));
    assert_file_is("old");
    assert_int_equal(files(), 1);
}

static void a_full_disk_is_an_error(void **unused)
{
    (void)unused;
    struct whole_file f;
    struct err e = {0};
    save("old");
    struct rlimit before, small = {.rlim_cur = 4096};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_true(whole_file_begin(&f, path, &e));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char much[10000];
    bool written = whole_file_write(&f, much, sizeof much, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(whole_file_end(&f, written, &e));
    assert_int_equal(e.status, STATUS_IO);
    assert_non_null(strstr(e.text, path));
    assert_file_is("old");
    assert_int_equal(files(), 1);
}

static void where_no_file_can_be_is_said(void **unused)
{
    (void)unused;
    struct whole_file f;
    struct err e = {0};
    assert_false(whole_file_begin(&f, "/nonexistent/file", &e));
    assert_int_equal(e.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(e.text, "/nonexistent/file"));
    save("old");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(whole_file_begin(&f, path, &e));
    assert_false(whole_file_end(&f, true, &e)); /* a directory is in its place */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(files(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_old_one_until_the_end),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(where_no_file_can_be_is_said),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
