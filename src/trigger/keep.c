/* SPDX-License-Identifier: MIT
 *
 * keep.c - what the program asks about our signal, answered as if Moonheap were not there.
 *
 * Context: hot.
 * Invariant: after each change, the flags that the kernel has for our handler are those of the
 * action that is current: the program's own where it has a handler, ours where it has none.
 * Source: sigaction(2), signal(2), sigset(3), siginterrupt(3), sysv_signal(3); the results are
 * tested against the C library's on another signal.
 */
#include <errno.h>

#include "disposition.h"
#include "keep.h"

/* Flags of the program's handler that our handler must have for it: whether a system call goes on
 * afterwards, on which stack it runs, what is blocked meanwhile. SA_RESETHAND is not among them,
 * it is carried out in keep_chain. */
enum { KEPT_FLAGS = SA_RESTART | SA_ONSTACK | SA_NODEFER | SA_NOCLDSTOP | SA_NOCLDWAIT };

static int number;
static void (*our_handler)(int, siginfo_t *, void *);
static keep_sigaction_fn real_sigaction;
static struct process_mark *mark;
static bool mask_all;
static bool interrupts; /* siginterrupt: signal() sets no SA_RESTART */

static bool is_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* Gives the kernel our handler with the flags that the current action wants. */
static int install(void)
{
    struct sigaction wish, again;
    u32 seen;
    do {
        seen = disposition_get(&wish);
        struct sigaction ours = {.sa_flags = SA_SIGINFO};
        ours.sa_sigaction = our_handler;
        if (is_handler(&wish)) {
            ours.sa_flags |= wish.sa_flags & KEPT_FLAGS;
            ours.sa_mask = wish.sa_mask;
        } else {
            ours.sa_flags |= SA_RESTART | SA_ONSTACK | (wish.sa_flags & SA_NOCLDSTOP);
        }
        if (mask_all)
            sigfillset(&ours.sa_mask);
        if (real_sigaction(number, &ours, NULL) != 0)
            return -errno;
    } while (disposition_get(&again) != seen);
    return 0;
}

int keep_start(int signal, void (*handler)(int, siginfo_t *, void *), keep_sigaction_fn real)
{
    struct sigaction found;
    number = signal;
    our_handler = handler;
    real_sigaction = real;
    mark = process_mark_create();
    if (!mark)
        return -ENOMEM;
    if (real(number, NULL, &found) != 0)
        return -errno;
    disposition_set(&found, NULL);
    return install();
}

bool keep_holds(void)
{
    struct sigaction found;
    return real_sigaction(number, NULL, &found) == 0 && found.sa_sigaction == our_handler;
}

void keep_mask_all(bool all)
{
    mask_all = all;
    install();
}

void keep_after_fork(void)
{
    if (mark)
        process_mark_renew(mark);
}

void keep_chain(int signal, siginfo_t *info, void *context)
{
    struct sigaction wish;
    u32 seen = disposition_get(&wish);
    if (!is_handler(&wish))
        return;
    if (wish.sa_flags & (int)SA_RESETHAND) {
        struct sigaction reset = wish;
        reset.sa_handler = SIG_DFL; /* and the rest stays, as the kernel leaves it */
        if (!disposition_replace(seen, &reset))
            return;
        install();
    }
    if (wish.sa_flags & SA_SIGINFO)
        wish.sa_sigaction(signal, info, context);
    else
        wish.sa_handler(signal);
}

/* A child that runs in its parent's memory until it execs must not change what is kept for the
 * parent. Its dispositions are its own, and of these only "ignore" outlives the exec. */
static int borrowed_sigaction(const struct sigaction *new, struct sigaction *old)
{
    if (old)
        disposition_get(old);
    if (new && new->sa_handler == SIG_IGN)
        return real_sigaction(number, new, NULL);
    return 0;
}

int keep_sigaction(const struct sigaction *new, struct sigaction *old)
{
    switch (process_mark_check(mark)) {
    case PROCESS_BORROWS:
        return borrowed_sigaction(new, old);
    case PROCESS_FORKED:
        process_mark_renew(mark);
        break;
    case PROCESS_SAME:
        break;
    }
    if (!new) {
        if (old)
            disposition_get(old);
        return 0;
    }
    struct sigaction wish = *new; /* may be the same memory as *old */
    disposition_set(&wish, old);
    int result = install();
    if (result == 0)
        return 0;
    errno = -result;
    return -1;
}

static sighandler_t set_handler(sighandler_t handler, int flags, bool blocks_itself)
{
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    struct sigaction new = {.sa_handler = handler, .sa_flags = flags}, old;
    if (blocks_itself)
        sigaddset(&new.sa_mask, number);
    return keep_sigaction(&new, &old) == 0 ? old.sa_handler : SIG_ERR;
}

sighandler_t keep_signal(sighandler_t handler)
{
    return set_handler(handler, interrupts ? 0 : SA_RESTART, true);
}

sighandler_t keep_sysv_signal(sighandler_t handler)
{
    return set_handler(handler, (int)SA_RESETHAND | SA_NODEFER, false);
}

sighandler_t keep_sigset(sighandler_t handler)
{
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, number);
    sighandler_t old;
    if (handler == SIG_HOLD) {
        struct sigaction action;
        if (sigprocmask(SIG_BLOCK, &ours, &before) != 0)
            return SIG_ERR;
        disposition_get(&action);
        old = action.sa_handler;
    } else {
        old = set_handler(handler, 0, false);
        if (old == SIG_ERR || sigprocmask(SIG_UNBLOCK, &ours, &before) != 0)
            return SIG_ERR;
    }
    return sigismember(&before, number) ? SIG_HOLD : old;
}

int keep_sigignore(void)
{
    return set_handler(SIG_IGN, 0, false) == SIG_ERR ? -1 : 0;
}

int keep_siginterrupt(int interrupt)
{
    struct sigaction action;
    interrupts = interrupt != 0;
    disposition_get(&action);
    action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return keep_sigaction(&action, NULL);
}
