/* SPDX-License-Identifier: MIT
 *
 * process.h - is this still the process in which the mark was made?
 *
 * Context: hot.
 * Invariant: the mark lies in a page that the kernel wipes in a forked child (MADV_WIPEONFORK,
 * madvise(2)), but not in a child that shares our memory (vfork, posix_spawn), where the pid
 * differs and the mark does not. So the two are told apart without any hook on fork, which raw
 * system calls would go around.
 */
#ifndef MOONHEAP_BASE_PROCESS_H
#define MOONHEAP_BASE_PROCESS_H

#include "attr.h"

struct process_mark;

enum process_relation {
    PROCESS_SAME,    /* as when the mark was made or renewed */
    PROCESS_FORKED,  /* a child with a copy of the memory: what was known of threads is void */
    PROCESS_BORROWS, /* a child that runs in its parent's memory: touch nothing */
};

/* NULL when there is no memory. Only from a constructor: one thread at a time. */
struct process_mark *process_mark_create(void);
enum process_relation process_mark_check(const struct process_mark *m);
/* The calling process takes the mark for its own. */
void process_mark_renew(struct process_mark *m);

#endif
