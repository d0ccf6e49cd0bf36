/* SPDX-License-Identifier: MIT
 *
 * keep.h - what the program asks about our signal, answered as if Moonheap were not there.
 *
 * Context: hot.
 * Invariant: the kernel's disposition stays our handler; the program's wish decides only what our
 * handler does after its own work, and the flags with which the kernel calls it.
 */
#ifndef MOONHEAP_TRIGGER_KEEP_H
#define MOONHEAP_TRIGGER_KEEP_H

#include <signal.h>

#include "base/base.h"

typedef int (*keep_sigaction_fn)(int, const struct sigaction *, struct sigaction *);

/* Adopts the disposition that the kernel has now and puts `handler` in its place; `real` is the
 * sigaction below us. 0, or a negated errno. */
int keep_start(int number, void (*handler)(int, siginfo_t *, void *), keep_sigaction_fn real);
void keep_after_fork(void);
/* Is our handler what the kernel has? A program may go around us by a raw system call. */
bool keep_holds(void);
/* All signals are blocked from the moment on at which ours is delivered; or as usual again. */
void keep_mask_all(bool all);
/* Does for the program what the kernel would now do on its own: its handler runs, or nothing. */
void keep_chain(int number, siginfo_t *info, void *context);

/* The functions of signal(7)'s family, for our signal only. */
int keep_sigaction(const struct sigaction *new, struct sigaction *old);
sighandler_t keep_signal(sighandler_t handler);
sighandler_t keep_sysv_signal(sighandler_t handler);
sighandler_t keep_sigset(sighandler_t handler);
int keep_sigignore(void);
int keep_siginterrupt(int interrupt);

#endif
