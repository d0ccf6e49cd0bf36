/* SPDX-License-Identifier: MIT
 *
 * What a program is told about our signal, and which of its handlers run, is compared with what
 * the C library and the kernel do for another signal under the same random series of calls.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "trigger/keep.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum { OURS = SIGUSR1, THEIRS = SIGUSR2 };

static int our_calls;
static char trace[2][64]; /* what ran, for OURS and for THEIRS */

static void note(int number, char what)
{
    char *line = trace[number == THEIRS];
    size_t length = strlen(line);
    if (length + 1 < sizeof trace[0])
        line[length] = what;
}

static void handler_a(int number)
{
    note(number, 'a');
}

static void handler_b(int number)
{
    note(number, 'b');
}

static void handler_info(int number, siginfo_t *info, void *context)
{
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    note(number, info && info->si_signo == number && context ? 'i' : '?');
    note(number, sigismember(&blocked, number) ? 'B' : 'u');
    note(number, sigismember(&blocked, SIGWINCH) ? 'W' : 'w');
}

static void our_handler(int number, siginfo_t *info, void *context)
{
    our_calls++;
    keep_chain(number, info, context);
}

static int start(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer holds signals back: not tested with it\n");
    exit(0);
#endif
    return keep_start(OURS, our_handler, sigaction);
}

static sighandler_t random_handler(void)
{
    static const sighandler_t handlers[] = {SIG_DFL, SIG_IGN, handler_a, handler_b, SIG_ERR};
    return handlers[(size_t)random() % COUNT_OF(handlers)];
}

/* The same wish, once with our signal in its mask and once with theirs. */
static struct sigaction random_action(struct sigaction *theirs)
{
    struct sigaction ours = {0};
    ours.sa_handler = random_handler();
    if (ours.sa_handler == SIG_ERR)
        ours.sa_handler = SIG_IGN;
    static const int flags[] = {SA_RESTART, SA_NODEFER, (int)SA_RESETHAND, SA_NOCLDSTOP};
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (random() % 3 == 0)
            ours.sa_flags |= flags[i];
    if (random() % 3 == 0) {
        ours.sa_flags |= SA_SIGINFO;
        ours.sa_sigaction = handler_info;
    }
    if (random() % 2)
        sigaddset(&ours.sa_mask, SIGWINCH);
    *theirs = ours;
    if (random() % 4 == 0) {
        sigaddset(&ours.sa_mask, OURS);
        sigaddset(&theirs->sa_mask, THEIRS);
    }
    return ours;
}

static void assert_same_action(const struct sigaction *ours, const struct sigaction *theirs)
{
    enum { RESTORER = 0x04000000 };
    assert_ptr_equal(ours->sa_handler, theirs->sa_handler);
    assert_int_equal(ours->sa_flags & ~RESTORER, theirs->sa_flags & ~RESTORER);
    assert_int_equal(sigismember(&ours->sa_mask, OURS), sigismember(&theirs->sa_mask, THEIRS));
    assert_int_equal(sigismember(&ours->sa_mask, SIGWINCH),
                     sigismember(&theirs->sa_mask, SIGWINCH));
}

static void random_call(void)
{
    sighandler_t handler = random_handler();
    struct sigaction new_ours, new_theirs, old_ours, old_theirs;
    errno = 0;
    switch (random() % 8) {
    case 0:
        new_ours = random_action(&new_theirs);
        assert_int_equal(keep_sigaction(&new_ours, &old_ours),
                         sigaction(THEIRS, &new_theirs, &old_theirs));
        assert_same_action(&old_ours, &old_theirs);
        break;
    case 1:
        new_ours = random_action(&new_theirs);
        assert_int_equal(keep_sigaction(&new_ours, &new_ours), /* in place */
                         sigaction(THEIRS, &new_theirs, &old_theirs));
        assert_same_action(&new_ours, &old_theirs);
        break;
    case 2:
        assert_ptr_equal(keep_signal(handler), signal(THEIRS, handler));
        break;
    case 3:
        assert_ptr_equal(keep_sysv_signal(handler), sysv_signal(THEIRS, handler));
        break;
    case 4:
        /* the C library would install SIG_ERR as a handler */
        handler = random() % 3 && handler != SIG_ERR ? handler : SIG_HOLD;
        assert_ptr_equal(keep_sigset(handler), sigset(THEIRS, handler));
        break;
    case 5:
        assert_int_equal(keep_sigignore(), sigignore(THEIRS));
        break;
    case 6:
        if (random() % 2)
            assert_int_equal(keep_siginterrupt(1), siginterrupt(THEIRS, 1));
        else
            assert_int_equal(keep_siginterrupt(0), siginterrupt(THEIRS, 0));
        break;
    default:
        assert_int_equal(keep_sigaction(NULL, NULL), sigaction(THEIRS, NULL, NULL));
    }
}

static void random_series_as_libc(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    int ran = 0, expected_calls = our_calls;
    for (int i = 0; i < 30000; i++) {
        random_call();
        struct sigaction ours, theirs;
        assert_int_equal(keep_sigaction(NULL, &ours), 0);
        sigaction(THEIRS, NULL, &theirs);
        assert_same_action(&ours, &theirs);
        sigset_t blocked;
        sigprocmask(SIG_SETMASK, NULL, &blocked);
        assert_int_equal(sigismember(&blocked, OURS), sigismember(&blocked, THEIRS));
        if (sigismember(&blocked, OURS))
            continue;
        memset(trace, 0, sizeof trace);
        raise(OURS);
        expected_calls++;
        if (theirs.sa_handler != SIG_DFL) /* that would end us; ours must not */
            raise(THEIRS);
        assert_string_equal(trace[0], trace[1]);
        ran += trace[0][0] != '\0';
    }
    assert_int_equal(our_calls, expected_calls);
    assert_true(ran > 1000);
    keep_sigset(SIG_DFL);
    sigset(THEIRS, SIG_DFL);
}

static void a_child_in_our_memory_changes_nothing(void **state)
{
    (void)state;
    keep_signal(handler_a);
    pid_t child = vfork();
    if (child == 0) {
        struct sigaction reset = {.sa_handler = SIG_DFL}, seen;
        bool good = keep_sigaction(&reset, &seen) == 0 && seen.sa_handler == handler_a;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    memset(trace, 0, sizeof trace);
    raise(OURS);
    assert_string_equal(trace[0], "a");
    keep_signal(SIG_DFL);
}

static void a_forked_child_keeps_its_own(void **state)
{
    (void)state;
    keep_signal(handler_a);
    pid_t child = fork();
    if (child == 0) {
        keep_signal(SIG_DFL);
        raise(OURS); /* answered by our handler, ends nobody */
        struct sigaction seen;
        keep_sigaction(NULL, &seen);
        _exit(seen.sa_handler == SIG_DFL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct sigaction seen;
    keep_sigaction(NULL, &seen);
    assert_ptr_equal(seen.sa_handler, handler_a);
    keep_signal(SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_series_as_libc),
        cmocka_unit_test(a_child_in_our_memory_changes_nothing),
        cmocka_unit_test(a_forked_child_keeps_its_own),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
