/* SPDX-License-Identifier: MIT
 *
 * Notes come out whole and in order; the newest win; writers never wait for each other.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

static void notes_come_out_in_order(void **state)
{
    (void)state;
    char out[200];
    assert_false(log_take(out, sizeof out));
    log_note("first %d", 1);
    log_note("second %s", "two");
    assert_true(log_take(out, sizeof out));
    assert_string_equal(out, "first 1");
    assert_true(log_take(out, sizeof out));
    assert_string_equal(out, "second two");
    assert_false(log_take(out, sizeof out));
}

static void long_notes_are_cut(void **state)
{
    (void)state;
    char text[400], out[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_note("%s", text);
    assert_true(log_take(out, sizeof out));
    assert_int_equal(strlen(out), 159);
    log_note("%s", text);
    assert_true(log_take(out, 10));
    assert_int_equal(strlen(out), 9);
}

static void the_newest_win(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        log_note("%d", i);
    char out[200];
    int count = 0, last = -1;
    while (log_take(out, sizeof out)) {
        int n = atoi(out);
        assert_true(n > last);
        last = n;
        count++;
    }
    assert_int_equal(last, 999);
    assert_true(count > 10 && count < 1000);
}

static void *chatter(void *argument)
{
    int who = (int)(long)argument;
    for (int i = 0; i < 20000; i++)
        log_note("%d %d %d %d %d %d", who, i, who * i, who + i, who ^ i, i - who);
    return NULL;
}

static void notes_are_never_torn(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, chatter, (void *)(i + 1));
    char out[200];
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        int who, n, product, sum, mixed, difference;
        if (!log_take(out, sizeof out))
            continue;
        taken++;
        assert_int_equal(sscanf(out, "%d %d %d %d %d %d", &who, &n, &product, &sum, &mixed,
                                &difference), 6);
        assert_true(product == who * n && sum == who + n && mixed == (who ^ n) &&
                    difference == n - who);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    while (log_take(out, sizeof out))
        taken++;
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_come_out_in_order),
        cmocka_unit_test(long_notes_are_cut),
        cmocka_unit_test(the_newest_win),
        cmocka_unit_test(notes_are_never_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
