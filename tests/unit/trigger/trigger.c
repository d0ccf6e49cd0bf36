/* SPDX-License-Identifier: MIT
 *
 * The handler wakes with the interrupted context, leaves errno alone, finds the handler that was
 * there before it, and does not call that one for a repeated signal, nor on our own thread.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../busy.h"
#include "trigger/trigger.h"

/* volatile: sigqueue is declared as one that calls nothing of ours */
static volatile int woken, repeats, program_ran, errno_in_program;
static volatile int seen_pid, seen_tid;
static volatile u64 interrupted_stack;

static void wake(const ucontext_t *interrupted, bool repeat)
{
    woken++;
    repeats += repeat;
    interrupted_stack = (u64)interrupted->uc_mcontext.gregs[REG_RSP];
    errno = EDOM;
}

static void program_handler(int number, siginfo_t *info, void *context)
{
    assert_int_equal(number, SIGUSR2);
    assert_non_null(context);
    seen_pid = info->si_pid;
    seen_tid = sys_gettid();
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
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    action.sa_sigaction = program_handler;
    sigaction(SIGUSR2, &action, NULL);
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
    woken = program_ran = repeats = 0;
    assert_true(trigger_repeat(sys_getpid(), sys_gettid()));
    assert_int_equal(repeats, 1);
    assert_true(trigger_repeat(sys_getpid(), 0));
    assert_int_equal(repeats, 2);
    assert_int_equal(woken, 2);
    assert_int_equal(program_ran, 0);
    assert_false(trigger_repeat(sys_getpid(), 1));
}

static void one_that_a_program_queues_is_no_repeat(void **state)
{
    (void)state;
    woken = program_ran = repeats = 0;
    sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 7});
    assert_int_equal(woken, 1);
    assert_int_equal(repeats, 0);
    assert_int_equal(program_ran, 1);
}

static u32 stop;

static void *own_thread(void *argument)
{
    POKE((int *)argument, sys_gettid());
    trigger_own_thread();
    while (!ACQUIRE(&stop)) {
        trigger_listen();
        sys_futex_wait(&stop, 0, 1000000);
    }
    return NULL;
}

static void wait_until(volatile int *value, int least)
{
    BUSY_AWAIT(*value >= least);
}

/* The program blocks the signal everywhere and waits for it; only our thread takes it. */
static void our_thread_leaves_it_to_the_program(void **state)
{
    (void)state;
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    int tid = 0;
    pthread_t thread;
    stop = 0;
    woken = program_ran = 0;
    pthread_create(&thread, NULL, own_thread, &tid);
    BUSY_AWAIT(PEEK(&tid));

    sys_call(SYS_tgkill, getpid(), tid, SIGUSR2); /* to that thread: nobody else's business */
    wait_until(&woken, 1);
    assert_int_equal(sigtimedwait(&ours, NULL, &(struct timespec){.tv_nsec = 20000000}), -1);

    for (int i = 0; i < 20; i++) { /* taken with sigwait */
        int before = woken;
        kill(getpid(), SIGUSR2);
        if (i % 2) /* else this thread may be quicker than ours */
            wait_until(&woken, before + 1);
        assert_int_equal(sigtimedwait(&ours, NULL, &(struct timespec){.tv_sec = 5}), SIGUSR2);
    }
    assert_int_equal(program_ran, 0);

    for (int i = 0; i < 20; i++) { /* taken by the handler, with what the sender said */
        seen_pid = 0;
        kill(getpid(), SIGUSR2);
        usleep(3000);
        pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
        wait_until(&program_ran, i + 1);
        pthread_sigmask(SIG_BLOCK, &ours, NULL);
        assert_int_equal(seen_pid, getpid());
        assert_int_equal(seen_tid, sys_gettid());
        assert_int_equal(program_ran, i + 1);
    }
    RELEASE(&stop, 1);
    sys_futex_wake(&stop, 1);
    pthread_join(thread, NULL);
    trigger_after_fork();
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_wakes_and_chains),
        cmocka_unit_test(a_repeat_wakes_only),
        cmocka_unit_test(one_that_a_program_queues_is_no_repeat),
        cmocka_unit_test(our_thread_leaves_it_to_the_program),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
