/* SPDX-License-Identifier: MIT
 *
 * The handler wakes with the interrupted context, leaves errno alone, finds the handler that was
 * there before it, and does not call that one for a repeated signal.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "trigger/trigger.h"

/* volatile: sigqueue is declared as one that calls nothing of ours */
static volatile int woken, program_ran, errno_in_program;
static volatile u64 interrupted_stack;

static void wake(const ucontext_t *interrupted)
{
    woken++;
    interrupted_stack = (u64)interrupted->uc_mcontext.gregs[REG_RSP];
    errno = EDOM;
}

static void program_handler(int number)
{
    assert_int_equal(number, SIGUSR2);
    errno_in_program = errno;
    program_ran++;
}

static int start(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer holds signals back: not tested with it\n");
    exit(0);
#endif
    struct err e;
    if (trigger_signal() != 0 || trigger_start(SIGKILL, wake, &e) || e.status != STATUS_DENIED ||
        trigger_signal() != 0)
        return -1; /* it took a signal that cannot be had */
    signal(SIGUSR2, program_handler);
    return trigger_start(SIGUSR2, wake, NULL) && trigger_signal() == SIGUSR2 ? 0 : -1;
}

static void a_signal_wakes_and_chains(void **state)
{
    (void)state;
    char here;
    woken = program_ran = 0;
    errno = ENOTTY;
    raise(SIGUSR2);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(errno_in_program, ENOTTY);
    assert_int_equal(woken, 1);
    assert_int_equal(program_ran, 1);
    /* the context is that of this thread, further down the stack */
    assert_true(interrupted_stack < (u64)&here && (u64)&here - interrupted_stack < 65536);
}

static void a_repeat_wakes_only(void **state)
{
    (void)state;
    woken = program_ran = 0;
    assert_true(trigger_repeat(sys_getpid(), sys_gettid()));
    assert_int_equal(woken, 1);
    assert_int_equal(program_ran, 0);
    assert_false(trigger_repeat(sys_getpid(), 1));
}

static void one_that_a_program_queues_is_no_repeat(void **state)
{
    (void)state;
    woken = program_ran = 0;
    sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 7});
    assert_int_equal(woken, 1);
    assert_int_equal(program_ran, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_wakes_and_chains),
        cmocka_unit_test(a_repeat_wakes_only),
        cmocka_unit_test(one_that_a_program_queues_is_no_repeat),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
