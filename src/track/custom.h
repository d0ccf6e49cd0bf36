/* SPDX-License-Identifier: MIT
 *
 * custom.h - the blocks of allocators that the program brings itself, as it tells of them.
 *
 * Context: hot. All are called by a thread in mode THREAD_INSIDE.
 * Invariant: whatever the program tells, in whatever order, the index stays whole; what makes no
 * sense is counted in the thread's `misuses`.
 */
#ifndef MOONHEAP_TRACK_CUSTOM_H
#define MOONHEAP_TRACK_CUSTOM_H

#include "record.h"

/* Has the program ever told of a block? */
bool custom_told(void);
/* A block begins at `p`. One that began there already is replaced. */
void custom_birth(struct thread *t, const void *p, u64 size, const struct walk_origin *origin);
/* It is no more. */
void custom_death(struct thread *t, const void *p);
/* It lies elsewhere now, maybe with another size; it keeps its birth and its marks. */
void custom_move(struct thread *t, const void *from, const void *to, u64 size,
                 const struct walk_origin *origin);
/* The block of the malloc family at `p` is about to be given back: those inside of it go with it. */
void custom_forget_inside(struct thread *t, const void *p);

#endif
