/* SPDX-License-Identifier: MIT
 *
 * Actions are swapped whole, also by threads at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "trigger/disposition.h"

/* An action whose fields all tell the same number. */
static struct sigaction numbered(u64 n)
{
    struct sigaction a = {.sa_flags = (int)n};
    a.sa_handler = (sighandler_t)n;
    for (size_t i = 0; i < sizeof a.sa_mask.__val / sizeof a.sa_mask.__val[0]; i++)
        a.sa_mask.__val[i] = n;
    return a;
}

static u64 number_of(const struct sigaction *a)
{
    u64 n = (u64)a->sa_handler;
    assert_int_equal(a->sa_flags, (int)n);
    for (size_t i = 0; i < sizeof a->sa_mask.__val / sizeof a->sa_mask.__val[0]; i++)
        assert_true(a->sa_mask.__val[i] == n);
    return n;
}

static void begins_as_default(void **state)
{
    (void)state;
    struct sigaction a = numbered(1);
    disposition_get(&a);
    assert_ptr_equal(a.sa_handler, SIG_DFL);
}

static void changes_follow_each_other(void **state)
{
    (void)state;
    struct sigaction a, old;
    for (u64 i = 100; i < 200; i++) {
        a = numbered(i);
        disposition_set(&a, &old);
        assert_true(i == 100 || number_of(&old) == i - 1);
        disposition_get(&old);
        assert_true(number_of(&old) == i);
    }
    u32 seen = disposition_get(&old);
    a = numbered(1000);
    assert_true(disposition_replace(seen, &a));
    a = numbered(2000);
    assert_false(disposition_replace(seen, &a));
    disposition_get(&old);
    assert_true(number_of(&old) == 1000);
}

enum { ROUNDS = 20000 };
static bool stop;

static void *change(void *argument)
{
    u64 sum = 0;
    for (u64 i = 1; i <= ROUNDS; i++) {
        struct sigaction a = numbered((u64)argument + i), old;
        disposition_set(&a, &old);
        sum += (u64)old.sa_handler;
    }
    return (void *)sum;
}

static void *look(void *argument)
{
    u64 looks = 0;
    do {
        struct sigaction a;
        disposition_get(&a);
        number_of(&a);
        looks++;
    } while (!PEEK(&stop));
    (void)argument;
    return (void *)looks;
}

/* Each value that is set comes back as `old` exactly once, or is the last. */
static void threads_swap_whole_actions(void **state)
{
    (void)state;
    pthread_t writers[2], reader;
    struct sigaction first = numbered(0), last;
    disposition_set(&first, NULL);
    pthread_create(&reader, NULL, look, NULL);
    u64 set = 0, got = 0;
    for (u64 i = 0; i < 2; i++) {
        pthread_create(&writers[i], NULL, change, (void *)(i * 1000000));
        set += ROUNDS * (i * 1000000) + (u64)ROUNDS * (ROUNDS + 1) / 2;
    }
    for (int i = 0; i < 2; i++) {
        void *sum;
        pthread_join(writers[i], &sum);
        got += (u64)sum;
    }
    POKE(&stop, true);
    void *looks;
    pthread_join(reader, &looks);
    disposition_get(&last);
    assert_true(set == got + number_of(&last));
    assert_true((u64)looks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_as_default),
        cmocka_unit_test(changes_follow_each_other),
        cmocka_unit_test(threads_swap_whole_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
