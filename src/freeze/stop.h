/* SPDX-License-Identifier: MIT
 *
 * stop.h - stopping every other thread of the process, by a tracer that is a child of it.
 *
 * Context: frozen; inside the room only.
 * Invariant: whatever happens, the threads go on: at the latest when the tracer is gone, since the
 * kernel then lets go of all that it traced (ptrace(2)).
 * Why a child: a process cannot trace its own threads. The child shares our memory, so handing
 * over registers costs nothing, and is no child that the program's wait() sees, having no exit
 * signal (clone(2), wait(2)).
 */
#ifndef MOONHEAP_FREEZE_STOP_H
#define MOONHEAP_FREEZE_STOP_H

#include <sys/user.h>

#include "base/base.h"

enum {
    STOP_THREADS_MAX = 1 << 15,
    STOP_VECTOR_BYTES = 2816, /* of the XSAVE area, as far as AVX-512 goes */
    STOP_NAMES_BYTES = 1 << 15,
};

enum stop_thread_state {
    STOP_RUNNING, /* asked to stop */
    STOP_STOPPED,
    STOP_GONE,
};

struct stop_thread {
    int tid;
    u32 state;        /* enum stop_thread_state */
    int signal;       /* it was about to take this one, and will; 0 = none */
    u32 vector_bytes; /* of `vector` */
    struct user_regs_struct regs;
    u64 vector[STOP_VECTOR_BYTES / sizeof(u64)];
};

enum stop_phase {
    STOP_PREPARED, /* the tracer waits for leave */
    STOP_WANTED,
    STOP_HELD,    /* all have stopped but those that were missed */
    STOP_REFUSED, /* none has */
    STOP_OVER,    /* held no longer wanted */
    STOP_ENDED,
};

struct stop {
    int pid, self; /* the process, and the thread of it that asks and is not stopped */
    int tracer;
    u32 phase; /* futex; enum stop_phase */
    int error; /* negated errno, when refused */
    int policy; /* scheduling policy of the asker, to be restored; -1 = it was not raised */
    u64 began_ns, held_ns, ended_ns, deadline_ns;
    u32 count, room;
    u32 missed; /* threads that are there and could not be stopped */
    struct stop_thread *threads;
    u8 *stack; /* the tracer's */
    u8 names[STOP_NAMES_BYTES];
};

/* stop.c. Gives a struct stop, its threads held, or with the phase STOP_REFUSED; NULL when there
 * is no memory. */
struct stop *stop_begin(int pid);
/* In a child made while threads are held: the asker's ordinary scheduling. */
void stop_in_child(const struct stop *s);
/* Lets the threads go on, and collects the tracer. May be called again. */
void stop_end(struct stop *s);
void stop_free(struct stop *s);

/* tracer.c: the tracer's whole life. */
void tracer_run(struct stop *s);

#endif
