/* SPDX-License-Identifier: MIT
 *
 * Every variable, its default, good and bad values; signal names against the C library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"

static char complaints[8][400];
static u32 complaint_count;

static void complain(const char *text)
{
    assert_true(complaint_count < COUNT_OF(complaints));
    strncpy(complaints[complaint_count++], text, sizeof complaints[0] - 1);
}

static struct options read_one(const char *entry)
{
    char *const environment[] = {(char *)"PATH=/bin", (char *)entry, NULL};
    struct options o;
    complaint_count = 0;
    options_read(&o, environment, complain);
    return o;
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct options o = read_one("NOTMOONHEAP_SCRIPT=x");
    assert_int_equal(complaint_count, 0);
    assert_string_equal(o.script, "./debug_script.lua");
    assert_int_equal(o.signal, SIGUSR1);
    assert_string_equal(o.out, "stderr");
    assert_int_equal(o.track.mode, TRACK_FULL);
    assert_int_equal(o.stack, 64);
    assert_true(o.every_ns == 0);
    assert_true(o.script_timeout_ns == 30000000000);
    assert_true(o.lua_memory == 256 << 20);
    assert_string_equal(o.args, "");
    assert_false(o.quiet);
}

static void good_values_are_taken(void **state)
{
    (void)state;
    assert_string_equal(read_one("MOONHEAP_SCRIPT=/x/y.lua").script, "/x/y.lua");
    assert_int_equal(read_one("MOONHEAP_SIGNAL=RTMIN+3").signal, SIGRTMIN + 3);
    assert_string_equal(read_one("MOONHEAP_OUT=/tmp/%p.log").out, "/tmp/%p.log");
    assert_int_equal(read_one("MOONHEAP_TRACK=off").track.mode, TRACK_OFF);
    struct options o = read_one("MOONHEAP_TRACK=sample:512K");
    assert_int_equal(o.track.mode, TRACK_SAMPLE);
    assert_true(o.track.sample_bytes == 512 << 10);
    assert_int_equal(read_one("MOONHEAP_STACK=256").stack, 256);
    assert_true(read_one("MOONHEAP_EVERY=0.25").every_ns == 250000000);
    assert_true(read_one("MOONHEAP_SCRIPT_TIMEOUT=2m").script_timeout_ns == 120000000000);
    assert_true(read_one("MOONHEAP_LUA_MEMORY=1G").lua_memory == 1 << 30);
    assert_string_equal(read_one("MOONHEAP_ARGS=a b").args, "a b");
    assert_true(read_one("MOONHEAP_QUIET=1").quiet);
    assert_int_equal(complaint_count, 0);
}

static void empty_means_unset(void **state)
{
    (void)state;
    assert_int_equal(read_one("MOONHEAP_STACK=").stack, 64);
    assert_int_equal(complaint_count, 0);
    assert_string_equal(read_one("MOONHEAP_SCRIPT=").script, "./debug_script.lua");
    assert_int_equal(complaint_count, 0);
}

static void bad_values_complain_once_and_change_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "MOONHEAP_SIGNAL=KILL", "MOONHEAP_SIGNAL=9",   "MOONHEAP_SIGNAL=nonsense",
        "MOONHEAP_SIGNAL=SEGV", "MOONHEAP_TRACK=fast", "MOONHEAP_TRACK=sample:",
        "MOONHEAP_TRACK=sample:0", "MOONHEAP_STACK=0", "MOONHEAP_STACK=257",
        "MOONHEAP_STACK=many",  "MOONHEAP_EVERY=soon", "MOONHEAP_SCRIPT_TIMEOUT=-1",
        "MOONHEAP_LUA_MEMORY=lots", "MOONHEAP_QUIET=yes"};
    struct options plain = read_one("X=");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct options o = read_one(bad[i]);
        assert_int_equal(complaint_count, 1);
        /* the complaint quotes the setting */
        assert_non_null(strstr(complaints[0], bad[i]));
        assert_memory_equal(&o, &plain, sizeof o);
    }
}

static void unknown_names_complain(void **state)
{
    (void)state;
    read_one("MOONHEAP_SCRIPTS=x");
    assert_int_equal(complaint_count, 1);
    assert_non_null(strstr(complaints[0], "MOONHEAP_SCRIPTS"));
    read_one("MOONHEAP_");
    assert_int_equal(complaint_count, 1);
    read_one("MOONHEAPX=1");
    assert_int_equal(complaint_count, 0);
    char *const environment[] = {(char *)"MOONHEAP_NO=1", NULL};
    struct options o;
    options_read(&o, environment, NULL);
    options_read(&o, NULL, NULL);
    assert_int_equal(o.signal, SIGUSR1);
}

static void signal_names_are_the_systems(void **state)
{
    (void)state;
    for (int number = 1; number < 32; number++) {
        const char *abbreviation = sigabbrev_np(number);
        if (!abbreviation)
            continue;
        char with_sig[32] = "SIG", buffer[16];
        strcat(with_sig, abbreviation);
        if (number == SIGPOLL)
            strcpy(with_sig, "SIGIO"); /* two names for it */
        assert_int_equal(options_signal_number(with_sig), number);
        assert_int_equal(options_signal_number(with_sig + 3), number);
        assert_string_equal(options_signal_name(number, buffer, sizeof buffer), with_sig + 3);
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        char buffer[16];
        assert_int_equal(
            options_signal_number(options_signal_name(number, buffer, sizeof buffer)), number);
    }
    assert_int_equal(options_signal_number("RTMAX-2"), SIGRTMAX - 2);
    assert_int_equal(options_signal_number("SIGRTMIN"), SIGRTMIN);
    assert_int_equal(options_signal_number("12"), 12);
    static const char *const bad[] = {"", "SIG", "USR3", "0", "65", "32", "RTMIN-1", "RTMAX+1",
                                      "RTMIN+99", "RTMIN+", "usr1x", "-5"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(options_signal_number(bad[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(empty_means_unset),
        cmocka_unit_test(bad_values_complain_once_and_change_nothing),
        cmocka_unit_test(unknown_names_complain),
        cmocka_unit_test(signal_names_are_the_systems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
