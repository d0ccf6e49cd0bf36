/* SPDX-License-Identifier: MIT
 *
 * unwind.h - one frame at a time with every register: the slow way that can do it all.
 *
 * Context: hot (cold path of it): signal frames, frames found through rbx or an expression, and
 * interrupted contexts. walk.c is the fast way for the rest.
 */
#ifndef MOONHEAP_TRACK_UNWIND_H
#define MOONHEAP_TRACK_UNWIND_H

#include "cfi.h"

#include "expression.h"

struct thread;

/* What a step is made with: the memory of the stack, and the module that holds an address (NULL:
 * none does), both asked with the same context. */
struct unwind_means {
    struct expression_memory memory;
    const struct track_module *(*module)(void *context, u64 pc);
};
/* Those of the calling thread, on the stacks that it runs on. */
struct unwind_means unwind_means_of(struct thread *t);

struct unwind_frame {
    u64 registers[CFI_REGISTERS]; /* as in the frame; registers[CFI_RA] is its code address */
    bool exact;                   /* that address is the instruction itself, not a return address */
    u32 incarnation;              /* of the module, after unwind_step has looked at it */
};

enum unwind_result {
    UNWIND_STEPPED, /* the frame is now its caller's */
    UNWIND_END,     /* it was the outermost */
    UNWIND_LOST,    /* no rules, or they lead nowhere */
};

enum unwind_result unwind_step(const struct unwind_means *means, struct unwind_frame *f);

/* The frame of the caller of this function. */
#define UNWIND_HERE(frame)                                                                         \
    __asm__ volatile("movq %%rbx, %0\n\tmovq %%rbp, %1\n\tmovq %%rsp, %2\n\tmovq %%r12, %3\n\t"    \
                     "movq %%r13, %4\n\tmovq %%r14, %5\n\tmovq %%r15, %6\n\t"                      \
                     "leaq 0(%%rip), %%rax\n\tmovq %%rax, %7"                                      \
                     : "=m"((frame)->registers[3]), "=m"((frame)->registers[6]),                   \
                       "=m"((frame)->registers[7]), "=m"((frame)->registers[12]),                  \
                       "=m"((frame)->registers[13]), "=m"((frame)->registers[14]),                 \
                       "=m"((frame)->registers[15]), "=m"((frame)->registers[16])                  \
                     :                                                                             \
                     : "rax", "memory")

/* Is the word at `address` on a stack that this thread runs on, at or above `sp`? */
bool unwind_on_stack(struct thread *t, u64 address);

#endif
