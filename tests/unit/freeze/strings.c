/* SPDX-License-Identifier: MIT
 *
 * Tests of the string pool.
 */
#include "fake_track.h"
#include "freeze/job.h"

static void strings_are_found_at_their_offsets(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct freeze_strings s;
    assert_true(snapshot_writer_begin(&w, 128 << 20));
    assert_true(freeze_strings_begin(&s, &w));
    u32 one = freeze_strings_add(&s, "one"), none = freeze_strings_add(&s, "");
    u32 two = freeze_strings_add(&s, "two");
    assert_int_equal(none, 0);
    assert_string_equal(s.bytes + one, "one");
    assert_string_equal(s.bytes + two, "two");
    assert_string_equal(s.bytes, "");
    freeze_strings_end(&s, &w);
    u64 bytes;
    snapshot_writer_written(&w, SNAPSHOT_STRINGS, &bytes);
    assert_int_equal(bytes, 1 + 4 + 4);
    snapshot_writer_abandon(&w);
}

static void a_full_pool_gives_the_empty_string(void **state)
{
    (void)state;
    char bytes[8] = "";
    struct freeze_strings s = {.bytes = bytes, .used = 1, .room = sizeof bytes};
    assert_int_equal(freeze_strings_add(&s, "1234567"), 0);
    assert_int_equal(freeze_strings_add(&s, "123456"), 1);
    assert_int_equal(freeze_strings_add(&s, "1"), 0);
    assert_int_equal(s.used, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_found_at_their_offsets),
        cmocka_unit_test(a_full_pool_gives_the_empty_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
