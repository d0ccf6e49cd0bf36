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

#include <signal.h>
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
/* --- threads stand in the handler ---------------------------------------------------------- */

/* Where a thread answers that was asked to stand. The memory is never given back. */
struct trigger_place {
    u32 state;
    int tid;
    ucontext_t *context; /* what was interrupted: of a thread that stands */
    u64 thread_pointer;
    /* Set by the asker while the thread stands: the system call that our signal has ended with
     * EINTR, and that is to be made again instead; TRIGGER_NO_CALL = none. */
    long call;
};
#define TRIGGER_NO_CALL (-1L)

/* Frozen, one asker at a time. Begins a round; false when there is no memory, or the kernel's
 * disposition is not our handler, so that the signal might kill. */
bool trigger_hold_begin(void);
/* Sends our signal to a thread of the process and has it stand; NULL when it is gone or there are
 * too many. Not for a thread that blocks the signal: it would stay pending, and others of its
 * number be merged with it. */
struct trigger_place *trigger_hold(int pid, int tid);
bool trigger_stands(const struct trigger_place *p);
/* Waits until that thread stands, or any has come to stand, or for so long; does it stand? */
bool trigger_hold_await(const struct trigger_place *p, u64 timeout_ns);
/* Ends the round: threads go on, those that have not answered yet need not any more. A thread that
 * stood for two seconds has gone on by itself: it does not stand then. */
void trigger_hold_end(void);

/* In a forked child, from pthread_atfork or as soon as it is noticed. */
void trigger_after_fork(void);

#endif
