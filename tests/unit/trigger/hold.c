/* SPDX-License-Identifier: MIT
 *
 * Threads stand in the handler as long as they are wanted, with errno and registers as they were;
 * one that answers late does nothing; what others send is no business of the hold's.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../busy.h"
#include "trigger/trigger.h"

#define PATIENT_NS 60000000000ull

static u32 woken, program_ran, go_on, counted;
static int worker_tid;

static void wake(const ucontext_t *interrupted, bool repeat)
{
    (void)interrupted;
    (void)repeat;
    __atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
}

static void program_handler(int number)
{
    (void)number;
    __atomic_fetch_add(&program_ran, 1, __ATOMIC_RELAXED);
}

static int start(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer holds signals back: not tested with it\n");
    exit(0);
#endif
    struct sigaction action = {.sa_handler = program_handler, .sa_flags = SA_RESTART};
    if (trigger_hold_begin())
        return -1; /* there is no handler to stand in */
    sigaction(SIGUSR2, &action, NULL);
    return trigger_start(SIGUSR2, wake, NULL) ? 0 : -1;
}

static void set_blocked(bool blocked)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR2);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &ours, NULL);
}

/* errno is changed by nobody but it. A deaf one does not take the signal until it may go on. */
static void *work(void *argument)
{
    bool deaf = argument != NULL;
    set_blocked(deaf);
    errno = EDOM;
    RELEASE(&worker_tid, sys_gettid());
    while (!ACQUIRE(&go_on))
        __atomic_fetch_add(&counted, 1, __ATOMIC_RELAXED);
    set_blocked(false);
    return (void *)(uintptr_t)(errno == EDOM);
}

static pthread_t begin_worker(bool deaf)
{
    pthread_t thread;
    go_on = 0;
    worker_tid = 0;
    assert_int_equal(pthread_create(&thread, NULL, work, deaf ? &go_on : NULL), 0);
    while (!ACQUIRE(&worker_tid))
        usleep(100);
    return thread;
}

static void end_worker(pthread_t thread)
{
    void *undisturbed;
    RELEASE(&go_on, 1);
    pthread_join(thread, &undisturbed);
    assert_true(undisturbed);
}

static bool await(const struct trigger_place *p)
{
    u64 end = sys_monotonic_ns() + PATIENT_NS;
    while (!trigger_hold_await(p, 1000000) && sys_monotonic_ns() < end) {
    }
    return trigger_stands(p);
}

static void nobody_else_saw_it(void)
{
    assert_int_equal(PEEK(&woken), 0);
    assert_int_equal(PEEK(&program_ran), 0);
}

static void a_thread_stands_until_the_end(void **state)
{
    (void)state;
    pthread_t thread = begin_worker(false);
    for (u32 i = 0; i < 200; i++) {
        assert_true(trigger_hold_begin());
        struct trigger_place *p = trigger_hold(sys_getpid(), worker_tid);
        assert_non_null(p);
        assert_true(await(p));
        assert_int_equal(p->tid, worker_tid);
        assert_true(p->thread_pointer == (u64)thread);
        u32 then = PEEK(&counted);
        if (i % 50 == 0)
            usleep(2000);
        assert_int_equal(PEEK(&counted), then);
        trigger_hold_end();
        assert_false(trigger_stands(p));
        if (i % 50 == 0) {
            BUSY_AWAIT(PEEK(&counted) > then);
        }
    }
    end_worker(thread);
    nobody_else_saw_it();
}

/* The signal is pending until the round is over, and longer than the next one lasts. */
static void who_answers_late_does_nothing(void **state)
{
    (void)state;
    pthread_t late = begin_worker(true);
    int late_tid = worker_tid;
    assert_true(trigger_hold_begin());
    struct trigger_place *p = trigger_hold(sys_getpid(), late_tid);
    assert_false(trigger_hold_await(p, 2000000));
    trigger_hold_end();
    assert_false(trigger_stands(p));
    assert_true(trigger_hold_begin());
    struct trigger_place *again = trigger_hold(sys_getpid(), late_tid);
    assert_ptr_equal(again, p);
    trigger_hold_end();
    end_worker(late);
    nobody_else_saw_it();
}

static void who_is_gone_has_no_place(void **state)
{
    (void)state;
    assert_true(trigger_hold_begin());
    assert_null(trigger_hold(sys_getpid(), 1));
    trigger_hold_end();
    trigger_hold_end();
}

/* A program may queue what it likes, also addresses that are nearly ours. */
static void what_others_queue_is_theirs(void **state)
{
    (void)state;
    assert_true(trigger_hold_begin());
    pthread_t thread = begin_worker(false);
    struct trigger_place *p = trigger_hold(sys_getpid(), worker_tid);
    assert_true(await(p));
    trigger_hold_end();
    end_worker(thread);
    union sigval odd = {.sival_ptr = (char *)p + 1}, nothing = {.sival_ptr = NULL};
    sigqueue(getpid(), SIGUSR2, odd);
    sigqueue(getpid(), SIGUSR2, nothing);
    raise(SIGUSR2);
    assert_int_equal(program_ran, 3);
    assert_int_equal(woken, 3);
    woken = program_ran = 0;
}

static void it_is_not_sent_where_it_might_kill(void **state)
{
    (void)state;
    struct sigaction before, plain = {.sa_handler = SIG_DFL};
    sigaction(SIGUSR2, &plain, &before);
    assert_false(trigger_hold_begin());
    sigaction(SIGUSR2, &before, NULL);
    assert_true(trigger_hold_begin());
    trigger_hold_end();
}

/* Another signal is blocked from the moment on at which ours is taken, and only while it is. */
static void others_wait_meanwhile(void **state)
{
    (void)state;
    struct sigaction found;
    sigaction(SIGUSR2, NULL, &found);
    assert_false(sigismember(&found.sa_mask, SIGALRM));
    assert_true(trigger_hold_begin());
    sigaction(SIGUSR2, NULL, &found);
    assert_true(sigismember(&found.sa_mask, SIGALRM));
    trigger_hold_end();
    sigaction(SIGUSR2, NULL, &found);
    assert_false(sigismember(&found.sa_mask, SIGALRM));
}

/* In the child of a fork in the middle of a round, nobody stands, and rounds begin anew. */
static void a_forked_child_begins_anew(void **state)
{
    (void)state;
    assert_true(trigger_hold_begin());
    pthread_t thread = begin_worker(false);
    assert_true(await(trigger_hold(sys_getpid(), worker_tid)));
    pid_t child = fork();
    if (child == 0) {
        trigger_after_fork();
        thread = begin_worker(false);
        bool ok = trigger_hold_begin() && await(trigger_hold(sys_getpid(), worker_tid));
        trigger_hold_end();
        RELEASE(&go_on, 1);
        pthread_join(thread, NULL);
        _exit(ok && woken == 0 && program_ran == 0 ? 0 : 1);
    }
    trigger_hold_end();
    end_worker(thread);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_stands_until_the_end),
        cmocka_unit_test(who_answers_late_does_nothing),
        cmocka_unit_test(who_is_gone_has_no_place),
        cmocka_unit_test(what_others_queue_is_theirs),
        cmocka_unit_test(it_is_not_sent_where_it_might_kill),
        cmocka_unit_test(others_wait_meanwhile),
        cmocka_unit_test(a_forked_child_begins_anew),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
