/* SPDX-License-Identifier: MIT
 *
 * held.h - the memory of a moment: a clone that stays, and copies out of its memory what its parent
 * asks for.
 *
 * Context: frozen; inside the room only. held_serve in the clone, all else in the parent, on the
 * thread that made the clone.
 * Invariant: the clone ends when it is let go, killed, or too costly, and when the thread that made
 * it is gone: so with the program, and when that becomes another one (execve).
 */
#ifndef MOONHEAP_FREEZE_HELD_H
#define MOONHEAP_FREEZE_HELD_H

#include "freeze/freeze.h"

/* Before the clone is made; `room` is what it may cost when the request does not say. NULL when
 * there is no memory. */
struct freeze_held *held_create(const struct freeze_request *r, u64 room);
/* In the clone: serves from now on. */
void held_serve(struct freeze_held *h) __attribute__((noreturn));
/* The clone of that id serves. From then on freeze_held_end is to be called. */
void held_began(struct freeze_held *h, int pid);
/* No clone ever served. */
void held_free(struct freeze_held *h);

#endif
