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
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "stop.h"

enum {
    STOP_MS = 250,         /* all of it; design: 500 threads take 8 to 22 ms */
    STUCK_MS = 10,         /* then a thread that waits in the kernel uninterruptibly is left out */
    RELEASE_MS = 2000,     /* for the asker to be done with the stop */
    ERESTARTNOHAND = 514,  /* linux/errno.h, which is the kernel's own */
    RING_EXTENDED = 1 << 3, /* IORING_ENTER_EXT_ARG */
    USER_CODE_64 = 0x33,
};

static long trace(long request, int tid, long address, long data)
{
    return sys_call6(SYS_ptrace, request, tid, address, data, 0, 0);
}

/* --- what a thread is at ------------------------------------------------------------------- */

/* The letter of proc(5)'s "state": 0 when it is gone. */
static char state_of(const struct stop *s, int tid)
{
    char text[300];
    text_format(text, sizeof text, "/proc/%d/task/%d/stat", s->pid, tid);
    int fd = sys_open(text, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long got = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    for (long i = got - 3; i >= 0; i--) /* behind the name, which is in brackets */
        if (text[i] == ')')
            return text[i + 2];
    return 0;
}

static bool has_ended(char state)
{
    return state == 0 || state == 'Z' || state == 'X' || state == 'x';
}

/* Calls that a stop ends with EINTR, for the kernel does not restart them by itself: signal(7). Is
 * this one without a limit of time? */
static bool waits_for_ever(const struct user_regs_struct *r)
{
    u64 ring[3] = {0}; /* struct io_uring_getevents_arg: mask, its size, time */
    switch (r->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (i32)r->r10 < 0;
    case SYS_epoll_pwait2:
    case SYS_semtimedop:
        return r->r10 == 0;
    case SYS_semop:
        return true;
    case SYS_rt_sigtimedwait:
        return r->rdx == 0;
    case SYS_io_getevents:
        return r->r8 == 0;
    case SYS_io_uring_enter:
        if (!(r->r10 & RING_EXTENDED))
            return true;
        return sys_read_memory(r->r8, ring, sizeof ring) == sizeof ring && ring[2] == 0;
    default:
        return false;
    }
}

/* Such a call is made to look like one that the kernel restarts unless a handler runs: it sees to
 * the rest when the thread goes on, signals that come until then included. With a limit of time it
 * stays as it is: the program sees the EINTR that SIGSTOP and SIGCONT would give it. */
static void keep_waiting(struct stop_thread *t)
{
    struct user_regs_struct *r = &t->regs;
    if (r->rax != (unsigned long long)-EINTR || r->cs != USER_CODE_64 || !waits_for_ever(r))
        return;
    struct user_regs_struct changed = *r;
    changed.rax = (unsigned long long)-ERESTARTNOHAND;
    struct iovec io = {.iov_base = &changed, .iov_len = sizeof changed};
    trace(PTRACE_SETREGSET, t->tid, NT_PRSTATUS, (long)&io);
}

/* --- stopping ------------------------------------------------------------------------------ */

static struct stop_thread *find(struct stop *s, int tid)
{
    for (u32 i = s->count; i-- > 0;)
        if (s->threads[i].tid == tid && s->threads[i].state != STOP_GONE)
            return &s->threads[i];
    return NULL;
}

/* false when the thread is there and may not be traced. */
static bool seize(struct stop *s, int tid)
{
    if (s->count == s->room)
        return false;
    long failure = trace(PTRACE_SEIZE, tid, 0, 0);
    if (failure == 0)
        failure = trace(PTRACE_INTERRUPT, tid, 0, 0);
    if (sys_failed(failure)) {
        if (failure == -ESRCH || has_ended(state_of(s, tid)))
            return true;
        s->error = (int)failure;
        return false;
    }
    struct stop_thread *t = &s->threads[s->count++];
    t->tid = tid;
    t->state = STOP_RUNNING;
    t->signal = 0;
    return true;
}

struct entry { /* linux_dirent64, getdents(2) */
    u64 inode, offset;
    u16 bytes;
    u8 type;
    char name[];
} __attribute__((packed));

/* Seizes the threads that are not yet; false when the list cannot be read. */
static bool seize_new(struct stop *s)
{
    char path[40];
    text_format(path, sizeof path, "/proc/%d/task", s->pid);
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        s->error = fd;
        return false;
    }
    s->missed = 0;
    long got;
    while ((got = sys_call(SYS_getdents64, fd, s->names, sizeof s->names)) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *e = (const struct entry *)(s->names + at);
            at += e->bytes;
            u64 tid;
            if (!text_parse_u64(e->name, &tid) || (int)tid == s->self || find(s, (int)tid))
                continue;
            s->missed += !seize(s, (int)tid);
        }
    }
    sys_close(fd);
    return true;
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
        if (now - began > STUCK_MS * 1000000UL) {
            char state = state_of(s, t->tid);
            if (has_ended(state))
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
        if (!seize_new(s) || (s->count == 0 && s->missed))
            return false;
        for (u32 i = 0; i < s->count; i++)
            if (s->threads[i].state == STOP_RUNNING)
                await_settled(s, &s->threads[i]);
    } while (s->count != before && sys_monotonic_ns() < s->deadline_ns);

    for (u32 i = 0; i < s->count; i++) {
        s->missed += s->threads[i].state == STOP_RUNNING;
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
