/* SPDX-License-Identifier: MIT
 *
 * trigger.h - the door of trigger: our signal, kept and chained.
 *
 * Context: hot (the handler runs on whatever thread the kernel picks, at any instruction).
 * Invariant: once trigger_start has returned, the kernel's disposition of our signal is our
 * handler, whatever the program asks for; what the program asked for is what it is told it has,
 * and its own handler, if it set one, runs after ours, on a thread of its own.
 */
#ifndef MOONHEAP_TRIGGER_TRIGGER_H
#define MOONHEAP_TRIGGER_TRIGGER_H

#include <ucontext.h>

#include "base/base.h"

/* Installs the handler; `wake` is called by it with the interrupted context, errno saved around.
 * `repeat` tells a signal that trigger_repeat sent from a new one. */
bool trigger_start(int signal, void (*wake)(const ucontext_t *interrupted, bool repeat),
                   struct err *e);
/* Our signal's number; 0 before trigger_start. */
int trigger_signal(void);
/* Sends our signal to a thread of this process once more (tid 0: to whichever the kernel picks):
 * wake is called again, but the program's own handler, which saw the first, is not. Raw system
 * calls only. false when the thread is gone. */
bool trigger_repeat(int pid, int tid);
/* The calling thread is ours: the program's handler is never called on it. A signal sent to the
 * whole process that the kernel gives to this thread is woken for and then left to the program's
 * threads; until the next trigger_listen this thread does not take the signal again. */
void trigger_own_thread(void);
/* Our own thread, before it says that a run is over: waits a little while a signal that it left to
 * the program is still pending. The next one of its number would be merged with it, and lost. */
void trigger_settle(void);
/* Takes the signal (again) on our thread. Returns true when it left one to the program meanwhile,
 * and should listen again before long. */
bool trigger_listen(void);
/* In a forked child, from pthread_atfork or as soon as it is noticed. */
void trigger_after_fork(void);

#endif
