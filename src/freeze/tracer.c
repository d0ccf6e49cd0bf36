/* SPDX-License-Identifier: MIT
 *
 * tracer.c - the process that holds the threads: seizes them, waits until they stand, reads their
 * registers, lets them go.
 *
 * Context: frozen. It runs in the program's memory but is no thread of it: its thread-local storage
 * is that of the thread that made it, which waits, so nothing here may write to it; raw system
 * calls only.
 * Invariant: a thread that stood is let go with its registers as they were, and with the signal
 * that it was about to take; the one exception is in keep_waiting.
 *
 * How: PTRACE_SEIZE and PTRACE_INTERRUPT, which send no signal. The list of threads is read until
 * it brings nobody new, since only a running thread makes new ones (as LeakSanitizer does). SIGCHLD
 * tells that something has stopped; it is blocked and taken in turn.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "stop.h"

enum {
    RELEASE_MS = 2000,     /* for the asker to be done with the stop */
    ERESTARTNOHAND = 514,  /* linux/errno.h, which is the kernel's own */
    USER_CODE_64 = 0x33,
};

static long trace(long request, int tid, long address, long data)
{
    return sys_call6(SYS_ptrace, request, tid, address, data, 0, 0);
}

/* --- what a thread is at ------------------------------------------------------------------- */

/* A call that waits for ever is made to look like one that the kernel restarts unless a handler
 * runs: it sees to the rest when the thread goes on, signals that come until then included. With a
 * limit of time it stays as it is: the program sees the EINTR that SIGSTOP and SIGCONT would give
 * it. */
static void keep_waiting(struct stop_thread *t)
{
    struct user_regs_struct *r = &t->regs;
    const u64 args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    if (r->rax != (unsigned long long)-EINTR || r->cs != USER_CODE_64 ||
        !calls_wait_for_ever((long)r->orig_rax, args))
        return;
    struct user_regs_struct changed = *r;
    changed.rax = (unsigned long long)-ERESTARTNOHAND;
    struct iovec io = {.iov_base = &changed, .iov_len = sizeof changed};
    trace(PTRACE_SETREGSET, t->tid, NT_PRSTATUS, (long)&io);
}

/* --- stopping ------------------------------------------------------------------------------ */

static void seize(struct stop *s, int tid)
{
    struct stop_thread *t = tasks_add(s, tid);
    if (!t) {
        tasks_miss(s, tid, "too many threads");
        return;
    }
    long failure = trace(PTRACE_SEIZE, tid, 0, 0);
    if (failure == 0)
        failure = trace(PTRACE_INTERRUPT, tid, 0, 0);
    if (!sys_failed(failure))
        return;
    s->count--;
    if (failure == -ESRCH || tasks_has_ended(tasks_state(s, tid)))
        return;
    s->error = (int)failure;
    tasks_miss(s, tid, "may not be traced");
}

/* Has it come to stand, or gone? */
static bool settled(struct stop_thread *t)
{
    int status = 0;
    long got = sys_call6(SYS_wait4, t->tid, (long)&status, WNOHANG | __WALL, 0, 0, 0);
    if (got == 0)
        return false;
    if (got != t->tid || !WIFSTOPPED(status)) {
        t->state = STOP_GONE;
        return true;
    }
    t->state = STOP_STOPPED;
    t->signal = status >> 16 ? 0 : WSTOPSIG(status); /* an event of ptrace, or a signal to take */
    return true;
}

static void await_settled(struct stop *s, struct stop_thread *t)
{
    u64 child = 1UL << (SIGCHLD - 1);
    struct timespec tick = {.tv_nsec = 1000000};
    u64 began = 0;
    while (!settled(t)) {
        u64 now = sys_monotonic_ns();
        began = began ? began : now;
        if (now > s->deadline_ns)
            return;
        if (now - began > STOP_STUCK_MS * 1000000UL) {
            char state = tasks_state(s, t->tid);
            if (tasks_has_ended(state))
                t->state = STOP_GONE;
            if (t->state == STOP_GONE || state == 'D')
                return;
        }
        sys_call6(SYS_rt_sigtimedwait, (long)&child, 0, (long)&tick, sizeof child, 0, 0);
    }
}

static void read_registers(struct stop_thread *t)
{
    struct iovec io = {.iov_base = &t->regs, .iov_len = sizeof t->regs};
    if (sys_failed(trace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, (long)&io)))
        t->state = STOP_GONE; /* killed meanwhile */
    io = (struct iovec){.iov_base = t->vector, .iov_len = sizeof t->vector};
    long failure = trace(PTRACE_GETREGSET, t->tid, NT_X86_XSTATE, (long)&io);
    t->vector_bytes = sys_failed(failure) ? 0 : (u32)io.iov_len;
}

static bool stop_all(struct stop *s)
{
    u32 before;
    do {
        before = s->count;
        if (!tasks_meet_new(s, seize) || (s->count == 0 && s->missed))
            return false;
        for (u32 i = 0; i < s->count; i++)
            if (s->threads[i].state == STOP_RUNNING)
                await_settled(s, &s->threads[i]);
    } while (s->count != before && sys_monotonic_ns() < s->deadline_ns);

    for (u32 i = 0; i < s->count; i++) {
        if (s->threads[i].state == STOP_RUNNING)
            tasks_miss(s, s->threads[i].tid, tasks_why_silent(s, s->threads[i].tid));
        if (s->threads[i].state == STOP_STOPPED)
            read_registers(&s->threads[i]);
    }
    return true;
}

static void let_go(struct stop *s)
{
    for (u32 i = 0; i < s->count; i++) {
        struct stop_thread *t = &s->threads[i];
        if (t->state != STOP_STOPPED)
            continue;
        keep_waiting(t);
        trace(PTRACE_DETACH, t->tid, 0, t->signal);
    }
}

/* --- life ---------------------------------------------------------------------------------- */

static void wait_for(struct stop *s, enum stop_phase while_phase, u64 deadline_ns)
{
    while (ACQUIRE(&s->phase) == while_phase) {
        u64 now = sys_monotonic_ns();
        if (now >= deadline_ns)
            return;
        sys_futex_wait(&s->phase, while_phase, deadline_ns - now);
    }
}

static void move_to(struct stop *s, enum stop_phase phase)
{
    RELEASE(&s->phase, (u32)phase);
    sys_futex_wake(&s->phase, 1);
}

void tracer_run(struct stop *s)
{
    u64 plain[4] = {0}; /* struct sigaction as the kernel has it: the default */
    sys_call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    sys_call6(SYS_rt_sigaction, SIGCHLD, (long)plain, 0, 8, 0, 0);
    /* Descriptors of its own, so that the program's stay as they are, and are not held open. */
    sys_call(SYS_close_range, 0, ~0U, 1 << 1 /* CLOSE_RANGE_UNSHARE */);

    wait_for(s, STOP_PREPARED, sys_monotonic_ns() + RELEASE_MS * 1000000UL);
    if (ACQUIRE(&s->phase) != STOP_WANTED)
        return;
    s->began_ns = sys_monotonic_ns();
    s->deadline_ns = s->began_ns + STOP_MS * 1000000UL;
    bool held = stop_all(s);
    s->held_ns = sys_monotonic_ns();
    if (held) {
        move_to(s, STOP_HELD);
        wait_for(s, STOP_HELD, s->held_ns + RELEASE_MS * 1000000UL);
    }
    let_go(s);
    s->ended_ns = sys_monotonic_ns();
    move_to(s, held ? STOP_ENDED : STOP_REFUSED);
}
