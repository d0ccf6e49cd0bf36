/* SPDX-License-Identifier: MIT
 *
 * Tests of who may have written a script. As root, files of other users can be made; without
 * that right those two tests are skipped.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    fake_write(&f, "debug_script.lua", "print 'ran'");
    return 0;
}

static int end(void **state)
{
    (void)state;
    chmod(f.folder, 0700);
    fake_end(&f);
    return 0;
}

static void refused(const char *message)
{
    const char *output = fake_again(&f);
    if (!strstr(output, message) || f.outcome.ok)
        fail_msg("'%s' is not in '%s'", message, output);
    assert_null(strstr(output, "ran\n"));
}

static void runs(void)
{
    assert_string_equal(fake_again(&f), "ran\n");
    assert_true(f.outcome.ok);
}

static void writable_files(void **state)
{
    (void)state;
    char advice[300];
    runs();
    snprintf(advice, sizeof advice, "other users can write it; `chmod go-w %s`", f.path);
    chmod(f.path, 0666);
    refused(advice);
    chmod(f.path, 0620);
    refused(advice);
    chmod(f.path, 0644);
    runs();
}

static void writable_folders(void **state)
{
    (void)state;
    char advice[300];
    snprintf(advice, sizeof advice, "other users can write its folder %s; `chmod go-w %s`",
             f.folder, f.folder);
    chmod(f.folder, 0777);
    refused(advice);
    chmod(f.folder, 0770);
    refused(advice);
    chmod(f.folder, 01777);
    runs();
    chmod(f.folder, 0755);
    runs();
}

static void what_is_no_file(void **state)
{
    (void)state;
    unlink(f.path);
    assert_int_equal(mkdir(f.path, 0700), 0);
    refused("it is not a regular file");
    rmdir(f.path);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    refused("it is not a regular file");
}

static void links_lead_to_their_file(void **state)
{
    (void)state;
    char real[200];
    snprintf(real, sizeof real, "%s/real.lua", f.folder);
    fake_write(&f, "real.lua", "print 'ran'");
    unlink(f.path);
    assert_int_equal(symlink(real, f.path), 0);
    runs();
    chmod(real, 0666);
    refused("other users can write it");

    char inner[200], hidden[220];
    snprintf(inner, sizeof inner, "%s/inner", f.folder);
    snprintf(hidden, sizeof hidden, "%s/x.lua", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(rename(real, hidden), 0);
    chmod(hidden, 0600);
    chmod(inner, 0777);
    unlink(f.path);
    assert_int_equal(symlink(hidden, f.path), 0);
    refused("other users can write its folder");
    chmod(inner, 0700);
    runs();
}

static void files_of_others(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(f.path, 12345, 12345), 0);
    refused("it belongs to user 12345; `chown 0 ");
    assert_int_equal(chown(f.path, 0, 0), 0);
    assert_int_equal(chown(f.folder, 12345, 12345), 0);
    refused("belongs to user 12345");
    assert_int_equal(chown(f.folder, 0, 0), 0);
    runs();
}

static void unreadable_files(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f.folder, 0755), 0);
    chmod(f.path, 0600); /* root's, and we are somebody else */
    fake_create(&f);
    assert_int_equal(seteuid(12345), 0);
    const char *output = fake_again(&f);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(output, "Permission denied"));
    assert_null(strstr(output, "create it"));
}

static void stamps_change_with_the_file(void **state)
{
    (void)state;
    char a[SCRIPT_STAMP_BYTES], b[SCRIPT_STAMP_BYTES];
    script_guard_stamp(f.path, a);
    script_guard_stamp(f.path, b);
    assert_string_equal(a, b);
    assert_true(*a);
    fake_write(&f, "debug_script.lua", "print 'ran'");
    script_guard_stamp(f.path, b);
    assert_string_not_equal(a, b);
    unlink(f.path);
    script_guard_stamp(f.path, b);
    assert_string_equal(b, "");
}

static void descriptors_are_closed(void **state)
{
    (void)state;
    int before = open("/dev/null", O_RDONLY);
    close(before);
    for (u32 i = 0; i < 3; i++) {
        fake_again(&f);
        chmod(f.path, i ? 0600 : 0666);
    }
    fake_run(&f, "x = =");
    fake_run(&f, "\x1bLua");
    int after = open("/dev/null", O_RDONLY);
    close(after);
    assert_int_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writable_files, begin, end),
        cmocka_unit_test_setup_teardown(writable_folders, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file, begin, end),
        cmocka_unit_test_setup_teardown(links_lead_to_their_file, begin, end),
        cmocka_unit_test_setup_teardown(files_of_others, begin, end),
        cmocka_unit_test_setup_teardown(unreadable_files, begin, end),
        cmocka_unit_test_setup_teardown(stamps_change_with_the_file, begin, end),
        cmocka_unit_test_setup_teardown(descriptors_are_closed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
