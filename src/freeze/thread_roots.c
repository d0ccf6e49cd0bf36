/* SPDX-License-Identifier: MIT
 *
 * thread_roots.c - what threads hold: their registers, stacks and thread-local storage, and what
 * one has in its hands in the middle of a realloc.
 *
 * Context: frozen, in the clone.
 * Invariant: what lies below the stack pointer of a thread on its own stack is dead; of a stack that
 * it does not stand on nothing is known, and all is taken for live.
 */
#include <string.h>

#include "roots.h"

enum {
    RED_ZONE = 128,      /* bytes below the stack pointer in use (x86-64 psABI, 3.2.2) */
    THREAD_BLOCK = 4096, /* behind the thread pointer: struct pthread, at most */
    THREAD_BLOCK_LEAST = 2304,
    MOVING_MAX = 256,
    MOVING_FRAMES = 4096,     /* of a thread in realloc */
    MOVING_UNKNOWN = 1 << 20, /* bytes of a block whose length is not known */
};

u32 roots_registers(const struct stop_thread *t, u64 out[ROOTS_REGISTERS])
{
    const struct user_regs_struct *r = &t->regs;
    const u64 general[ROOTS_GENERAL] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi,
                                        r->rbp, r->rsp, r->r8,  r->r9,  r->r10, r->r11,
                                        r->r12, r->r13, r->r14, r->r15, r->rip};
    memcpy(out, general, sizeof general);
    u32 vector = t->vector_bytes / (u32)sizeof(u64);
    memcpy(out + ROOTS_GENERAL, t->vector, vector * sizeof(u64));
    return ROOTS_GENERAL + vector;
}

static u32 number_of(const struct roots *x, int tid)
{
    const struct snapshot_thread *t = freeze_thread_of(x->job, tid);
    return t ? t->number : 0;
}

/* Does memory that may not be touched lie below? Then nothing but the stack is in the region. */
static bool has_guard(const struct roots *x, const struct region *r)
{
    const struct region *before = r - 1;
    return r > x->regions->list && before->hi == r->lo && !before->read && !before->write;
}

/* Each module's part of it is a root of its own, since what lies there has a name. */
static void add_thread_locals(struct roots *x, struct snapshot_root root, u64 pointer)
{
    u64 end = root.hi;
    for (u32 i = 0; i < x->request->thread_local_count; i++) {
        const struct freeze_thread_locals *m = &x->request->thread_locals[i];
        u64 lo = pointer - m->below;
        if (lo < root.lo || m->bytes > pointer - lo)
            continue;
        root.hi = lo;
        roots_add(x, root);
        root.lo = lo;
        root.hi = lo + m->bytes;
        root.module = freeze_modules_now(&x->job->modules, m->inside);
        roots_add(x, root);
        root.lo = root.hi;
        root.module = 0;
    }
    root.hi = end;
    roots_add(x, root);
}

/* Thread-local storage lies below the thread pointer, what the C library knows of the thread
 * behind it; the size that it gives is that of both. Returns where it begins, 0 when there is none.
 */
static u64 thread_local_root(struct roots *x, struct snapshot_root root, u64 pointer)
{
    const struct region *r = roots_writable(x, pointer);
    if (!r || roots_is_ours(x, pointer))
        return 0;
    u64 behind = x->thread.from_end ? x->thread.from_end : THREAD_BLOCK_LEAST;
    u64 whole = x->request->static_tls_bytes, below = whole > behind ? whole - behind : 0;
    root.kind = SNAPSHOT_ROOT_THREAD_LOCAL;
    root.lo = pointer - r->lo > below ? pointer - below : r->lo;
    root.hi = r->hi - pointer > THREAD_BLOCK ? pointer + THREAD_BLOCK : r->hi;
    add_thread_locals(x, root, pointer);
    roots_exclude(x, root.lo, root.hi);
    return root.lo;
}

static void stack_root(struct roots *x, struct snapshot_root root, u64 lo, u64 hi)
{
    if (lo >= hi)
        return;
    root.kind = SNAPSHOT_ROOT_STACK;
    root.lo = lo;
    root.hi = hi;
    roots_add(x, root);
    roots_exclude(x, lo, hi);
}

/* A thread usually stands on the stack that it was made with, whose end holds its thread-local
 * storage; but it may run on another one (sigaltstack, a coroutine's), and all of its own is then
 * taken for live. */
static void thread_roots(struct roots *x, const struct stop_thread *t)
{
    struct snapshot_root root = {.tid = (u32)t->tid, .thread = number_of(x, t->tid)};
    u64 pointer = t->regs.fs_base, sp = t->regs.rsp;
    u64 local = thread_local_root(x, root, pointer);
    const struct region *on = roots_writable(x, sp);
    struct region home = {0};
    if (t->tid == x->stop->pid) {
        for (u32 i = 0; i < x->regions->count; i++)
            if (x->regions->list[i].kind == REGION_STACK)
                home = x->regions->list[i];
    } else if (local && regions_find(x->regions, pointer)->hi - pointer <= 2 * THREAD_BLOCK) {
        home = *regions_find(x->regions, pointer);
        home.hi = local;
    }
    u64 live = sp - RED_ZONE;
    if (sp >= home.lo && sp < home.hi) {
        live = live < home.lo ? home.lo : live;
        stack_root(x, root, live, home.hi);
        const struct region *whole = regions_find(x->regions, home.lo);
        if (whole->kind == REGION_STACK || has_guard(x, whole))
            roots_add_dead(x, root, home.lo, live);
        return;
    }
    stack_root(x, root, home.lo, home.hi);
    if (on && !roots_is_ours(x, sp) && on->kind != REGION_HEAP && !roots_holds_block(x, sp))
        stack_root(x, root, live < on->lo ? on->lo : live, on->hi);
}

/* A block in the middle of a realloc is where it was, or somewhere that only the registers and the
 * innermost frames of its thread know, or half here and half there. */
static void moving_area(struct roots *x, const struct track_moving *m, u64 at)
{
    const struct region *r = roots_writable(x, at);
    u32 next = roots_below(x, at);
    if (!r || roots_holds_block(x, at) || freeze_modules_now(&x->job->modules, at))
        return;
    u64 bytes = m->bytes ? m->bytes : MOVING_UNKNOWN, end = r->hi;
    end = end - at > bytes ? at + bytes : end;
    if (next < x->job->blocks.count && x->job->blocks.addr[next] < end)
        end = x->job->blocks.addr[next];
    if (end > at)
        roots_add(x, (struct snapshot_root){.kind = SNAPSHOT_ROOT_MAPPING,
                                      .lo = at,
                                      .hi = end,
                                      .tid = (u32)m->tid,
                                      .thread = number_of(x, m->tid)});
}

static void moving_candidates(struct roots *x, const struct track_moving *m,
                              const struct stop_thread *t)
{
    u64 words[ROOTS_REGISTERS], sp = ROUND_UP(t->regs.rsp, sizeof(u64));
    u32 count = roots_registers(t, words);
    const struct region *stack = roots_writable(x, sp);
    for (u32 i = 0; i < count; i++)
        if (roots_writable(x, words[i]) != stack && words[i] != m->addr)
            moving_area(x, m, words[i]);
    if (!stack)
        return;
    u64 end = stack->hi - sp > MOVING_FRAMES ? sp + MOVING_FRAMES : stack->hi;
    for (; sp < end && regions_holds(x->regions, sp); sp += sizeof(u64)) {
        u64 word = *(const u64 *)sp;
        if (roots_writable(x, word) != stack && word != m->addr)
            moving_area(x, m, word);
    }
}

static void moving_roots(struct roots *x)
{
    struct track_moving moving[MOVING_MAX];
    u32 count = track_moving(moving, MOVING_MAX);
    for (u32 i = 0; i < count; i++) {
        moving_area(x, &moving[i], moving[i].addr);
        for (u32 k = 0; x->stop && k < x->stop->count; k++)
            if (x->stop->threads[k].tid == moving[i].tid &&
                x->stop->threads[k].state == STOP_STOPPED)
                moving_candidates(x, &moving[i], &x->stop->threads[k]);
    }
}

static void register_roots(struct roots *x)
{
    u64 words[ROOTS_REGISTERS];
    for (u32 i = 0; i < x->stop->count; i++) {
        const struct stop_thread *t = &x->stop->threads[i];
        if (t->state != STOP_STOPPED)
            continue;
        struct snapshot_root root = {.kind = SNAPSHOT_ROOT_REGISTER,
                                     .tid = (u32)t->tid,
                                     .thread = number_of(x, t->tid)};
        root.hi = roots_registers(t, words) * sizeof(u64);
        roots_add(x, root);
    }
}

void roots_of_threads(struct roots *x)
{
    if (x->stop)
        register_roots(x);
    for (u32 i = 0; x->stop && i < x->stop->count; i++)
        if (x->stop->threads[i].state == STOP_STOPPED)
            thread_roots(x, &x->stop->threads[i]);
    moving_roots(x);
}
