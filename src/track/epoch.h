/* SPDX-License-Identifier: MIT
 *
 * epoch.h - the clock of births: a number that moves with each snapshot and as time passes.
 *
 * Context: hot.
 * Invariant: epochs only grow, from 1 to INDEX_EPOCH_MAX, where they stay. To make them last, the
 * time that one stands for grows with the age of the process: a second, then a thousandth of it,
 * so that a year takes some twelve thousand.
 */
#ifndef MOONHEAP_TRACK_EPOCH_H
#define MOONHEAP_TRACK_EPOCH_H

#include "thread.h"

extern HIDDEN u32 epoch_now;

bool epoch_start(void);
/* Looks at the clock, and moves the epoch when its time is over. Called every few allocations: in
 * each one where they are seldom, so that a birth is never dated long before it was. */
void epoch_tick(struct thread *t);

#endif
