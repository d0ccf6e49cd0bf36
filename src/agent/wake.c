/* SPDX-License-Identifier: MIT
 *
 * wake.c - from a signal to a running agent thread.
 *
 * Context: hot: agent_wake runs in the signal handler, on whatever thread, at any instruction.
 * Invariant: pthread_create is called only where interrupted.c has found that the thread holds
 * nothing that pthread_create needs, and what libc allocates in it comes from the private heap. A
 * signal is never forgotten: it is counted before anything else is tried.
 * Why a helper: where nothing may be started now, the signal is sent again a millisecond later, by
 * a raw clone that knows only system calls. An interval timer would do too, but there is one for
 * each process and it is the program's.
 */
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "agent.h"

enum {
    STACK_BYTES = 4 << 20, /* the demangler may take 2 MiB of it on a hostile name */
    GUARD_BYTES = PAGE_BYTES,
    HELPER_STACK_BYTES = 16384,
    HELPER_TRIES = 2000,
    HELPER_QUICK_TRIES = 200, /* with a millisecond between; later ones with ten */
};
#define HEAP_RESERVE_BYTES (16ULL << 30)

static int (*create_thread)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
    pthread_create;
static size_t stack_bytes = STACK_BYTES;

static _Alignas(64) char helper_stack[HELPER_STACK_BYTES];
static int helper_tid;      /* cleared by the kernel when the helper is gone */
static int helper_target;   /* thread that was interrupted */

void agent_prepare(void)
{
    /* The C library's own, since allocators wrap pthread_create to start threads of theirs. */
    void *found = exported_find(&agent.libc, "pthread_create");
    if (found)
        memcpy(&create_thread, &found, sizeof found);
    /* Static TLS of all modules is cut from the stack that we bring. */
    size_t (*least)(const pthread_attr_t *) = NULL;
    found = exported_find(&agent.libc, "__pthread_get_minstack");
    memcpy(&least, &found, sizeof least);
    pthread_attr_t plain;
    pthread_attr_init(&plain);
    stack_bytes = STACK_BYTES + ROUND_UP(least ? least(&plain) : (size_t)PTHREAD_STACK_MIN,
                                         PAGE_BYTES);
    pthread_attr_destroy(&plain);
}

void agent_forget_parent(void)
{
    track_after_fork();
    trigger_after_fork();
    process_mark_renew(agent.mark);
    agent_held_forget();
    /* The heap stays as it is: its lock may have been held, and libc may remember blocks of it. */
    agent.heap = NULL;
    agent.checkpoints = NULL;
    agent.refusals = 0;
    agent.signals = 0;
    helper_tid = 0;
    RELEASE(&agent.state, AGENT_ABSENT);
}

/* --- creating ------------------------------------------------------------------------------ */

/* Returns what was blocked before. */
static u64 set_mask(u64 mask)
{
    u64 before = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)&before, sizeof mask, 0, 0);
    return before;
}

/* All but those that libc uses among threads: to cancel one, and for setuid in all of them. */
static u64 block_signals(void)
{
    enum { LIBC_CANCEL = 32, LIBC_SETXID = 33 };
    return set_mask(~(1UL << (LIBC_CANCEL - 1) | 1UL << (LIBC_SETXID - 1)));
}

/* A stack of our own: libc keeps and reuses those that it makes, and with them what was allocated
 * for their threads. */
static char *make_stack(void)
{
    char *stack = sys_reserve(GUARD_BYTES + stack_bytes);
    if (stack && !sys_commit(stack + GUARD_BYTES, stack_bytes)) {
        sys_unmap(stack, GUARD_BYTES + stack_bytes);
        return NULL;
    }
    return stack;
}

static bool create(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (!agent.heap)
        agent.heap = heap_create(HEAP_RESERVE_BYTES, 0);
    char *stack = agent.heap ? make_stack() : NULL;
    if (!stack)
        return false;
    u64 mask = block_signals();
    if (!track_borrow_begin(agent.heap)) {
        set_mask(mask);
        sys_unmap(stack, GUARD_BYTES + stack_bytes);
        return false;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack + GUARD_BYTES, stack_bytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failure = create_thread(&thread, &attributes, agent_loop, NULL);
    pthread_attr_destroy(&attributes);
    track_borrow_end();
    set_mask(mask);
    if (failure)
        sys_unmap(stack, GUARD_BYTES + stack_bytes);
    return !failure;
}

/* The state is AGENT_STARTING, and ours. */
static bool start_here(void)
{
    if (create()) {
        agent.refusals = 0;
        RELEASE(&agent.state, AGENT_PRESENT);
        return true;
    }
    log_note("a signal found no memory, or no leave, to start the agent's thread");
    RELEASE(&agent.state, AGENT_ABSENT);
    return false;
}

/* --- trying again -------------------------------------------------------------------------- */

/* Runs on the helper's stack, with another thread's TLS: raw system calls only. */
static void help(void *unused)
{
    (void)unused;
    int pid = sys_getpid();
    for (u32 i = 0; i < HELPER_TRIES; i++) {
        struct timespec pause = {.tv_nsec = i < HELPER_QUICK_TRIES ? 1000000 : 10000000};
        sys_call(SYS_nanosleep, &pause, 0, 0);
        u32 state = ACQUIRE(&agent.state);
        if (state == AGENT_PRESENT || state == AGENT_ABSENT)
            return;
        if (state != AGENT_REFUSED)
            continue;
        /* Now and then any thread: that one may stay where it is, or be gone. */
        if (i % 4 == 3 || !trigger_repeat(pid, helper_target))
            trigger_repeat(pid, 0);
    }
    u32 refused = AGENT_REFUSED;
    if (__atomic_compare_exchange_n(&agent.state, &refused, AGENT_ABSENT, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        log_note("a signal came where no thread may be started, and nothing else was met later");
}

/* Nothing could be started here: has the signal sent again. */
static void refuse(void)
{
    agent.refusals++;
    RELEASE(&agent.state, AGENT_REFUSED);
    if (ACQUIRE(&helper_tid))
        return;
    helper_target = sys_gettid();
    u64 mask = block_signals(); /* the helper inherits it */
    long made = sys_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                              CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                          helper_stack + sizeof helper_stack, &helper_tid, help, NULL);
    set_mask(mask);
    if (sys_failed(made))
        RELEASE(&agent.state, AGENT_ABSENT);
}

/* --- the ways in --------------------------------------------------------------------------- */

static void start_or_refuse(const ucontext_t *context)
{
    if (agent_interrupted_safely(context, agent.refusals))
        start_here();
    else
        refuse();
}

/* On the thread that was inside malloc when the signal came, as it leaves: but who called malloc
 * may be the loader, or pthread_create. */
static void start_after_malloc(void)
{
    if (process_mark_check(agent.mark) != PROCESS_SAME)
        return;
    ucontext_t here;
    getcontext(&here);
    start_or_refuse(&here);
}

static bool claim(u32 from)
{
    return __atomic_compare_exchange_n(&agent.state, &from, AGENT_STARTING, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void agent_nudge(void)
{
    __atomic_add_fetch(&agent.wakes, 1, __ATOMIC_RELEASE);
    sys_futex_wake(&agent.wakes, 1);
}

void agent_wake(const ucontext_t *interrupted, bool repeat)
{
    switch (process_mark_check(agent.mark)) {
    case PROCESS_BORROWS:
        return;
    case PROCESS_FORKED: /* by a raw system call: pthread_atfork knows nothing of it */
        agent_forget_parent();
        break;
    case PROCESS_SAME:
        break;
    }
    if (!repeat) {
        __atomic_add_fetch(&agent.signals, 1, __ATOMIC_RELEASE);
        agent_nudge();
    }
    u32 state = ACQUIRE(&agent.state);
    if (state == AGENT_PRESENT || state == AGENT_STARTING || !claim(state))
        return;
    if (!track_defer(start_after_malloc))
        start_or_refuse(interrupted);
}

bool agent_ensure(void)
{
    if (!agent.mark || process_mark_check(agent.mark) == PROCESS_BORROWS)
        return false;
    if (process_mark_check(agent.mark) == PROCESS_FORKED)
        agent_forget_parent();
    for (;;) {
        u32 state = ACQUIRE(&agent.state);
        if (state == AGENT_PRESENT)
            return true;
        if (state == AGENT_STARTING) {
            struct timespec pause = {.tv_nsec = 1000000};
            sys_call(SYS_nanosleep, &pause, 0, 0);
        } else if (claim(state)) {
            if (!start_here())
                return false;
        }
    }
}
