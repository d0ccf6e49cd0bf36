/* SPDX-License-Identifier: MIT
 *
 * signals.c - the second way to stop the threads: our signal goes to each of them, and its handler
 * stands until it is let go.
 *
 * Context: frozen, on the thread that asks.
 * Invariant: no thread is sent the signal that is known to block it or to wait for it itself, for
 * which it would stay pending, or be taken as the program's. What cannot be stopped is missed, and
 * named.
 *
 * First it is looked who there is and what each waits in, while all run. Then the signals go out,
 * and the list is read until it brings nobody new. A call that the signal has ended with EINTR is
 * made again where that makes no difference (calls.c): the kernel does that by itself for most.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "stop.h"

enum {
    /* Who blocks the signal may be in a handler, or on its way to life or death, and waiting for
     * its turn on a busy machine, or for the debugger that is told of each new thread. */
    DEAF_MS = 5,
    DEAF_RUNNING_MS = 60,
    DEAF_TICK_NS = 300000,
};

/* --- before -------------------------------------------------------------------------------- */

/* Does it wait in sigwaitinfo or sigtimedwait for our signal? The kernel would give it that. */
static bool awaits_signal(const struct tasks_call *call)
{
    u64 set = 0;
    return call->pc && call->number == SYS_rt_sigtimedwait &&
           sys_read_memory(call->args[0], &set, sizeof set) == sizeof set &&
           set >> (trigger_signal() - 1) & 1;
}

static void look(struct stop *s, struct stop_thread *t)
{
    memset(&t->call, 0, sizeof t->call);
    tasks_call(s, t->tid, &t->call);
    char state = tasks_state(s, t->tid);
    t->state = tasks_has_ended(state) ? STOP_GONE
               : awaits_signal(&t->call) || tasks_blocks(s, t->tid, trigger_signal())
                   ? STOP_DEAF
                   : STOP_RUNNING;
    bool soon = state == 'R' || state == 't';
    t->deaf_until_ns = t->met_ns + (soon ? DEAF_RUNNING_MS : DEAF_MS) * 1000000UL;
}

static void meet(struct stop *s, int tid)
{
    struct stop_thread *t = tasks_add(s, tid);
    if (!t) {
        tasks_miss(s, tid, "too many threads");
        return;
    }
    t->place = NULL;
    t->met_ns = sys_monotonic_ns();
    look(s, t);
}

/* Looks at those again that would not take the signal. Is there one whose time is not over? */
static bool some_may_hear(struct stop *s)
{
    bool some = false;
    u64 now = sys_monotonic_ns();
    for (u32 i = 0; i < s->count; i++) {
        struct stop_thread *t = &s->threads[i];
        if (t->state == STOP_DEAF)
            look(s, t);
        some |= t->state == STOP_DEAF && now < t->deaf_until_ns;
    }
    return some;
}

static void doze(void)
{
    u32 never = 0;
    sys_futex_wait(&never, 0, DEAF_TICK_NS);
}

static bool prepare(struct stop *s)
{
    if (!tasks_meet_new(s, meet))
        return false;
    while (some_may_hear(s))
        doze();
    return true;
}

/* --- stopping ------------------------------------------------------------------------------ */

static void ask(struct stop *s, struct stop_thread *t)
{
    if (t->state != STOP_RUNNING || t->place)
        return;
    if (!t->call.pc)
        tasks_call(s, t->tid, &t->call); /* it was about to wait */
    t->place = trigger_hold(s->pid, t->tid);
    if (!t->place)
        t->state = STOP_GONE;
}

static void await(struct stop *s, struct stop_thread *t)
{
    u64 began = sys_monotonic_ns(), now = began;
    while (!trigger_hold_await(t->place, 1000000) && now < s->deadline_ns) {
        now = sys_monotonic_ns();
        if (now - began < STOP_STUCK_MS * 1000000UL)
            continue;
        struct tasks_call call = t->call;
        t->met_ns = began;
        look(s, t); /* it may have come to block the signal just before that was sent */
        t->call = call;
        if (t->state == STOP_GONE || tasks_state(s, t->tid) == 'D' ||
            (t->state == STOP_DEAF && now > t->deaf_until_ns))
            break;
        t->state = STOP_RUNNING;
    }
    if (trigger_stands(t->place))
        t->state = STOP_STOPPED;
}

static void ask_all(struct stop *s)
{
    for (u32 i = 0; i < s->count; i++)
        ask(s, &s->threads[i]);
    for (u32 i = 0; i < s->count; i++)
        if (s->threads[i].state == STOP_RUNNING)
            await(s, &s->threads[i]);
}

static void stop_all(struct stop *s)
{
    u32 before;
    bool some;
    do {
        before = s->count;
        ask_all(s);
        some = some_may_hear(s);
        if (some)
            doze();
    } while (tasks_meet_new(s, meet) && (some || s->count != before) &&
             sys_monotonic_ns() < s->deadline_ns);
    ask_all(s);
}

/* --- what a thread has in its hands -------------------------------------------------------- */

static void read_vector(struct stop_thread *t, const struct _libc_fpstate *from)
{
    enum { MAGIC = 0x46505853, LEGACY_BYTES = 512, SOFTWARE_AT = 464 };
    struct { /* struct _fpx_sw_bytes, asm/sigcontext.h */
        u32 magic, whole_bytes;
        u64 features;
        u32 state_bytes;
    } software;
    t->vector_bytes = 0;
    if (!from)
        return;
    memcpy(&software, (const u8 *)from + SOFTWARE_AT, sizeof software);
    u32 bytes = software.magic == MAGIC ? software.state_bytes : LEGACY_BYTES;
    t->vector_bytes = bytes < STOP_VECTOR_BYTES ? bytes : STOP_VECTOR_BYTES;
    memcpy(t->vector, from, t->vector_bytes);
}

static void read_registers(struct stop_thread *t)
{
    const ucontext_t *c = t->place->context;
#define FROM(NAME) ((unsigned long long)c->uc_mcontext.gregs[REG_##NAME])
    t->regs = (struct user_regs_struct){
        .rax = FROM(RAX),
        .rbx = FROM(RBX),
        .rcx = FROM(RCX),
        .rdx = FROM(RDX),
        .rsi = FROM(RSI),
        .rdi = FROM(RDI),
        .rbp = FROM(RBP),
        .rsp = FROM(RSP),
        .r8 = FROM(R8),
        .r9 = FROM(R9),
        .r10 = FROM(R10),
        .r11 = FROM(R11),
        .r12 = FROM(R12),
        .r13 = FROM(R13),
        .r14 = FROM(R14),
        .r15 = FROM(R15),
        .rip = FROM(RIP),
        .eflags = FROM(EFL),
        .fs_base = t->place->thread_pointer,
    };
#undef FROM
    read_vector(t, c->uc_mcontext.fpregs);
}

/* Is it interrupted in the very call that it was seen in? Only then the call's number is known,
 * which the context does not have. */
static void keep_waiting(struct stop_thread *t)
{
    const struct user_regs_struct *r = &t->regs;
    const struct tasks_call *c = &t->call;
    const u64 args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    if (c->pc && r->rip == c->pc && r->rsp == c->sp && r->rax == (unsigned long long)-EINTR &&
        memcmp(args, c->args, sizeof args) == 0 && calls_outlast_handler(c->number, args))
        t->place->call = c->number;
}

static void describe(struct stop *s, struct stop_thread *t)
{
    if (t->state == STOP_STOPPED)
        read_registers(t);
    else if (t->state == STOP_DEAF)
        tasks_miss(s, t->tid,
                   awaits_signal(&t->call) ? "waits for the signal itself" : "blocks the signal");
    else if (t->state == STOP_RUNNING)
        tasks_miss(s, t->tid, tasks_why_silent(s, t->tid));
}

/* --- life ---------------------------------------------------------------------------------- */

void signals_begin(struct stop *s)
{
    s->count = s->missed = 0;
    s->phase = STOP_REFUSED;
    if (!prepare(s) || !trigger_hold_begin())
        return;
    s->signals = true;
    s->began_ns = sys_monotonic_ns();
    s->deadline_ns = s->began_ns + STOP_MS * 1000000UL;
    stop_all(s);
    u32 stopped = 0;
    for (u32 i = 0; i < s->count; i++) {
        describe(s, &s->threads[i]);
        stopped += s->threads[i].state == STOP_STOPPED;
    }
    s->held_ns = sys_monotonic_ns();
    if (stopped == 0 && s->missed)
        signals_end(s);
    else
        s->phase = STOP_HELD;
}

bool signals_end(struct stop *s)
{
    bool stood = true;
    for (u32 i = 0; i < s->count; i++) {
        struct stop_thread *t = &s->threads[i];
        if (t->state != STOP_STOPPED)
            continue;
        stood &= trigger_stands(t->place);
        keep_waiting(t);
    }
    trigger_hold_end();
    s->ended_ns = sys_monotonic_ns();
    s->signals = false;
    return stood;
}
