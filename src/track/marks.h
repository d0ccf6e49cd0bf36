/* SPDX-License-Identifier: MIT
 *
 * marks.h - what the program says of a block: its tag, and that it is to be ignored.
 *
 * Context: hot.
 * Invariant: a mark is a node of the stack trie above the block's call stack, so it costs an
 * unmarked block nothing, needs no memory of its own, and goes when the block does. Above a call
 * stack there are at most a tag and, above that, the mark "ignored".
 */
#ifndef MOONHEAP_TRACK_MARKS_H
#define MOONHEAP_TRACK_MARKS_H

#include "thread.h"

/* The stack with the thread's tag, when it has one. */
u32 marks_tagged(struct thread *t, u32 stack);

/* The live block that begins at `p` gets the tag (0 takes it away); false when there is none. Of
 * two that begin there the innermost one is meant. */
bool marks_tag(struct thread *t, const void *p, u32 name);
bool marks_ignore(struct thread *t, const void *p);

/* The thread's tags: the last one pushed is that of the blocks it makes. */
void marks_push(struct thread *t, const char *name);
/* Back to before the last push of that name, NULL = of any; false when there is none. */
bool marks_pop(struct thread *t, const char *name);

u64 marks_own_bytes(void);

#endif
