/* SPDX-License-Identifier: MIT
 *
 * walk.h - the call stack of an allocation, as a node of the trie.
 *
 * Context: hot.
 */
#ifndef MOONHEAP_TRACK_WALK_H
#define MOONHEAP_TRACK_WALK_H

#include "thread.h"

/* Where a hooked function was called from, as its own frame record on the stack has it: the
 * caller's stack pointer is the address right behind the record. */
struct walk_origin {
    u64 rbp; /* the caller's rbp */
    u64 pc;  /* return address into the caller */
};

/* To be used in the hooked function itself, which it makes keep a frame pointer. */
#define WALK_ORIGIN() ((const struct walk_origin *)__builtin_frame_address(0))

/* Frames kept of a stack, the innermost ones: 1 to STACK_LIMIT_MAX. */
extern u32 walk_limit;

/* Trie node of the stack that `origin` is the innermost frame of; 0 when there is no room. */
u32 walk_capture(struct thread *t, const struct walk_origin *origin);

#endif
