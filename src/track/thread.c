/* SPDX-License-Identifier: MIT
 *
 * thread.c - see thread.h.
 *
 * Context: hot; the functions of track.h in it are for the agent.
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "next.h"
#include "peak.h"
#include "record.h"

enum { PRIVATE_HEAP_MAX = 64, CANDIDATES = 4 };

static struct thread unborn = {.mode = THREAD_UNBORN};
__thread struct thread *thread_self = &unborn;
static __thread struct heap *serving_heap;
static __thread u8 mode_before_borrow;

static struct thread *threads;   /* every struct ever made */
static struct thread *candidate; /* where the search for one to take over goes on */
static u64 own_bytes;

/* Who was given a number; outlives the thread, since its blocks may. */
struct identity {
    int tid;
    u64 stack_hi;
    char name[16];
};
static struct identity identities[THREAD_NUMBER_MAX + 1];
static u32 numbers_given;

/* Heaps that the agents of this process and of those it was forked from have used. */
static struct heap *privates[PRIVATE_HEAP_MAX];

/* Written by all threads, so they have a cache line of their own. */
static struct {
    i64 total_blocks, total_bytes, peak_blocks, peak_bytes;
} shared __attribute__((aligned(CACHE_LINE)));
static struct track_counters base_line; /* figures at the time recording began */

static void identify(struct thread *t)
{
    u32 n = PEEK(&numbers_given);
    while (n < THREAD_NUMBER_MAX - 1 &&
           !__atomic_compare_exchange_n(&numbers_given, &n, n + 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
    t->number = n < THREAD_NUMBER_MAX - 1 ? n + 1 : THREAD_NUMBER_MAX;
    struct identity *who = &identities[t->number];
    who->tid = t->tid;
    sys_call(SYS_prctl, PR_GET_NAME, who->name, 0);
    u64 here = (u64)__builtin_frame_address(0);
    for (u32 i = 0; i < THREAD_STACK_RANGES; i++)
        if (here >= t->stacks[i].lo && here < t->stacks[i].hi)
            who->stack_hi = t->stacks[i].hi;
}

/* Looks at a few structs in turn: was the thread that used it lost? Some system calls for each new
 * thread are enough to keep the structs about as few as the threads. A struct belongs to the thread
 * whose id is in it; ids of living threads differ, so who puts its own there has it alone. */
static struct thread *take_over(int pid, int tid)
{
    for (u32 i = 0; i < CANDIDATES; i++) {
        struct thread *t = ACQUIRE(&candidate);
        if (!t)
            t = ACQUIRE(&threads);
        if (!t)
            return NULL;
        RELEASE(&candidate, t->next);
        int user = PEEK(&t->tid);
        if (!sys_thread_alive(pid, user) &&
            __atomic_compare_exchange_n(&t->tid, &user, tid, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return t;
    }
    return NULL;
}

static struct thread *make(int tid)
{
    size_t bytes = ROUND_UP(sizeof(struct thread), PAGE_BYTES);
    struct thread *t = sys_map(bytes);
    if (!t)
        return NULL;
    __atomic_fetch_add(&own_bytes, bytes, __ATOMIC_RELAXED);
    t->tid = tid;
    for (u32 i = 0; i < WALK_BLOCK; i++)
        t->guarded[i].slot = (u64)&t->walk_nothing;
    t->next = ACQUIRE(&threads);
    while (!__atomic_compare_exchange_n(&threads, &t->next, t, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
    return t;
}

/* Signals are blocked meanwhile: a handler that allocates would be born a second time. Threads of
 * ours get no number: they are not among the program's. */
static COLD struct thread *birth(bool numbered)
{
    u64 all = ~0ul, before = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8, 0, 0);
    int tid = sys_gettid();
    struct thread *t = take_over(sys_getpid(), tid);
    if (t)
        memset(t->memos, 0, sizeof t->memos);
    else
        t = make(tid);
    if (t) {
        t->pending = false;
        t->moving = 0;
        t->last_count = 0;
        memset(t->stacks, 0, sizeof t->stacks);
        t->random = ((u64)t->tid << 32 | (u32)sys_getpid()) ^ sys_monotonic_ns() ^ (u64)t;
        t->sample_recording = 0;
        t->tag_depth = 0;
        t->tick_period = 1;
        t->number = 0;
        if (numbered)
            identify(t);
        POKE(&t->mode, THREAD_READY);
        thread_self = t;
    }
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8, 0, 0);
    return t;
}

struct thread *thread_settle(void)
{
    struct thread *t = thread_self;
    if (t->mode == THREAD_READY)
        return t;
    return t->mode == THREAD_UNBORN ? birth(true) : NULL;
}

struct thread *thread_settle_agent(void)
{
    struct thread *t = thread_self;
    return t->mode == THREAD_UNBORN ? birth(true) : t;
}

COLD void thread_act(struct thread *t)
{
    POKE(&t->pending, false);
    void (*act)(void) = t->act;
    if (act)
        act();
}

bool track_defer(void (*act)(void))
{
    struct thread *t = thread_self;
    if (PEEK(&t->mode) != THREAD_INSIDE)
        return false;
    t->act = act;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    POKE(&t->pending, true);
    return true;
}

/* --- private heaps ------------------------------------------------------------------------- */

static bool know_heap(struct heap *h)
{
    for (u32 i = 0; i < PRIVATE_HEAP_MAX; i++) {
        struct heap *none = NULL;
        if (ACQUIRE(&privates[i]) == h)
            return true;
        if (__atomic_compare_exchange_n(&privates[i], &none, h, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            next_except((u64)h, heap_range_bytes(h));
            return true;
        }
    }
    return false;
}

struct heap *thread_private_heap(const void *p)
{
    for (u32 i = 0; i < PRIVATE_HEAP_MAX; i++) {
        struct heap *h = PEEK(&privates[i]);
        if (!h)
            return NULL;
        if (heap_owns(h, p))
            return h;
    }
    return NULL;
}

bool thread_any_private(void)
{
    return PEEK(&privates[0]) != NULL;
}

struct heap *thread_serving_heap(void)
{
    return serving_heap;
}

void track_become_agent(struct heap *private)
{
    if (thread_self->mode == THREAD_UNBORN)
        birth(false);
    record_prepare();
    track_borrow_begin(private);
}

bool track_borrow_begin(struct heap *private)
{
    struct thread *t = thread_settle_agent();
    if (!know_heap(private))
        return false;
    serving_heap = private;
    mode_before_borrow = t->mode;
    POKE(&t->mode, THREAD_AGENT);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return true;
}

void track_borrow_end(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    POKE(&thread_self->mode, mode_before_borrow);
}

void track_unseen_begin(void)
{
    struct thread *t = record_state == RECORD_OFF ? NULL : thread_settle();
    if (t)
        thread_enter(t);
}

void track_unseen_end(void)
{
    struct thread *t = thread_self;
    if (t->mode == THREAD_INSIDE)
        thread_leave(t);
}

const struct thread *thread_first(void)
{
    return ACQUIRE(&threads);
}

bool thread_any_inside(void)
{
    int pid = sys_getpid();
    for (struct thread *t = ACQUIRE(&threads); t; t = t->next)
        if (ACQUIRE(&t->mode) == THREAD_INSIDE && t != thread_self &&
            sys_thread_alive(pid, PEEK(&t->tid)))
            return true;
    return false;
}

/* --- counters ------------------------------------------------------------------------------ */

static void raise_peak(i64 *peak, i64 value)
{
    i64 seen = PEEK(peak);
    while (value > seen && !__atomic_compare_exchange_n(peak, &seen, value, true, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
    }
}

COLD void thread_flush(struct thread *t)
{
    i64 blocks = t->live_blocks - t->flushed_blocks, bytes = t->live_bytes - t->flushed_bytes;
    POKE(&t->flushed_blocks, t->live_blocks);
    POKE(&t->flushed_bytes, t->live_bytes);
    raise_peak(&shared.peak_blocks, __atomic_add_fetch(&shared.total_blocks, blocks, __ATOMIC_RELAXED));
    i64 total = __atomic_add_fetch(&shared.total_bytes, bytes, __ATOMIC_RELAXED);
    raise_peak(&shared.peak_bytes, total);
    peak_reach(total);
    u64 weight = peak_flush_weight(total);
    t->flush_span = 2 * weight;
    t->unflushed = weight;
}

i64 thread_flushed_bytes(void)
{
    return PEEK(&shared.total_bytes);
}

struct sums {
    i64 blocks, bytes, flushed_blocks, flushed_bytes, custom_blocks, custom_bytes;
};

static struct sums sum_raw(struct track_counters *c)
{
    struct sums s = {0};
    memset(c, 0, sizeof *c);
    for (struct thread *t = ACQUIRE(&threads); t; t = t->next) {
        c->allocations += PEEK(&t->allocations);
        c->frees += PEEK(&t->frees);
        c->untracked_frees += PEEK(&t->untracked_frees);
        c->lost += PEEK(&t->lost);
        c->cut_stacks += PEEK(&t->cut_stacks);
        c->custom_allocations += PEEK(&t->custom_allocations);
        c->custom_frees += PEEK(&t->custom_frees);
        c->misuses += PEEK(&t->misuses);
        s.custom_blocks += PEEK(&t->custom_blocks);
        s.custom_bytes += PEEK(&t->custom_bytes);
        s.blocks += PEEK(&t->live_blocks);
        s.bytes += PEEK(&t->live_bytes);
        s.flushed_blocks += PEEK(&t->flushed_blocks);
        s.flushed_bytes += PEEK(&t->flushed_bytes);
    }
    return s;
}

/* Threads move on while they are summed up; a difference must not wrap below zero. */
static u64 since(u64 now, u64 then)
{
    return (i64)(now - then) > 0 ? now - then : 0;
}

void thread_sum(struct track_counters *c)
{
    struct sums s = sum_raw(c);
    c->live_blocks = since((u64)s.blocks, base_line.live_blocks);
    c->live_bytes = since((u64)s.bytes, base_line.live_bytes);
    c->allocations = since(c->allocations, base_line.allocations);
    c->frees = since(c->frees, base_line.frees);
    c->untracked_frees = since(c->untracked_frees, base_line.untracked_frees);
    c->lost = since(c->lost, base_line.lost);
    c->cut_stacks = since(c->cut_stacks, base_line.cut_stacks);
    c->custom_blocks = since((u64)s.custom_blocks, base_line.custom_blocks);
    c->custom_bytes = since((u64)s.custom_bytes, base_line.custom_bytes);
    c->custom_allocations = since(c->custom_allocations, base_line.custom_allocations);
    c->custom_frees = since(c->custom_frees, base_line.custom_frees);
    c->misuses = since(c->misuses, base_line.misuses);
    raise_peak(&shared.peak_blocks, (i64)c->live_blocks);
    raise_peak(&shared.peak_bytes, (i64)c->live_bytes);
    c->peak_blocks = (u64)PEEK(&shared.peak_blocks);
    c->peak_bytes = (u64)PEEK(&shared.peak_bytes);
}

void thread_reset_counters(void)
{
    struct sums s = sum_raw(&base_line);
    base_line.live_blocks = (u64)s.blocks;
    base_line.live_bytes = (u64)s.bytes;
    base_line.custom_blocks = (u64)s.custom_blocks;
    base_line.custom_bytes = (u64)s.custom_bytes;
    /* what threads have not flushed yet belongs to the time before */
    POKE(&shared.total_blocks, s.flushed_blocks - s.blocks);
    POKE(&shared.total_bytes, s.flushed_bytes - s.bytes);
    track_reset_peak();
}

void track_reset_peak(void)
{
    POKE(&shared.peak_blocks, 0);
    POKE(&shared.peak_bytes, 0);
    peak_begin(PEEK(&peak_epoch) != 0, thread_flushed_bytes());
}

u64 thread_own_bytes(void)
{
    return PEEK(&own_bytes);
}

/* --- for the agent ------------------------------------------------------------------------- */

static void read_name(int tid, char name[16])
{
    char path[64];
    text_format(path, sizeof path, "/proc/self/task/%d/comm", tid);
    int fd = sys_open(path, 0, 0);
    if (fd < 0)
        return;
    long n = sys_read(fd, name, 15);
    sys_close(fd);
    if (n > 0)
        name[name[n - 1] == '\n' ? n - 1 : n] = 0;
}

u32 track_threads(struct track_thread *out, u32 max)
{
    int pid = sys_getpid();
    u32 n = PEEK(&numbers_given);
    if (n > max)
        n = max;
    for (u32 i = 0; i < n; i++) {
        struct identity *who = &identities[i + 1];
        out[i] = (struct track_thread){.number = i + 1, .tid = who->tid};
        out[i].alive = who->tid && sys_thread_alive(pid, who->tid);
        out[i].stack_hi = who->stack_hi;
        if (out[i].alive)
            read_name(who->tid, who->name);
        memcpy(out[i].name, who->name, sizeof who->name);
    }
    return n;
}

u32 track_moving(struct track_moving *out, u32 max)
{
    u32 n = 0;
    for (const struct thread *t = ACQUIRE(&threads); t && n < max; t = t->next)
        if (PEEK(&t->moving))
            out[n++] = (struct track_moving){t->tid, PEEK(&t->moving), PEEK(&t->moving_bytes)};
    return n;
}

/* In the child only the thread that forked is left, under a new id. */
void thread_after_fork(void)
{
    struct thread *t = thread_self;
    if (t->mode == THREAD_UNBORN)
        return;
    POKE(&t->tid, sys_gettid());
    t->random ^= (u64)t->tid << 32; /* else it would draw what its parent draws */
    t->sample_recording = 0;
    if (t->number)
        identities[t->number].tid = t->tid;
}
