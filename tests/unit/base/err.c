/* SPDX-License-Identifier: MIT
 *
 * A failure carries its status and its sentence, cut when it is too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void failures_are_described(void **state)
{
    (void)state;
    struct err e;
    assert_false(err_set(&e, STATUS_LIMIT, "%s: %d blocks", "too many", 7));
    assert_int_equal(e.status, STATUS_LIMIT);
    assert_string_equal(e.text, "too many: 7 blocks");
    assert_false(err_set(NULL, STATUS_IO, "nobody listens"));
    char text[900];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&e, STATUS_IO, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void every_status_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(err_word(STATUS_OK), "ok");
    assert_string_equal(err_word(STATUS_USAGE), "usage");
    for (u32 s = STATUS_OK; s <= STATUS_USAGE; s++)
        assert_true(strlen(err_word((enum status)s)) > 1);
    assert_string_equal(err_word((enum status)999), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_described),
        cmocka_unit_test(every_status_has_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
