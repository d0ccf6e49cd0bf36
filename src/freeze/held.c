/* SPDX-License-Identifier: MIT
 *
 * held.c - see held.h.
 *
 * Context: frozen.
 * Invariant: what parent and clone say to each other lies in one shared mapping: a question has a
 * number, and its answer the same one. Nothing that the clone does can make its parent wait longer
 * than ANSWER_NS.
 * What it once said stays true, so the window of the last answer serves the next questions too.
 * Why the clone copies: it may not be looked into (it is not dumpable), and needs no leave to read
 * its own memory, which some sandboxes refuse even for oneself (process_vm_readv).
 * Why it lets go of all that is ours first: the recorder writes to its index all the time, and
 * each page of it would be kept twice for nobody's use; so would snapshots that are closed.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "clone.h"
#include "held.h"
#include "job.h"

enum {
    WINDOW_BYTES = 1 << 16,
    AHEAD_BYTES = 1 << 13,     /* the least that is copied: neighbours are often asked for next */
    TICK_NS = 500000000,       /* how soon the clone sees that it should end */
    QUICK_TICK_NS = 20000000,  /* how soon the parent sees that it has */
    COST_SHARE = 100,          /* of its time, the clone spends one such part on its own figures */
};
#define ANSWER_NS 5000000000ull

enum held_end {
    HELD_SERVES,
    HELD_UNUSED, /* nobody asked for too long */
    HELD_COSTLY,
};

struct freeze_held {
    int pid;                     /* the parent's; 0 = it has ended */
    bool silent;                 /* it was ended since it did not answer */
    int process, thread;         /* with which it ends */
    u64 patience_ns, most_bytes; /* 0 = no limit */
    u32 asked, answered;         /* futexes: the numbers of the last question and answer */
    bool let_go;                 /* the question that is none */
    u32 end;                     /* enum held_end */
    u64 cost_bytes;
    u64 used_ns;        /* when it was last read */
    u64 address, bytes; /* the question; at most WINDOW_BYTES */
    u64 copied;         /* the answer, from that address on: fewer where there are no more */
    u8 window[WINDOW_BYTES];
};

struct freeze_held *held_create(const struct freeze_request *r, u64 room)
{
    struct freeze_held *h = sys_map_shared(ROUND_UP(sizeof *h, PAGE_BYTES));
    if (!h)
        return NULL;
    h->process = sys_getpid();
    h->thread = sys_gettid();
    h->patience_ns = r->hold_ns;
    h->most_bytes = r->hold_bytes ? r->hold_bytes : room;
    return h;
}

void held_free(struct freeze_held *h)
{
    sys_unmap(h, ROUND_UP(sizeof *h, PAGE_BYTES));
}

/* --- in the clone -------------------------------------------------------------------------- */

/* Is there something to be read? The kernel copies the set of signals in before it looks at what to
 * do with it (rt_sigprocmask), and no filter forbids that call. Not at the page's start: no set is
 * at 0. */
static bool is_readable(u64 page)
{
    enum { NOTHING_TO_DO = -1, SET_BYTES = 8 };
    return sys_call6(SYS_rt_sigprocmask, NOTHING_TO_DO, (long)(page + SET_BYTES), 0, SET_BYTES, 0,
                     0) != -EFAULT;
}

/* Memory that does not change: what could be read once can be read again. What stands between
 * blocks is read along with them. */
__attribute__((no_sanitize_address)) static u64 copy_out(struct freeze_held *h)
{
    const volatile u8 *from = (const volatile u8 *)h->address;
    u64 bytes = h->bytes < AHEAD_BYTES ? AHEAD_BYTES : h->bytes;
    for (u64 i = 0; i < bytes; i++) {
        u64 page = ROUND_DOWN(h->address + i, PAGE_BYTES);
        if ((i == 0 || page == h->address + i) && !is_readable(page))
            return i;
        h->window[i] = from[i];
    }
    return bytes;
}

static void let_go_of_ours(const struct freeze_held *h)
{
    struct own_range list[OWN_MAX];
    u64 stack = (u64)&list;
    u32 count = own_list(list, OWN_MAX);
    for (u32 i = 0; i < count; i++) {
        bool needed = (stack >= list[i].lo && stack < list[i].hi) ||
                      ((u64)h >= list[i].lo && (u64)h < list[i].hi);
        if (!needed) /* not sys_unmap, which would change the list */
            sys_call(SYS_munmap, list[i].lo, list[i].hi - list[i].lo, 0);
    }
}

static void leave(struct freeze_held *h, enum held_end end)
{
    POKE(&h->end, (u32)end);
    for (;;)
        sys_call(SYS_exit_group, 0, 0, 0);
}

/* The kernel kills it with the thread that made it, unless the program has meanwhile given up the
 * right to (setuid). */
static bool is_orphan(const struct freeze_held *h)
{
    return (int)sys_call(SYS_getppid, 0, 0, 0) != h->process ||
           sys_call(SYS_tgkill, h->process, h->thread, 0) == -ESRCH;
}

/* Processor time of the clone so far. */
static u64 own_time_ns(void)
{
    struct timespec spent = {0};
    sys_call(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &spent, 0);
    return (u64)spent.tv_sec * 1000000000 + (u64)spent.tv_nsec;
}

void held_serve(struct freeze_held *h)
{
    u64 look_ns = 0;
    u32 answered = 0;
    POKE(&h->used_ns, sys_monotonic_ns());
    let_go_of_ours(h);
    for (;;) {
        u32 asked = ACQUIRE(&h->asked);
        u64 now = sys_monotonic_ns();
        if (ACQUIRE(&h->let_go) || is_orphan(h))
            leave(h, HELD_SERVES);
        if (asked != answered) {
            h->copied = copy_out(h);
            answered = asked;
            RELEASE(&h->answered, answered);
            clone_wake(&h->answered);
        } else if (h->patience_ns && now > PEEK(&h->used_ns) + h->patience_ns) {
            leave(h, HELD_UNUSED);
        } else {
            clone_sleep(&h->asked, asked, TICK_NS);
        }
        if (now >= look_ns) {
            u64 spent = own_time_ns(), cost = memory_private();
            POKE(&h->cost_bytes, cost);
            if (cost > h->most_bytes)
                leave(h, HELD_COSTLY);
            look_ns = now + COST_SHARE * (own_time_ns() - spent);
        }
    }
}

/* --- in the parent ------------------------------------------------------------------------- */

void held_began(struct freeze_held *h, int pid)
{
    h->pid = pid;
}

static bool has_ended(struct freeze_held *h)
{
    if (h->pid && clone_has_ended(h->pid))
        h->pid = 0;
    return h->pid == 0;
}

static void end(struct freeze_held *h)
{
    if (h->pid == 0)
        return;
    RELEASE(&h->let_go, true);
    __atomic_add_fetch(&h->asked, 1, __ATOMIC_RELEASE);
    clone_wake(&h->asked);
    clone_end(h->pid);
    h->pid = 0;
}

static bool await_answer(struct freeze_held *h, u32 asked)
{
    u64 deadline = sys_monotonic_ns() + ANSWER_NS;
    for (;;) {
        u32 answered = ACQUIRE(&h->answered);
        if (answered == asked)
            return true;
        if (has_ended(h))
            return ACQUIRE(&h->answered) == asked;
        if (sys_monotonic_ns() > deadline) {
            end(h);
            h->silent = true;
            return false;
        }
        clone_sleep(&h->answered, answered, QUICK_TICK_NS);
    }
}

static bool explain(const struct freeze_held *h, struct err *e)
{
    u64 s = h->patience_ns / 1000000000;
    if (h->silent)
        return err_set(e, STATUS_TIMEOUT, "its contents are gone: they could not be had in time");
    switch ((enum held_end)h->end) {
    case HELD_UNUSED:
        return err_set(e, STATUS_TIMEOUT,
                       "its contents were let go, not having been read for %llu s",
                       (unsigned long long)s);
    case HELD_COSTLY:
        return err_set(e, STATUS_LIMIT,
                       "its contents were let go: keeping them had come to cost %llu MiB",
                       (unsigned long long)(h->cost_bytes >> 20));
    case HELD_SERVES:
        break;
    }
    return err_set(e, STATUS_IO, "its contents are gone: the process that kept them was killed");
}

/* Has it in the window; false when it cannot be asked any more. */
static bool fetch(struct freeze_held *h, u64 address, u64 bytes)
{
    u64 before = address - h->address;
    POKE(&h->used_ns, sys_monotonic_ns());
    if (has_ended(h))
        return false;
    if (before < h->copied && bytes <= h->copied - before)
        return true;
    h->address = address;
    h->bytes = bytes;
    h->copied = 0;
    u32 asked = __atomic_add_fetch(&h->asked, 1, __ATOMIC_RELEASE);
    clone_wake(&h->asked);
    return await_answer(h, asked);
}

bool freeze_held_read(struct freeze_held *h, u64 address, void *out, size_t bytes, struct err *e)
{
    for (size_t done = 0; done < bytes;) {
        u64 at = address + done;
        size_t part = bytes - done < WINDOW_BYTES ? bytes - done : WINDOW_BYTES;
        if (!fetch(h, at, part))
            return explain(h, e);
        u64 before = at - h->address;
        if (before + part > h->copied)
            return err_set(e, STATUS_NOT_FOUND, "its memory was not there to be copied");
        memcpy((u8 *)out + done, h->window + before, part);
        done += part;
    }
    return true;
}

bool freeze_held_alive(struct freeze_held *h, u64 *cost_bytes)
{
    bool alive = !has_ended(h);
    *cost_bytes = alive ? PEEK(&h->cost_bytes) : 0;
    return alive;
}

void freeze_held_end(struct freeze_held *h)
{
    end(h);
    held_free(h);
}
