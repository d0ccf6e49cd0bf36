/* SPDX-License-Identifier: MIT
 *
 * Threads of this process are stopped and let go, again and again, by a tracer and, once ptrace is
 * denied, by signals: what they hold is seen, and they notice nothing.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../busy.h"
#include "fake_track.h"
#include "freeze/stop.h"

static bool denied; /* ptrace is: stops go by signals */

/* LeakSanitizer asks: it cannot work without ptrace. */
EXPORT int __lsan_is_turned_off(void);
EXPORT int __lsan_is_turned_off(void)
{
    return denied;
}

/* On a busy machine all may still be on their way out of the handler of the stop before: then
 * nobody stands, and there is none. */
static bool nobody_stood(const struct stop *s)
{
    return denied && s->phase == STOP_REFUSED && s->missed && s->missed == s->count;
}

static struct stop *stop_now(void)
{
    enum { TRIES = 50 };
    struct stop *s = stop_begin(getpid());
    for (u32 i = 1; s && nobody_stood(s) && i < TRIES; i++) {
        stop_free(s);
        usleep(10000);
        s = stop_begin(getpid());
    }
    assert_non_null(s);
    for (u32 i = 0; i < s->missed && i < STOP_MISSED_LISTED; i++)
        print_message("thread %d %s\n", s->misses[i].tid, s->misses[i].why);
    if (s->phase == STOP_REFUSED) {
        int error = s->error;
        stop_free(s);
        if (error == -EPERM && !denied) {
            print_message("ptrace is not permitted here\n");
            skip();
        }
        fail_msg("stop refused: %d", error);
    }
    assert_int_equal(s->signals, denied && s->count); /* alone, nobody need be traced */
    return s;
}

/* A tracer misses nobody but those who do not get their turn in time. */
static void are_late(const struct stop *s)
{
    for (u32 i = 0; i < s->missed && i < STOP_MISSED_LISTED; i++)
        assert_string_equal(s->misses[i].why, "did not answer in time");
}

/* On a busy machine a thread may not get its turn in time, or be long on its way out of the handler
 * of the stop before, and block the signal until then. */
static struct stop *stop_all_now(void)
{
    enum { TRIES = 50 };
    struct stop *s = stop_now();
    for (u32 i = 1; s->missed && i < TRIES; i++) {
        if (!denied)
            are_late(s);
        stop_free(s);
        usleep(10000);
        s = stop_now();
    }
    if (s->missed) {
        stop_free(s); /* with it, who asks would keep its priority */
        fail_msg("somebody was missed each time");
    }
    return s;
}

static const struct stop_thread *thread_of(const struct stop *s, int tid)
{
    for (u32 i = 0; i < s->count; i++)
        if (s->threads[i].tid == tid)
            return &s->threads[i];
    return NULL;
}

static bool is_missed(const struct stop *s, int tid)
{
    for (u32 i = 0; i < s->missed && i < STOP_MISSED_LISTED; i++)
        if (s->misses[i].tid == tid)
            return true;
    return false;
}

/* --- registers ----------------------------------------------------------------------------- */

static u32 go_on, entered;
static int holder_tid;

static void *hold_in_registers(void *unused)
{
    (void)unused;
    RELEASE(&holder_tid, gettid());
    register u64 general __asm__("r15") = 0x1122334455667788;
    __asm__ volatile("movq %%r15, %%xmm9\n"
                     "movl $1, %[there]\n"
                     "1: cmpl $0, %[go]\n"
                     "je 1b\n"
                     : [there] "=m"(entered)
                     : "r"(general), [go] "m"(go_on)
                     : "xmm9");
    return NULL;
}

static void registers_of_all_kinds_are_read(void **state)
{
    (void)state;
    pthread_t thread;
    go_on = entered = 0;
    pthread_create(&thread, NULL, hold_in_registers, NULL);
    BUSY_AWAIT(ACQUIRE(&entered));
    struct stop *s = stop_all_now();
    const struct stop_thread *t = thread_of(s, holder_tid);
    assert_non_null(t);
    assert_int_equal(t->state, STOP_STOPPED);
    assert_int_equal(t->regs.r15, 0x1122334455667788);
    u32 found = 0;
    for (u32 i = 0; i < t->vector_bytes / sizeof(u64); i++)
        found += t->vector[i] == 0x1122334455667788;
    assert_true(found >= 1);
    assert_true(t->regs.fs_base == (u64)thread);
    stop_free(s);
    RELEASE(&go_on, 1);
    pthread_join(thread, NULL);
}

/* --- waiting ------------------------------------------------------------------------------- */

static int quiet_epoll, quiet_pipe[2], quiet_semaphore;
static u32 disturbed[10];
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void note(u32 which, long result)
{
    if (result < 0 && errno == EINTR)
        __atomic_fetch_add(&disturbed[which], 1, __ATOMIC_RELAXED);
}

static void *wait_in_kernel(void *argument)
{
    u32 which = (u32)(uintptr_t)argument;
    struct epoll_event event;
    struct sembuf down = {.sem_op = -1};
    struct pollfd watched = {.fd = quiet_pipe[0], .events = POLLIN};
    struct timespec brief = {.tv_nsec = 300000000};
    sigset_t set;
    char byte;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    __atomic_fetch_add(&entered, 1, __ATOMIC_RELEASE);
    while (!ACQUIRE(&go_on)) {
        switch (which) {
        case 0:
            note(which, epoll_wait(quiet_epoll, &event, 1, -1));
            break;
        case 1:
            note(which, semop(quiet_semaphore, &down, 1));
            break;
        case 2:
            note(which, sigwaitinfo(&set, NULL));
            break;
        case 3:
            note(which, read(quiet_pipe[0], &byte, 1));
            break;
        case 4:
            pthread_mutex_lock(&held);
            pthread_mutex_unlock(&held);
            break;
        case 5:
            note(which, usleep(300000));
            break;
        case 6:
            note(which, epoll_pwait(quiet_epoll, &event, 1, -1, &set));
            break;
        case 7:
            note(which, poll(&watched, 1, -1));
            break;
        case 8:
            note(which, clock_nanosleep(CLOCK_MONOTONIC, 0, &brief, NULL) == EINTR ? -1 : 0);
            break;
        default:
            for (u32 i = 0; i < 1000; i++)
                __asm__ volatile("pause");
        }
    }
    return NULL;
}

static void endless_waits_go_on(void **state)
{
    (void)state;
    enum { KINDS = 10, STOPS = 300, SLEEP = 5, LIMITED = 8 };
    pthread_t threads[KINDS];
    quiet_epoll = epoll_create1(0);
    quiet_semaphore = semget(IPC_PRIVATE, 1, 0600);
    assert_true(quiet_epoll >= 0 && quiet_semaphore >= 0 && pipe(quiet_pipe) == 0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(quiet_epoll, EPOLL_CTL_ADD, quiet_pipe[0], &event);
    go_on = entered = 0;
    memset(disturbed, 0, sizeof disturbed);
    pthread_mutex_lock(&held);
    for (u32 i = 0; i < KINDS; i++)
        pthread_create(&threads[i], NULL, wait_in_kernel, (void *)(uintptr_t)i);
    while (ACQUIRE(&entered) < KINDS)
        usleep(100);
    usleep(5000);
    u64 longest = 0;
    for (u32 i = 0; i < STOPS; i++) {
        struct stop *s = stop_all_now();
        u32 stopped = 0;
        for (u32 k = 0; k < s->count; k++)
            stopped += s->threads[k].state == STOP_STOPPED;
        assert_int_equal(stopped, KINDS);
        stop_end(s);
        u64 took = s->ended_ns - s->began_ns;
        longest = took > longest ? took : longest;
        stop_free(s);
        usleep(200);
    }
    print_message("longest of %d stops: %lu us\n", STOPS, (unsigned long)(longest / 1000));
    RELEASE(&go_on, 1);
    pthread_mutex_unlock(&held);
    /* A handler ends sleep with a limit of time, a tracer does not: signal(7). And a thread that
     * was about to wait when it was looked at is not known to wait. */
    for (u32 i = 0; i < KINDS; i++)
        if (!denied || (i != SLEEP && i != LIMITED))
            assert_in_range(disturbed[i], 0, denied ? STOPS / 20 : 0);
    write(quiet_pipe[1], "x", 1);
    semctl(quiet_semaphore, 0, SETVAL, 10);
    pthread_kill(threads[2], SIGUSR2);
    /* What comes through the pipe ends the waits of three threads. */
    for (u32 i = 0; i < KINDS; i++) {
        write(quiet_pipe[1], "x", 1);
        pthread_join(threads[i], NULL);
    }
    semctl(quiet_semaphore, 0, IPC_RMID);
    close(quiet_epoll);
    close(quiet_pipe[0]);
    close(quiet_pipe[1]);
}

/* A signal that comes while its thread is held must still end the wait: it is not for ever. */
static u32 handled;

static void count_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

static void *wait_for_signal(void *unused)
{
    (void)unused;
    struct epoll_event event;
    RELEASE(&holder_tid, gettid());
    long result = epoll_wait(quiet_epoll, &event, 1, -1);
    return (void *)(uintptr_t)(result < 0 && errno == EINTR);
}

static void a_signal_during_the_stop_ends_the_wait(void **state)
{
    (void)state;
    struct sigaction act = {.sa_handler = count_signal}, before;
    sigaction(SIGUSR1, &act, &before);
    for (u32 i = 0; i < 50; i++) {
        pthread_t thread;
        holder_tid = 0;
        handled = 0;
        quiet_epoll = epoll_create1(0);
        pthread_create(&thread, NULL, wait_for_signal, NULL);
        BUSY_AWAIT(ACQUIRE(&holder_tid) && busy_thread_state(holder_tid) == 'S');
        struct stop *s = stop_now();
        pthread_kill(thread, SIGUSR1);
        stop_free(s);
        void *interrupted;
        pthread_join(thread, &interrupted);
        assert_int_equal((uintptr_t)interrupted, 1);
        assert_int_equal(handled, 1);
        close(quiet_epoll);
    }
    sigaction(SIGUSR1, &before, NULL);
}

/* --- crowds -------------------------------------------------------------------------------- */

static void *come_and_go(void *unused)
{
    (void)unused;
    pthread_t next;
    usleep((unsigned)rand() % 300);
    if (!ACQUIRE(&go_on) && pthread_create(&next, NULL, come_and_go, NULL) == 0)
        pthread_detach(next);
    else
        __atomic_fetch_add(&entered, 1, __ATOMIC_RELEASE);
    return NULL;
}

static u64 work_done;

static void *work(void *unused)
{
    (void)unused;
    RELEASE(&holder_tid, gettid());
    while (!ACQUIRE(&go_on))
        __atomic_fetch_add(&work_done, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void threads_that_come_and_go_are_all_stopped(void **state)
{
    (void)state;
    enum { CHAINS = 20, STOPS = 100, MOST = 2000 };
    /* By signals one may be missed: it is about to live or to die, blocks all signals, and waits
     * for a lock of the C library that a thread holds which stands. */
    u32 whole = 0, stops = 0, wanted = denied ? STOPS / 4 : STOPS;
    pthread_t worker;
    go_on = entered = 0;
    work_done = 0;
    pthread_create(&worker, NULL, work, NULL);
    BUSY_AWAIT(PEEK(&work_done));
    for (u32 i = 0; i < CHAINS; i++) {
        pthread_t chain;
        pthread_create(&chain, NULL, come_and_go, NULL);
        pthread_detach(chain);
    }
    for (; stops < STOPS || (whole < wanted && stops < MOST); stops++) {
        struct stop *s = stop_now();
        whole += s->missed == 0;
        if (!denied)
            are_late(s);
        if (!is_missed(s, ACQUIRE(&holder_tid))) {
            u64 then = PEEK(&work_done);
            usleep(300);
            assert_int_equal(PEEK(&work_done), then);
        }
        stop_free(s);
        usleep(500);
    }
    print_message("%u of %u stops were whole\n", whole, stops);
    assert_true(whole >= wanted);
    RELEASE(&go_on, 1);
    pthread_join(worker, NULL);
    BUSY_AWAIT(ACQUIRE(&entered) == CHAINS);
    usleep(20000);
}

static void *sleep_on(void *unused)
{
    (void)unused;
    while (!ACQUIRE(&go_on))
        usleep(1000000);
    return NULL;
}

static void five_hundred_threads_stop(void **state)
{
    (void)state;
    enum { THREADS = 500 };
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    go_on = 0;
    for (u32 i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], &small, i < 8 ? work : sleep_on, NULL), 0);
    for (u32 i = 0; i < 10; i++) {
        struct stop *s = stop_all_now();
        assert_int_equal(s->count, THREADS);
        stop_end(s);
        print_message("%u threads: %lu us\n", s->count,
                      (unsigned long)((s->ended_ns - s->began_ns) / 1000));
        stop_free(s);
    }
    RELEASE(&go_on, 1);
    for (u32 i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&small);
}

/* --- what may go wrong --------------------------------------------------------------------- */

static void no_child_is_left_or_seen(void **state)
{
    (void)state;
    struct stop *s = stop_now();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    stop_free(s);
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_killed_tracer_lets_go(void **state)
{
    (void)state;
    pthread_t thread;
    go_on = 0;
    pthread_create(&thread, NULL, work, NULL);
    struct stop *s = stop_now();
    kill(s->tracer, SIGKILL);
    stop_free(s);
    RELEASE(&go_on, 1);
    pthread_join(thread, NULL);
}

/* A process that is traced already: a child of ours that asks to stop its own threads. */
static void a_traced_process_is_not_stopped(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        go_on = 0;
        pthread_create(&thread, NULL, sleep_on, NULL);
        while (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(3);
        struct stop *s = stop_begin(getpid());
        /* The other thread is free, so it is held; the main one, which asks, need not be. */
        bool ok = s && s->phase == STOP_HELD;
        if (s)
            stop_free(s);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- by signals ---------------------------------------------------------------------------- */

static int our_signal;
static u32 woken, chained;

static void count_chained(int number)
{
    (void)number;
    __atomic_fetch_add(&chained, 1, __ATOMIC_RELAXED);
}

static void wake(const ucontext_t *interrupted, bool repeat)
{
    (void)interrupted;
    (void)repeat;
    __atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
}

static int deny_ptrace(void **state)
{
    (void)state;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(code), code};
    our_signal = SIGRTMIN + 5;
    struct sigaction act = {.sa_handler = count_chained, .sa_flags = SA_RESTART};
    sigaction(our_signal, &act, NULL); /* the program's own, which no stop must run */
    denied = trigger_start(our_signal, wake, NULL) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
             prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    return denied ? 0 : -1;
}

static int nobody_saw_the_signal(void **state)
{
    (void)state;
    return chained == 0 && woken == 0 ? 0 : -1;
}

static void *refuse_signal(void *unused)
{
    (void)unused;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, our_signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    RELEASE(&holder_tid, gettid());
    while (!ACQUIRE(&go_on))
        usleep(1000);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return NULL;
}

static void *await_signal(void *unused)
{
    (void)unused;
    sigset_t set;
    siginfo_t got;
    sigemptyset(&set);
    sigaddset(&set, our_signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    RELEASE(&holder_tid, gettid());
    sigwaitinfo(&set, &got);
    return (void *)got.si_value.sival_ptr;
}

/* Who would not take the signal is named, and is sent none: else it would be pending, and seen. */
static void the_deaf_are_missed(void **state)
{
    (void)state;
    for (u32 i = 0; i < 2; i++) {
        pthread_t deaf;
        go_on = 0;
        holder_tid = 0;
        pthread_create(&deaf, NULL, i ? await_signal : refuse_signal, NULL);
        BUSY_AWAIT(ACQUIRE(&holder_tid) && busy_thread_state(holder_tid) == 'S');
        struct stop *s = stop_begin(getpid()); /* nobody else is there, so nobody stands */
        assert_int_equal(s->phase, STOP_REFUSED);
        assert_int_equal(s->missed, 1);
        assert_int_equal(s->misses[0].tid, holder_tid);
        assert_string_equal(s->misses[0].why,
                            i ? "waits for the signal itself" : "blocks the signal");
        stop_free(s);
        if (i)
            pthread_sigqueue(deaf, our_signal, (union sigval){.sival_ptr = &go_on});
        RELEASE(&go_on, 1);
        void *got;
        pthread_join(deaf, &got);
        assert_ptr_equal(got, i ? &go_on : NULL);
    }
    assert_int_equal(chained, 0);
}

/* Its parent waits uninterruptibly while it uses the parent's memory. */
static void *make_vforked_child(void *unused)
{
    (void)unused;
    RELEASE(&holder_tid, gettid());
    pid_t child = vfork();
    if (child == 0) {
        struct timespec pause = {.tv_nsec = 1000000};
        while (!ACQUIRE(&go_on))
            sys_call(SYS_nanosleep, &pause, 0, 0);
        _exit(7);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return (void *)(uintptr_t)(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void a_vforked_child_is_left_alone(void **state)
{
    (void)state;
    pthread_t thread;
    void *ended_well;
    holder_tid = 0;
    go_on = 0;
    pthread_create(&thread, NULL, make_vforked_child, NULL);
    BUSY_AWAIT(ACQUIRE(&holder_tid) && busy_thread_state(holder_tid) == 'D');
    struct stop *s = stop_begin(getpid());
    assert_int_equal(s->missed, 1);
    assert_int_equal(s->misses[0].tid, holder_tid);
    assert_string_equal(s->misses[0].why, "waits in the kernel uninterruptibly");
    stop_free(s);
    RELEASE(&go_on, 1);
    pthread_join(thread, &ended_well);
    assert_true(ended_well);
}

/* Others stand all the same. */
static void one_missed_does_not_spare_the_others(void **state)
{
    (void)state;
    enum { TRIES = 20 };
    pthread_t deaf, worker;
    go_on = 0;
    work_done = 0;
    pthread_create(&worker, NULL, work, NULL);
    BUSY_AWAIT(PEEK(&work_done));
    int worker_tid = holder_tid;
    holder_tid = 0;
    pthread_create(&deaf, NULL, refuse_signal, NULL);
    BUSY_AWAIT(ACQUIRE(&holder_tid));
    struct stop *s = stop_begin(getpid());
    for (u32 i = 1; is_missed(s, worker_tid) && i < TRIES; i++) { /* it had no turn in time */
        stop_free(s);
        s = stop_begin(getpid());
    }
    assert_int_equal(s->phase, STOP_HELD);
    assert_int_equal(s->missed, 1);
    assert_int_equal(s->misses[0].tid, holder_tid);
    u64 then = PEEK(&work_done);
    usleep(1000);
    assert_int_equal(PEEK(&work_done), then);
    assert_true(stop_end(s));
    stop_free(s);
    RELEASE(&go_on, 1);
    pthread_join(worker, NULL);
    pthread_join(deaf, NULL);
}

/* A disposition that was changed behind our back may kill: then nothing is sent. */
static void a_signal_that_might_kill_is_not_sent(void **state)
{
    (void)state;
    pthread_t thread;
    struct sigaction plain = {.sa_handler = SIG_DFL}, before;
    go_on = 0;
    pthread_create(&thread, NULL, work, NULL);
    sigaction(our_signal, &plain, &before);
    struct stop *s = stop_begin(getpid());
    assert_int_equal(s->phase, STOP_REFUSED);
    stop_free(s);
    sigaction(our_signal, &before, NULL);
    stop_free(stop_now());
    RELEASE(&go_on, 1);
    pthread_join(thread, NULL);
}

/* Nobody is held for ever, whatever becomes of the asker. */
static void patience_ends(void **state)
{
    (void)state;
    pthread_t thread;
    go_on = 0;
    pthread_create(&thread, NULL, work, NULL);
    struct stop *s = stop_all_now();
    u64 then = PEEK(&work_done);
    BUSY_AWAIT(PEEK(&work_done) > then);
    assert_false(stop_end(s));
    stop_free(s);
    s = stop_now();
    assert_true(stop_end(s));
    stop_free(s);
    RELEASE(&go_on, 1);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_child_is_left_or_seen),
        cmocka_unit_test(registers_of_all_kinds_are_read),
        cmocka_unit_test(endless_waits_go_on),
        cmocka_unit_test(a_signal_during_the_stop_ends_the_wait),
        cmocka_unit_test(threads_that_come_and_go_are_all_stopped),
        cmocka_unit_test(five_hundred_threads_stop),
        cmocka_unit_test(a_vforked_child_is_left_alone),
        cmocka_unit_test(a_killed_tracer_lets_go),
        cmocka_unit_test(a_traced_process_is_not_stopped),
    };
    const struct CMUnitTest by_signals[] = {
        cmocka_unit_test(no_child_is_left_or_seen),
        cmocka_unit_test(registers_of_all_kinds_are_read),
        cmocka_unit_test(endless_waits_go_on),
        cmocka_unit_test(a_signal_during_the_stop_ends_the_wait),
        cmocka_unit_test(threads_that_come_and_go_are_all_stopped),
        cmocka_unit_test(five_hundred_threads_stop),
        cmocka_unit_test(a_vforked_child_is_left_alone),
        cmocka_unit_test(the_deaf_are_missed),
        cmocka_unit_test(one_missed_does_not_spare_the_others),
        cmocka_unit_test(a_signal_that_might_kill_is_not_sent),
        cmocka_unit_test(patience_ends),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(by_signals, deny_ptrace, nobody_saw_the_signal);
}
