/* SPDX-License-Identifier: MIT
 *
 * Tests of what is read of the process, against stdio's reading of the same files; the name of the
 * process is chosen to mislead who counts brackets or spaces.
 */
#include <sys/prctl.h>
#include <unistd.h>

#include "fake_track.h"
#include "freeze/job.h"

static void start_is_read_whatever_the_name(void **state)
{
    (void)state;
    struct freeze_process plain, odd;
    freeze_process_read(&plain);
    assert_int_equal(prctl(PR_SET_NAME, "a) 1 (b 2"), 0);
    freeze_process_read(&odd);
    assert_true(plain.start > 0);
    assert_int_equal(plain.start, odd.start);

    FILE *f = fopen("/proc/self/stat", "r");
    assert_non_null(f);
    char line[1024];
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    unsigned long long start;
    assert_int_equal(sscanf(strrchr(line, ')') + 1,
                            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                            "%*d %*d %llu",
                            &start),
                     1);
    assert_int_equal(plain.start, start);
}

static void resident_set_and_executable(void **state)
{
    (void)state;
    struct freeze_process p;
    freeze_process_read(&p);
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    assert_true(n > 0);
    exe[n] = '\0';
    assert_string_equal(p.exe, exe);

    size_t grown = 64 << 20;
    char *memory = malloc(grown);
    assert_non_null(memory);
    memset(memory, 1, grown);
    struct freeze_process after;
    freeze_process_read(&after);
    assert_in_range(after.rss_bytes - p.rss_bytes, grown / 10 * 9, grown * 2);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_read_whatever_the_name),
        cmocka_unit_test(resident_set_and_executable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
