/* SPDX-License-Identifier: MIT
 *
 * stop.c - starts the tracer, waits for it, and makes sure that it is gone in the end; where it is
 * refused, has the threads stand by signals.
 *
 * Context: frozen, on the thread that asks.
 * Invariant: when stop_end has returned, there is no tracer and no round of signals, so no thread
 * is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "stop.h"

enum {
    STACK_BYTES = 1 << 16,
    PATIENCE_MS = 1500, /* with the tracer as a whole; it gives up on threads much earlier */
    TICK_MS = 10,
};

static void run(void *s)
{
    tracer_run(s);
}

/* Yama's scope 1 lets only ancestors trace, but for one that was named (prctl(2)). */
static bool must_be_named(void)
{
    char scope = 0;
    int fd = sys_open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sys_read(fd, &scope, 1);
    sys_close(fd);
    return scope == '1';
}

static void move_to(struct stop *s, enum stop_phase phase)
{
    RELEASE(&s->phase, (u32)phase);
    sys_futex_wake(&s->phase, 1);
}

/* Waits until the phase is none of the two; false when the tracer is gone or too slow. */
static bool wait_beyond(struct stop *s, enum stop_phase one, enum stop_phase other)
{
    u64 deadline = sys_monotonic_ns() + PATIENCE_MS * 1000000UL;
    for (;;) {
        u32 phase = ACQUIRE(&s->phase);
        if (phase != one && phase != other)
            return true;
        if (sys_monotonic_ns() > deadline ||
            sys_call6(SYS_wait4, s->tracer, 0, WNOHANG | __WALL | __WNOTHREAD, 0, 0, 0) != 0)
            return false;
        sys_futex_wait(&s->phase, phase, TICK_MS * 1000000UL);
    }
}

static void collect(struct stop *s)
{
    if (!s->tracer)
        return;
    long got;
    do
        got = sys_call6(SYS_wait4, s->tracer, 0, __WALL | __WNOTHREAD, 0, 0, 0);
    while (got == -EINTR);
    s->tracer = 0;
}

static void give_up(struct stop *s, int error)
{
    if (s->tracer)
        sys_call(SYS_kill, s->tracer, SIGKILL, 0);
    collect(s);
    s->error = error;
    s->count = s->missed = 0;
    s->phase = STOP_REFUSED;
}

/* Where that is permitted, asker and tracer go before everybody else: on a busy machine a stop
 * would otherwise last as long as other programs' turns do (measured at a load of 9 on 2 cores:
 * 500 threads in 18 ms instead of 15 to 105). Both sleep while they wait. */
static void raise_priority(struct stop *s)
{
    int priority = 1;
    s->policy = (int)sys_call(SYS_sched_getscheduler, 0, 0, 0);
    if (s->policy == SCHED_FIFO || s->policy == SCHED_RR || s->policy == SCHED_DEADLINE ||
        sys_failed(sys_call(SYS_sched_setscheduler, 0, SCHED_FIFO, &priority)))
        s->policy = -1;
}

static void restore_priority(struct stop *s)
{
    int priority = 0;
    if (s->policy >= 0)
        sys_call(SYS_sched_setscheduler, 0, s->policy, &priority);
    s->policy = -1;
}

void stop_in_child(struct stop *s)
{
    restore_priority(s);
}

static void start_tracer(struct stop *s)
{
    u64 all = ~0UL, before = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8, 0, 0);
    long made = sys_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED,
                          s->stack + STACK_BYTES, NULL, run, s);
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8, 0, 0);
    if (sys_failed(made)) {
        give_up(s, (int)made);
        return;
    }
    s->tracer = (int)made;
    s->asked = true;
    bool named = must_be_named();
    if (named)
        sys_call6(SYS_prctl, PR_SET_PTRACER, s->tracer, 0, 0, 0, 0);
    move_to(s, STOP_WANTED);
    if (!wait_beyond(s, STOP_PREPARED, STOP_WANTED))
        give_up(s, -ETIMEDOUT);
    else if (s->phase == STOP_REFUSED)
        give_up(s, s->error);
    if (named)
        sys_call6(SYS_prctl, PR_SET_PTRACER, 0, 0, 0, 0, 0);
}

struct stop *stop_begin(int pid)
{
    struct stop *s = sys_map(ROUND_UP(sizeof *s, PAGE_BYTES));
    if (!s)
        return NULL;
    s->pid = pid;
    s->self = sys_gettid();
    s->policy = -1;
    s->room = STOP_THREADS_MAX;
    s->threads = sys_map(s->room * sizeof *s->threads);
    s->stack = sys_map(STACK_BYTES);
    if (!s->threads || !s->stack) {
        stop_free(s);
        return NULL;
    }
    raise_priority(s);
    start_tracer(s);
    /* Where no process could be made for it, none can be made for the image. */
    if (s->phase == STOP_REFUSED && s->asked)
        signals_begin(s);
    if (s->phase == STOP_REFUSED)
        restore_priority(s);
    return s;
}

static bool end_tracer(struct stop *s)
{
    bool held = ACQUIRE(&s->phase) == STOP_HELD;
    move_to(s, STOP_OVER);
    if (!wait_beyond(s, STOP_HELD, STOP_OVER))
        sys_call(SYS_kill, s->tracer, SIGKILL, 0);
    collect(s);
    if (!s->ended_ns)
        s->ended_ns = sys_monotonic_ns();
    return held;
}

bool stop_end(struct stop *s)
{
    if (!s->tracer && !s->signals)
        return false;
    bool held = s->signals ? signals_end(s) : end_tracer(s);
    restore_priority(s);
    return held;
}

void stop_free(struct stop *s)
{
    stop_end(s);
    if (s->threads)
        sys_unmap(s->threads, s->room * sizeof *s->threads);
    if (s->stack)
        sys_unmap(s->stack, STACK_BYTES);
    sys_unmap(s, ROUND_UP(sizeof *s, PAGE_BYTES));
}
