/* SPDX-License-Identifier: MIT
 *
 * stop.h - stopping every other thread of the process: by a tracer that is a child of it, or, where
 * that is refused, by our signal, in whose handler each thread stands.
 *
 * Context: frozen; inside the room only.
 * Invariant: whatever happens, the threads go on: at the latest when the tracer is gone, since the
 * kernel then lets go of all that it traced (ptrace(2)), or when the handler's patience is over.
 * Why a child: a process cannot trace its own threads. The child shares our memory, so handing
 * over registers costs nothing, and is no child that the program's wait() sees, having no exit
 * signal (clone(2), wait(2)).
 * Why signals come second only: more calls end with EINTR, and a thread may block the signal.
 */
#ifndef MOONHEAP_FREEZE_STOP_H
#define MOONHEAP_FREEZE_STOP_H

#include <sys/user.h>

#include "trigger/trigger.h"

enum {
    STOP_THREADS_MAX = 1 << 15,
    STOP_VECTOR_BYTES = 2816, /* of the XSAVE area, as far as AVX-512 goes */
    STOP_NAMES_BYTES = 1 << 15,
    STOP_MISSED_LISTED = 64,
    STOP_MS = 250,      /* all of it; design: 500 threads take 8 to 22 ms */
    STOP_STUCK_MS = 10, /* then a thread that waits in the kernel uninterruptibly is left out */
    TASKS_CALL_WORDS = 8,
};

/* A system call in which a thread waits. */
struct tasks_call {
    long number; /* 0 with a pc of 0: none known */
    u64 args[6], sp, pc;
};

enum stop_thread_state {
    STOP_RUNNING, /* asked to stop */
    STOP_STOPPED,
    STOP_GONE,
    STOP_DEAF, /* would not take the signal */
};

struct stop_thread {
    int tid;
    u32 state;                   /* enum stop_thread_state */
    int signal;                  /* it was about to take this one, and will; 0 = none */
    u32 vector_bytes;            /* of `vector` */
    struct trigger_place *place; /* where it answers; NULL = it was sent no signal */
    u64 met_ns, deaf_until_ns;   /* if it will not take the signal by then, it never will */
    struct tasks_call call;      /* what it was at before the stop, if it goes by signals */
    struct user_regs_struct regs;
    u64 vector[STOP_VECTOR_BYTES / sizeof(u64)];
};

struct stop_missed {
    int tid;
    const char *why; /* as people read it */
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
    bool asked;   /* there was a tracer, whatever came of it */
    bool signals; /* the threads stand in our handler, there is no tracer */
    u32 phase;    /* futex; enum stop_phase */
    int error;    /* negated errno, when the tracer was refused */
    int policy;   /* scheduling policy of the asker, to be restored; -1 = it was not raised */
    u64 began_ns, held_ns, ended_ns, deadline_ns;
    u32 count, room;
    u32 missed; /* threads that are there and could not be stopped */
    struct stop_missed misses[STOP_MISSED_LISTED]; /* the first of them */
    struct stop_thread *threads;
    u8 *stack; /* the tracer's */
    u8 names[STOP_NAMES_BYTES];
};

/* stop.c. Gives a struct stop, its threads held, or with the phase STOP_REFUSED; NULL when there
 * is no memory. */
struct stop *stop_begin(int pid);
/* In a child made while threads are held: the asker's ordinary scheduling. */
void stop_in_child(struct stop *s);
/* Lets the threads go on, and collects the tracer. May be called again. false when they had gone
 * on before, since nobody holds them for ever. */
bool stop_end(struct stop *s);
void stop_free(struct stop *s);

/* tracer.c: the tracer's whole life. */
void tracer_run(struct stop *s);

/* signals.c: the same by our signal, on the thread that asks. The phase is STOP_HELD afterwards, or
 * STOP_REFUSED when nobody has stopped. */
void signals_begin(struct stop *s);
/* false when one had gone on before. */
bool signals_end(struct stop *s);

/* tasks.c */

/* The letter of proc(5)'s "state": 0 when it is gone. */
char tasks_state(const struct stop *s, int tid);
bool tasks_has_ended(char state);
bool tasks_blocks(const struct stop *s, int tid, int signal);
/* false when it is in no call, or that cannot be known. */
bool tasks_call(const struct stop *s, int tid, struct tasks_call *call);
void tasks_name(const struct stop *s, int tid, char *out, size_t size);
/* Calls `meet` for each thread of the process that is not in the list; false when it cannot be
 * read. Nobody counts as missed then but those that `meet` says. */
bool tasks_meet_new(struct stop *s, void (*meet)(struct stop *s, int tid));
/* Puts it on the list; NULL when that is full. */
struct stop_thread *tasks_add(struct stop *s, int tid);
void tasks_miss(struct stop *s, int tid, const char *why);
const char *tasks_why_silent(const struct stop *s, int tid);

/* calls.c: may the call be made again, as if nothing had been? Of those that a stop ends with EINTR
 * ... */
bool calls_wait_for_ever(long number, const u64 args[6]);
/* ... and of those that a handler with SA_RESTART does. */
bool calls_outlast_handler(long number, const u64 args[6]);

#endif
