/* SPDX-License-Identifier: MIT
 *
 * hold.c - threads stand in our signal's handler until they are let go.
 *
 * Context: hot: hold_answer on the threads that stand, the rest frozen, on the thread that asks.
 * Invariant: a thread stands only while the round goes on for which its place was wanted, and at
 * most HOLD_MS. A place belongs to the asker while its state is PLACE_FREE or PLACE_WANTED, and to
 * its thread from PLACE_COMING until that makes it free again, so a thread that answers late, in
 * this round or in a later one, finds nothing to do and spoils nothing.
 * Why places are never given back: a signal may be pending for as long as its thread likes, and
 * says by an address where to answer.
 */
#include <limits.h>

#include "hold.h"
#include "keep.h"

enum { HOLD_MAX = 1 << 15, HOLD_MS = 2000 };
enum place_state { PLACE_FREE, PLACE_WANTED, PLACE_COMING, PLACE_STANDS, PLACE_LEFT };
enum { STATE_BITS = 3, STATE_MASK = (1 << STATE_BITS) - 1 };

static struct trigger_place *places; /* [0..HOLD_MAX) */
static u32 used;                     /* of this round */
static u32 gate;                     /* futex: the round; threads of an earlier one go on */
static u32 answers;                  /* futex: counts threads that have come to stand */
static bool holding;

static u32 state_in_round(enum place_state state, u32 round)
{
    return round << STATE_BITS | (u32)state;
}

static bool is_state(const struct trigger_place *p, enum place_state state)
{
    return ACQUIRE(&p->state) == state_in_round(state, PEEK(&gate));
}

static bool move(struct trigger_place *p, u32 from, u32 to)
{
    return __atomic_compare_exchange_n(&p->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* --- on the thread that stands ------------------------------------------------------------- */

static struct trigger_place *place_of(const siginfo_t *info)
{
    u64 value = (u64)info->si_value.sival_ptr, first = (u64)ACQUIRE(&places);
    if (info->si_code != SI_QUEUE || !first || value < first ||
        value >= first + HOLD_MAX * sizeof *places || (value - first) % sizeof *places)
        return NULL;
    return info->si_value.sival_ptr;
}

/* The handler was entered with what the interrupted call gave. Has it given nothing but the news
 * of our signal, the call is made again; when there is another signal to take, that one may be what
 * the program waits for, and the call ends. */
static void call_again(const struct trigger_place *p, ucontext_t *context)
{
    enum { SYSCALL_BYTES = 2 }; /* of the instruction */
    u64 pending = 0, blocked;
    __builtin_memcpy(&blocked, &context->uc_sigmask, sizeof blocked);
    sys_call(SYS_rt_sigpending, &pending, sizeof pending, 0);
    if (pending & ~blocked)
        return;
    context->uc_mcontext.gregs[REG_RAX] = p->call;
    context->uc_mcontext.gregs[REG_RIP] -= SYSCALL_BYTES;
}

/* Until the round is over. A handler that ran meanwhile would move what is being looked at: all
 * signals are blocked, until the return from ours restores the mask. */
static void stand(u32 round)
{
    u64 end = sys_monotonic_ns() + HOLD_MS * 1000000UL, now;
    while (ACQUIRE(&gate) == round && (now = sys_monotonic_ns()) < end)
        sys_futex_wait(&gate, round, end - now);
}

bool hold_answer(const siginfo_t *info, ucontext_t *context)
{
    struct trigger_place *p = place_of(info);
    u64 all = ~0UL;
    if (!p)
        return false;
    u32 wanted = ACQUIRE(&p->state), round = wanted >> STATE_BITS;
    if ((wanted & STATE_MASK) != PLACE_WANTED || PEEK(&p->tid) != sys_gettid())
        return true;
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof all, 0, 0);
    if (!move(p, wanted, state_in_round(PLACE_COMING, round)))
        return true;
    p->context = context;
    p->call = TRIGGER_NO_CALL;
    __asm__("mov %%fs:0, %0"
            : "=r"(p->thread_pointer)); /* psABI: the thread pointer points to itself */
    RELEASE(&p->state, state_in_round(PLACE_STANDS, round));
    __atomic_add_fetch(&answers, 1, __ATOMIC_RELEASE);
    sys_futex_wake(&answers, 1);
    stand(round);
    if (p->call != TRIGGER_NO_CALL)
        call_again(p, context);
    RELEASE(&p->state, state_in_round(ACQUIRE(&gate) == round ? PLACE_LEFT : PLACE_FREE, round));
    return true;
}

/* --- on the thread that asks --------------------------------------------------------------- */

bool trigger_hold_begin(void)
{
    if (!trigger_signal() || !keep_holds())
        return false;
    if (!places) {
        struct trigger_place *made = sys_map(HOLD_MAX * sizeof *made);
        if (!made)
            return false;
        RELEASE(&places, made);
    }
    used = 0;
    holding = true;
    keep_mask_all(true);
    return true;
}

struct trigger_place *trigger_hold(int pid, int tid)
{
    u32 round = PEEK(&gate);
    siginfo_t info = {.si_signo = trigger_signal(), .si_code = SI_QUEUE};
    info.si_pid = pid;
    for (; used < HOLD_MAX; used++) {
        struct trigger_place *p = &places[used];
        u32 state = ACQUIRE(&p->state) & STATE_MASK;
        if (state == PLACE_COMING || state == PLACE_STANDS) /* not yet gone from an earlier round */
            continue;
        used++;
        POKE(&p->tid, tid);
        RELEASE(&p->state, state_in_round(PLACE_WANTED, round));
        info.si_value.sival_ptr = p;
        if (!sys_failed(
                sys_call6(SYS_rt_tgsigqueueinfo, pid, tid, info.si_signo, (long)&info, 0, 0)))
            return p;
        RELEASE(&p->state, state_in_round(PLACE_FREE, round));
        return NULL;
    }
    return NULL;
}

bool trigger_stands(const struct trigger_place *p)
{
    return is_state(p, PLACE_STANDS);
}

bool trigger_hold_await(const struct trigger_place *p, u64 timeout_ns)
{
    u32 seen = ACQUIRE(&answers);
    if (!trigger_stands(p))
        sys_futex_wait(&answers, seen, timeout_ns);
    return trigger_stands(p);
}

void trigger_hold_end(void)
{
    if (!holding)
        return;
    u32 round = PEEK(&gate);
    for (u32 i = 0; i < used; i++)
        move(&places[i], state_in_round(PLACE_WANTED, round), state_in_round(PLACE_FREE, round));
    RELEASE(&gate, (round + 1) & (UINT32_MAX >> STATE_BITS));
    sys_futex_wake(&gate, INT_MAX);
    keep_mask_all(false);
    holding = false;
}

void hold_after_fork(void)
{
    if (holding)
        trigger_hold_end();
    for (u32 i = 0; places && i < used; i++)
        RELEASE(&places[i].state, PLACE_FREE);
}
