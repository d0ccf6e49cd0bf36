/* SPDX-License-Identifier: MIT
 *
 * handler.c - sets dispositions for SIGUSR1 in every way and reports what it is told it has.
 *
 * Context: test victim. Commands: sigaction, once (SA_RESETHAND), signal, sigset, sysv, ignore,
 * default, raise; each answers with one line. A handler that
 * is the program's own must look exactly as the program set it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* sigset is asked on purpose */

static volatile sig_atomic_t hits, info_pid, masked;

static void plain(int number)
{
    sigset_t now;
    (void)number;
    hits++;
    sigprocmask(SIG_BLOCK, NULL, &now);
    masked = sigismember(&now, SIGUSR2);
}

static void detailed(int number, siginfo_t *info, void *context)
{
    plain(number);
    info_pid = context ? info->si_pid : -1;
}

static const char *name_of(const struct sigaction *a)
{
    /* SA_RESETHAND leaves the flags, SA_SIGINFO too, on the default that it resets to */
    if (a->sa_handler == SIG_DFL)
        return "default";
    if ((a->sa_flags & SA_SIGINFO) && a->sa_handler != SIG_DFL)
        return a->sa_sigaction == detailed ? "detailed" : "foreign";
    return a->sa_handler == SIG_IGN   ? "ignore"
           : a->sa_handler == plain   ? "plain"
                                      : "foreign";
}

static const char *name_of_return(void (*f)(int))
{
    struct sigaction a = {.sa_handler = f};
    return f == SIG_ERR ? "error" : (void *)f == (void *)detailed ? "detailed" : name_of(&a);
}

int main(void)
{
    char line[64];
    const char *returned = "";
    for (;;) {
        ssize_t got = read(0, line, sizeof line - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        line[got] = 0;
        line[strcspn(line, "\n")] = 0;
        struct sigaction act = {.sa_handler = plain}, old;
        returned = "-";
        if (!strcmp(line, "sigaction") || !strcmp(line, "once")) {
            act.sa_flags = SA_SIGINFO | (line[0] == 'o' ? (int)SA_RESETHAND : SA_NODEFER);
            act.sa_sigaction = detailed;
            sigaddset(&act.sa_mask, SIGUSR2);
            sigaction(SIGUSR1, &act, &old);
            returned = name_of(&old);
        } else if (!strcmp(line, "signal")) {
            returned = name_of_return(signal(SIGUSR1, plain));
        } else if (!strcmp(line, "sigset")) {
            returned = name_of_return(sigset(SIGUSR1, plain));
        } else if (!strcmp(line, "sysv")) {
            returned = name_of_return(sysv_signal(SIGUSR1, plain));
        } else if (!strcmp(line, "ignore")) {
            returned = name_of_return(signal(SIGUSR1, SIG_IGN));
        } else if (!strcmp(line, "default")) {
            returned = name_of_return(signal(SIGUSR1, SIG_DFL));
        } else if (!strcmp(line, "raise")) {
            raise(SIGUSR1);
        }
        sigaction(SIGUSR1, NULL, &old);
        dprintf(1, "hits %d was %s handler %s flags %x mask %d masked %d info %d\n", (int)hits,
                returned, name_of(&old), (unsigned)old.sa_flags & 0xf8000007u,
                sigismember(&old.sa_mask, SIGUSR2), (int)masked, (int)info_pid);
    }
}
