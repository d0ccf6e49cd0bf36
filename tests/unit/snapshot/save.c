/* SPDX-License-Identifier: MIT
 *
 * Tests of saving and loading: the same content comes back, unused room does not, and a file that
 * cannot be written or read gives a sentence with its path and leaves what was there.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"
#include "snapshot/layout.h"

static char folder[64];
static struct snapshot good;

static int prepare(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/moonheap-save.XXXXXX");
    assert_non_null(mkdtemp(folder));
    sample_open(&good);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static u32 files_in_folder(void)
{
    u32 count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));)
        count += entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static int clean_up(void **state)
{
    (void)state;
    snapshot_close(&good);
    unlink(in_folder("a"));
    unlink(in_folder("b"));
    return rmdir(folder);
}

static void comes_back_the_same(void **state)
{
    (void)state;
    struct snapshot s, again;
    struct err e = {0};
    if (!snapshot_save(&good, in_folder("a"), &e) || !snapshot_open_file(&s, in_folder("a"), &e))
        fail_msg("%s", e.text);
    assert_int_equal(s.block_count, good.block_count);
    assert_memory_equal(s.meta, good.meta, sizeof *s.meta);
    assert_memory_equal(s.block_addr, good.block_addr, s.block_count * sizeof *s.block_addr);
    assert_memory_equal(s.block_vtable, good.block_vtable, s.block_count * sizeof(u32));
    assert_int_equal(sample_walk(&s), sample_walk(&good));

    /* Room that the writer did not fill (here 100 records a column) is not in the file. */
    assert_true(s.size < good.size);
    struct stat st;
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_size, s.size);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(files_in_folder(), 1);

    /* Saving what was loaded gives the same bytes. */
    assert_true(snapshot_save(&s, in_folder("b"), &e));
    assert_true(snapshot_open_file(&again, in_folder("b"), &e));
    assert_int_equal(again.size, s.size);
    assert_memory_equal(again.bytes, s.bytes, s.size);
    snapshot_close(&again);
    snapshot_close(&s);
}

static void stays_as_checked_when_the_file_is_cut(void **state)
{
    (void)state;
    struct snapshot s;
    struct err e = {0};
    assert_true(snapshot_save(&good, in_folder("a"), &e));
    assert_true(snapshot_open_file(&s, in_folder("a"), &e));
    assert_int_equal(truncate(in_folder("a"), 0), 0);
    sample_walk(&s);
    snapshot_close(&s);
}

static void keeps_sections_that_it_does_not_know(void **state)
{
    (void)state;
    struct snapshot s, later;
    struct err e = {0};
    assert_true(snapshot_save(&good, in_folder("a"), &e));
    FILE *f = fopen(in_folder("a"), "r+");
    assert_non_null(f);
    struct snapshot_entry last;
#define X(name, code, bytes, help) +1
    enum { SECTIONS = SNAPSHOT_SECTIONS(X) };
#undef X
    long at = (long)(sizeof(struct snapshot_header) + (SECTIONS - 1) * sizeof last);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fread(&last, sizeof last, 1, f), 1);
    assert_int_equal(last.code, SNAPSHOT_FRAME_LINES);
    last.code = 4000;
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(&last, sizeof last, 1, f), 1);
    assert_int_equal(fclose(f), 0);

    assert_true(snapshot_open_file(&later, in_folder("a"), &e));
    assert_true(snapshot_save(&later, in_folder("b"), &e));
    assert_true(snapshot_open_file(&s, in_folder("b"), &e));
    assert_memory_equal(s.bytes, later.bytes, later.size);
    snapshot_close(&s);
    snapshot_close(&later);
}

static void says_what_cannot_be_read(void **state)
{
    (void)state;
    struct snapshot s;
    struct err e = {0};
    assert_false(snapshot_open_file(&s, in_folder("none"), &e));
    assert_int_equal(e.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(e.text, "/none: No such file"));
    assert_false(snapshot_open_file(&s, folder, &e));
    assert_non_null(strstr(e.text, "not a regular file"));

    FILE *f = fopen(in_folder("a"), "w");
    assert_int_equal(fclose(f), 0);
    assert_false(snapshot_open_file(&s, in_folder("a"), &e));
    assert_non_null(strstr(e.text, "the file is empty"));
    f = fopen(in_folder("a"), "w");
    for (u32 i = 0; i < 100; i++)
        fputs("-- a script\n", f);
    assert_int_equal(fclose(f), 0);
    assert_false(snapshot_open_file(&s, in_folder("a"), &e));
    assert_int_equal(e.status, STATUS_MALFORMED);
    assert_non_null(strstr(e.text, in_folder("a")));
    assert_non_null(strstr(e.text, "not a snapshot"));
}

static void says_what_cannot_be_written(void **state)
{
    (void)state;
    struct err e = {0};
    assert_false(snapshot_save(&good, in_folder("none/x"), &e));
    assert_int_equal(e.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(e.text, "/none/x: No such file"));
    /* A folder cannot be replaced by a file; nothing is left beside it. */
    assert_int_equal(mkdir(in_folder("d"), 0700), 0);
    u32 before = files_in_folder();
    assert_false(snapshot_save(&good, in_folder("d"), &e));
    assert_int_equal(files_in_folder(), before);
    assert_int_equal(rmdir(in_folder("d")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_the_same),
        cmocka_unit_test(stays_as_checked_when_the_file_is_cut),
        cmocka_unit_test(keeps_sections_that_it_does_not_know),
        cmocka_unit_test(says_what_cannot_be_read),
        cmocka_unit_test(says_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
