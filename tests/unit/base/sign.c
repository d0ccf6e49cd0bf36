/* SPDX-License-Identifier: MIT
 *
 * What is posted is what others read; what is no sign is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static void read_maps(char *out, size_t size)
{
    int fd = sys_open("/proc/self/maps", 0, 0);
    size_t used = 0;
    for (long got; (got = sys_read(fd, out + used, size - used - 1)) > 0;)
        used += (size_t)got;
    out[used] = 0;
    sys_close(fd);
}

/* In a child, since a sign stays up. */
static int in_child(int (*ask)(void))
{
    int status;
    pid_t child = fork();
    if (!child)
        _exit(ask());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static char maps[1 << 20];

static int post_and_read(void)
{
    char *environment[] = {"MOONHEAP_SIGNAL=RTMIN+3", "MOONHEAP_TRACK=sample:4096",
                           "MOONHEAP_SCRIPT_TIMEOUT=7", NULL};
    struct options o;
    struct sign sign;
    int before = dup(0);
    options_read(&o, environment, NULL);
    sign_post(&o, "/a: b/x (deleted).lua");
    int after = dup(0);
    read_maps(maps, sizeof maps);
    if (!sign_read(maps, &sign))
        return 1;
    if (sign.signal != options_signal_number("RTMIN+3") || sign.script_timeout_ns != 7000000000)
        return 2;
    if (sign.track.mode != TRACK_SAMPLE || sign.track.sample_bytes != 4096)
        return 3;
    if (strcmp(sign.script, "/a: b/x (deleted).lua") != 0)
        return 4;
    return after == before + 1 ? 0 : 5; /* no descriptor stays */
}

static void what_is_posted_is_read(void **state)
{
    (void)state;
    assert_int_equal(in_child(post_and_read), 0);
}

static int post_long(void)
{
    char *environment[] = {NULL};
    char script[1000];
    struct options o;
    struct sign sign;
    memset(script, 'x', sizeof script - 1);
    script[sizeof script - 1] = 0;
    options_read(&o, environment, NULL);
    sign_post(&o, script);
    read_maps(maps, sizeof maps);
    if (!sign_read(maps, &sign))
        return 1;
    return strlen(sign.script) == sizeof sign.script - 1 && !strncmp(sign.script, script, 191) ? 0
                                                                                               : 2;
}

static void a_long_path_is_cut(void **state)
{
    (void)state;
    assert_int_equal(in_child(post_long), 0);
}

static void what_is_no_sign_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "moonheap:10:0:0:1:/x\n", "/memfd:moonheap\n", "/memfd:moonheap:\n",
        "/memfd:moonheap:10:0:0:1\n", "/memfd:moonheap:10:0:0\n:/x", "/memfd:moonheap:0:0:0:1:/x\n",
        "/memfd:moonheap:65:0:0:1:/x\n", "/memfd:moonheap:10:3:0:1:/x\n",
        "/memfd:moonheap:-1:0:0:1:/x\n", "/memfd:moonheap:10:0:0:99999999999999999999999999:/x\n",
    };
    struct sign sign;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_false(sign_read(texts[i], &sign));
    assert_true(sign_read("1-2 ---p 0 0:1 5  /memfd:moonheap:12:1:0:5: (deleted)\n", &sign));
    assert_int_equal(sign.signal, 12);
    assert_string_equal(sign.script, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_posted_is_read),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(what_is_no_sign_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
