/* SPDX-License-Identifier: MIT
 *
 * trigger.c - our signal's handler.
 *
 * Context: hot (the handler runs on whatever thread the kernel picks, at any instruction).
 * Invariant: errno is as before when the program's own handler is called, and when there is none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "keep.h"
#include "trigger.h"

static int our_signal;
static void (*wake)(const ucontext_t *interrupted);

/* What a repeated signal carries, so that the program's handler is not called for it again. */
static char repeat_token;

static bool is_repeat(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_value.sival_ptr == &repeat_token;
}

static void handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    wake(context);
    errno = saved;
    if (!is_repeat(info))
        keep_chain(number, info, context);
}

bool trigger_start(int signal, void (*act)(const ucontext_t *interrupted), struct err *e)
{
    keep_sigaction_fn next = (keep_sigaction_fn)dlsym(RTLD_NEXT, "sigaction");
    if (!next)
        return err_set(e, STATUS_UNSUPPORTED, "the program has no sigaction to build upon");
    wake = act;
    int result = keep_start(signal, handle, next);
    if (result != 0)
        return err_set(e, STATUS_DENIED, "cannot take signal %d: error %d", signal, -result);
    RELEASE(&our_signal, signal);
    return true;
}

int trigger_signal(void)
{
    return ACQUIRE(&our_signal);
}

bool trigger_repeat(int pid, int tid)
{
    siginfo_t info = {.si_signo = our_signal, .si_code = SI_QUEUE};
    info.si_pid = pid;
    info.si_value.sival_ptr = &repeat_token;
    return !sys_failed(sys_call6(SYS_rt_tgsigqueueinfo, pid, tid, our_signal, (long)&info, 0, 0));
}

void trigger_after_fork(void)
{
    keep_after_fork();
}
