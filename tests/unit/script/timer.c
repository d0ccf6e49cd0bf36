/* SPDX-License-Identifier: MIT
 *
 * Tests of heap.every and heap.pressure: what the host's timer is set to, and what its ticks mean.
 */
#include "fake.h"

static void every(void **state)
{
    (void)state;
    fake_prints(&f, "print(heap.every(2.5))", "true\n");
    assert_int_equal(f.every_ns, 2500000000);
    assert_string_equal(script_tick(f.script), "timer");
    fake_prints(&f, "heap.every(nil)", "");
    assert_int_equal(f.every_ns, 0);
    assert_null(script_tick(f.script));
    fake_fails(&f, "heap.every(-1)", "0 or more");
}

static void the_environments_timer(void **state)
{
    (void)state;
    f.limits.every_ns = 5000000000;
    fake_create(&f);
    assert_string_equal(script_tick(f.script), "timer");
}

static void pressure_once_a_crossing(void **state)
{
    (void)state;
    f.stats.live_bytes = 100;
    fake_prints(&f, "print(heap.pressure{live = 1000, growth = 500})", "true\n");
    assert_int_equal(f.every_ns, 1000000000);
    assert_null(script_tick(f.script));
    f.stats.live_bytes = 400;
    assert_null(script_tick(f.script));
    f.stats.live_bytes = 600; /* 500 more than when it was asked for */
    assert_string_equal(script_tick(f.script), "pressure");
    assert_null(script_tick(f.script));
    f.stats.live_bytes = 1000;
    assert_string_equal(script_tick(f.script), "pressure");
    fake_prints(&f, "heap.pressure{live = 1000, growth = 500}", ""); /* each run says it again */
    assert_null(script_tick(f.script));
    f.stats.live_bytes = 900;
    assert_null(script_tick(f.script));
    f.stats.live_bytes = 1050;
    assert_string_equal(script_tick(f.script), "pressure");
}

static void pressure_and_every(void **state)
{
    (void)state;
    f.limits.every_ns = 60000000000;
    fake_prints(&f, "heap.every(60) heap.pressure{rss = 1000}", "");
    assert_int_equal(f.every_ns, 1000000000);
    assert_null(script_tick(f.script)); /* the minute is not over */
    f.stats.rss_bytes = 2000;
    assert_string_equal(script_tick(f.script), "pressure");
    fake_prints(&f, "heap.pressure()", "");
    assert_int_equal(f.every_ns, 60000000000);
    fake_fails(&f, "heap.pressure{live = 'x'}", "must be a number");
    fake_fails(&f, "heap.pressure{life = 5}", "unknown option 'life'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(every),
        fake_test(the_environments_timer),
        fake_test(pressure_once_a_crossing),
        fake_test(pressure_and_every),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
