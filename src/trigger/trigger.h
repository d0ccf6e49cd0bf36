/* SPDX-License-Identifier: MIT
 *
 * trigger.h - the door of trigger: our signal, kept and chained.
 *
 * Context: hot (the handler runs on whatever thread the kernel picks, at any instruction).
 * Invariant: once trigger_start has returned, the kernel's disposition of our signal is our
 * handler, whatever the program asks for; what the program asked for is what it is told it has,
 * and its own handler, if it set one, runs after ours.
 */
#ifndef MOONHEAP_TRIGGER_TRIGGER_H
#define MOONHEAP_TRIGGER_TRIGGER_H

#include <ucontext.h>

#include "base/base.h"

/* Installs the handler; `wake` is called by it with the interrupted context, errno saved around. */
bool trigger_start(int signal, void (*wake)(const ucontext_t *interrupted), struct err *e);
/* Our signal's number; 0 before trigger_start. */
int trigger_signal(void);
/* Sends our signal to a thread of this process once more: wake is called again, but the program's
 * own handler, which saw the first, is not. Raw system calls only. false when it is gone. */
bool trigger_repeat(int pid, int tid);
/* In a forked child, from pthread_atfork. */
void trigger_after_fork(void);

#endif
