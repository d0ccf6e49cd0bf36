/* SPDX-License-Identifier: MIT
 *
 * clone.h - a copy of the process that nobody sees, to do the work while the process runs on.
 *
 * Context: frozen; inside the room only.
 * Invariant: the program gets no SIGCHLD, no zombie and no child that its wait() would find, since
 * the copy has no exit signal (clone(2), wait(2)); and a copy never outlives the thread that made
 * it, nor its patience.
 */
#ifndef MOONHEAP_FREEZE_CLONE_H
#define MOONHEAP_FREEZE_CLONE_H

#include "freeze/freeze.h"
#include "stop.h"

/* What parent and clone share beside the snapshot. */
struct clone_shared {
    u32 done; /* futex: 1 when the clone has finished */
    bool ok;
    bool stays; /* it does not exit then, and is not to be collected */
    struct snapshot_writer writer;
    struct err e;
};

/* In the parent: the clone's id, or a negated errno. In the clone, which has scheduling, signals
 * and descriptors of its own then: 0. */
int clone_begin(struct stop *s);
/* In the clone, once nothing of /proc must be opened any more: nobody may look into it. */
void clone_seal(void);
/* In the clone: tells the parent, and is gone, unless it stays. */
void clone_finish(struct clone_shared *shared);
/* In the parent: waits for it, and collects it unless it stays; false when it died, or was killed for its slowness
 * (*late). */
bool clone_await(int pid, struct clone_shared *shared, u64 patience_ns, bool *late);
/* In the parent: has it ended? Collects it then. */
bool clone_has_ended(int pid);
/* In the parent: kills it, unless it has ended, and collects it. */
void clone_end(int pid);
/* A futex word that parent and clone share: sleeps until it is not `expected`, a wake, or the time;
 * wakes who sleeps. */
void clone_sleep(u32 *word, u32 expected, u64 timeout_ns);
void clone_wake(u32 *word);

#endif
