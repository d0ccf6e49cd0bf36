/* SPDX-License-Identifier: MIT
 *
 * disposition.h - what the program believes its disposition of our signal to be.
 *
 * Context: hot.
 * Invariant: there is always exactly one current action, and it is whole: setting one swaps a
 * number, so a handler that interrupts the change, or runs beside it, sees the old one or the new.
 */
#ifndef MOONHEAP_TRIGGER_DISPOSITION_H
#define MOONHEAP_TRIGGER_DISPOSITION_H

#include <signal.h>

#include "base/base.h"

/* Makes *action current; *old (may be NULL) gets what was. Returns the number that the action goes
 * by. */
u32 disposition_set(const struct sigaction *action, struct sigaction *old);
/* Copies the current action; returns its number. */
u32 disposition_get(struct sigaction *action);
/* disposition_set, but only while the current one is still that number. */
bool disposition_replace(u32 number, const struct sigaction *action);

#endif
