/* SPDX-License-Identifier: MIT
 *
 * trigger.c - our signal's handler.
 *
 * Context: hot (the handler runs on whatever thread the kernel picks, at any instruction).
 * Invariant: errno is as before when the program's own handler is called, and when there is none.
 * Each signal that the program would have seen reaches its handler, its sigwait or its signalfd
 * once: one that comes to our thread (the kernel does that when all others block it) is sent to
 * the process again with a token, while our thread stops taking it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <time.h>

#include "hold.h"
#include "keep.h"

static int our_signal;
static void (*wake)(const ucontext_t *interrupted, bool repeat);
static int own_tid;   /* of the thread that is ours; 0 = none */
static bool left_one; /* to the program's threads, and takes none itself until trigger_listen */

/* What a signal of ours carries: its address is the value of the queued signal. */
enum token { TOKEN_NONE, TOKEN_REPEAT, TOKEN_LEFT };
static char tokens[TOKEN_LEFT + 1];
static siginfo_t left_info; /* what the program would have seen in place of the token */

static enum token token_of(const siginfo_t *info)
{
    const char *value = info->si_value.sival_ptr;
    if (info->si_code != SI_QUEUE)
        return TOKEN_NONE;
    return value == &tokens[TOKEN_REPEAT] ? TOKEN_REPEAT
           : value == &tokens[TOKEN_LEFT] ? TOKEN_LEFT
                                          : TOKEN_NONE;
}

static bool send(int pid, int tid, enum token token)
{
    siginfo_t info = {.si_signo = our_signal, .si_code = SI_QUEUE};
    info.si_pid = pid;
    info.si_value.sival_ptr = &tokens[token];
    long result = tid ? sys_call6(SYS_rt_tgsigqueueinfo, pid, tid, our_signal, (long)&info, 0, 0)
                      : sys_call(SYS_rt_sigqueueinfo, pid, our_signal, &info);
    return !sys_failed(result);
}

/* On our own thread. One that was sent to this very thread is nobody else's business. */
static void handle_own(const siginfo_t *info, ucontext_t *context)
{
    enum token token = token_of(info);
    if (token == TOKEN_NONE)
        wake(context, false);
    if (info->si_code == SI_TKILL || token == TOKEN_REPEAT)
        return;
    if (token == TOKEN_NONE)
        left_info = *info;
    POKE(&left_one, true);
    sigaddset(&context->uc_sigmask, our_signal);
    send(sys_getpid(), 0, TOKEN_LEFT);
}

static void handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (hold_answer(info, context)) {
        errno = saved;
        return;
    }
    if (PEEK(&own_tid) && PEEK(&own_tid) == sys_gettid()) {
        handle_own(info, context);
        errno = saved;
        return;
    }
    enum token token = token_of(info);
    siginfo_t original;
    if (token == TOKEN_LEFT)
        original = left_info;
    else
        wake(context, token == TOKEN_REPEAT);
    errno = saved;
    if (token != TOKEN_REPEAT)
        keep_chain(number, token == TOKEN_LEFT ? &original : info, context);
}

bool trigger_start(int signal, void (*act)(const ucontext_t *interrupted, bool repeat),
                   struct err *e)
{
    keep_sigaction_fn next = (keep_sigaction_fn)dlsym(RTLD_NEXT, "sigaction");
    if (!next)
        return err_set(e, STATUS_UNSUPPORTED, "the program has no sigaction to build upon");
    wake = act;
    our_signal = signal;
    int result = keep_start(signal, handle, next);
    if (result == 0)
        return true;
    our_signal = 0;
    return err_set(e, STATUS_DENIED, "cannot take signal %d: error %d", signal, -result);
}

int trigger_signal(void)
{
    return ACQUIRE(&our_signal);
}

bool trigger_repeat(int pid, int tid)
{
    return send(pid, tid, TOKEN_REPEAT);
}

void trigger_own_thread(void)
{
    POKE(&own_tid, sys_gettid());
    trigger_listen();
}

void trigger_settle(void)
{
    enum { PATIENCE_MS = 200 };
    u64 mask = 1UL << (our_signal - 1);
    for (u32 i = 0; i < PATIENCE_MS && PEEK(&left_one); i++) {
        struct timespec pause = {.tv_nsec = 1000000};
        u64 waiting = 0;
        sys_call(SYS_rt_sigpending, &waiting, sizeof waiting, 0);
        if (!(waiting & mask))
            return;
        sys_call(SYS_nanosleep, &pause, 0, 0);
    }
}

bool trigger_listen(void)
{
    enum { UNBLOCK = 1 }; /* the kernel's SIG_UNBLOCK */
    u64 mask = 1UL << (our_signal - 1);
    POKE(&left_one, false);
    sys_call6(SYS_rt_sigprocmask, UNBLOCK, (long)&mask, 0, sizeof mask, 0, 0);
    return PEEK(&left_one); /* nobody had taken it: it came back at once, and was left again */
}

void trigger_after_fork(void)
{
    POKE(&own_tid, 0);
    POKE(&left_one, false);
    hold_after_fork();
    keep_after_fork();
}
