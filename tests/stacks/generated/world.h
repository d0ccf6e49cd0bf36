/* SPDX-License-Identifier: MIT
 *
 * world.h - what the functions of a generated program share: each tells which function it is when
 * it begins, so that at any allocation the program knows its own chain of calls.
 *
 * Context: test; C and C++. generate.py writes functions named gN (N is their number; kN for a
 * C++20 coroutine), all of one type, which call each other by a table.
 * Invariant: shadow[0..top) of the context that runs is the chain of numbered functions on its
 * stack, the innermost last, whenever one of them allocates. A function sets `top` anew after
 * every call, so that it does not matter how the call came back: by a return, a longjmp, an
 * exception. One that ends in a tail call may or may not be on the stack; it is marked so.
 */
#ifndef MOONHEAP_TEST_WORLD_H
#define MOONHEAP_TEST_WORLD_H

#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SHADOW_MAX = 2048, SHADOW_DEEP = 600, ROUTINE_DEEP = 60, ROUTINES = 4 };
enum { SHADOW_MAYBE = 1 << 30 };

struct world;
typedef unsigned long step(struct world *w, unsigned depth);

/* Where world_leave goes, and what held there. */
struct jump {
    sigjmp_buf buffer;
    struct jump *outer;
    int catchers, alternate, handlers, borrowed;
};

/* A stack of calls: the thread's own, or a coroutine's. */
struct context {
    unsigned shadow[SHADOW_MAX];
    unsigned top, limit;
    struct jump *jump;
    int catchers; /* exceptions thrown now are caught */
    ucontext_t registers;
    struct context *resumer; /* NULL = it does not run */
    char *stack;
    size_t bytes;
    int kind;
    int begun;
    char *other; /* a stack for assembly that brings its own */
    int borrowed;
};

struct world {
    unsigned long random;
    long budget; /* calls left */
    unsigned number;
    int handlers;  /* that run */
    int alternate; /* of these on the alternate stack */
    int large;     /* a frame of many pages is on the stack */
    struct context *now, first, routines[ROUTINES];
};

/* The table of steps. */
step *world_pick(struct world *w);
void world_offer(step *const *steps, unsigned count);
unsigned world_draw(struct world *w, unsigned sides);

/* The world of the calling thread; NULL outside. */
struct world *world_self(void);

void world_leave(struct world *w) __attribute__((noreturn));
void world_raise(struct world *w);
void world_resume(struct world *w);
void world_yield(struct world *w);
/* Opens a plugin, calls into it, closes it again. */
unsigned long world_visit(struct world *w, unsigned depth, unsigned level);

#ifdef __cplusplus
}
#endif

static inline unsigned world_enter(struct world *w, unsigned id)
{
    w->now->shadow[w->now->top] = id;
    return ++w->now->top;
}

#define OPAQUE __attribute__((noinline))

/* First line of a function: its number. */
#define ENTER(id)                                                                                  \
    volatile unsigned long sum = 0;                                                                \
    const unsigned level = world_enter(w, id);                                                     \
    (void)depth
#define BACK() (w->now->top = level)
/* Calls a function of the program. */
#define CALL_THIS(expression)                                                                      \
    do {                                                                                           \
        sum += (expression);                                                                       \
        BACK();                                                                                    \
    } while (0)
/* Whether calls may go deeper. */
#define MAY_CALL() (depth > 0 && w->budget-- > 0 && w->now->top < w->now->limit)
#define CALL()                                                                                     \
    do {                                                                                           \
        if (MAY_CALL())                                                                            \
            CALL_THIS(world_pick(w)(w, depth - 1));                                                \
    } while (0)
/* An allocation from right here. */
#define PROBE(expression)                                                                          \
    do {                                                                                           \
        void *probe_ = (expression);                                                               \
        __asm__ volatile("" ::"r"(probe_) : "memory");                                             \
        free(probe_);                                                                              \
    } while (0)
/* An instruction at which a signal comes; the handler goes on behind it. */
#define TRAP() __asm__ volatile("ud2" ::: "memory")

#endif
