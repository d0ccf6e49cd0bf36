/* SPDX-License-Identifier: MIT
 *
 * hold.h - the part of the handler in which threads stand; inside the room only.
 *
 * Context: hot.
 */
#ifndef MOONHEAP_TRIGGER_HOLD_H
#define MOONHEAP_TRIGGER_HOLD_H

#include "trigger.h"

/* Was the signal sent by trigger_hold? Then the thread has stood for as long as it was wanted, if
 * it still was, and the signal is nobody else's. */
bool hold_answer(const siginfo_t *info, ucontext_t *context);
/* In a forked child, none of whose threads stands. */
void hold_after_fork(void);

#endif
