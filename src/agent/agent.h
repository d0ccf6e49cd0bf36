/* SPDX-License-Identifier: MIT
 *
 * agent.h - what the files of the agent share: its life, and what wakes it.
 *
 * Context: agent; wake.c and interrupted.c are hot (they run in the signal handler).
 * Invariant: at most one agent thread exists in a process, and none before it is first needed. A
 * forked child begins without one, with nothing of its parent's but the options.
 */
#ifndef MOONHEAP_AGENT_AGENT_H
#define MOONHEAP_AGENT_AGENT_H

#include <pthread.h>

#include "base/base.h"
#include "catalog/catalog.h"
#include "elf/elf.h"
#include "freeze/freeze.h"
#include "script/script.h"
#include "snapshot/snapshot.h"
#include "track/track.h"
#include "trigger/trigger.h"

enum { AGENT_PATH_BYTES = 4096, AGENT_TEXTS = 5 };

enum agent_state {
    AGENT_ABSENT,
    AGENT_STARTING, /* a thread is at it, perhaps once it has left malloc */
    AGENT_REFUSED,  /* nothing could be started where the signal came; it is sent again soon */
    AGENT_PRESENT,
};

/* A moonheap_run that waits for its verdict; lies on its caller's stack. */
struct agent_checkpoint {
    const char *script;
    struct agent_checkpoint *next;
    int verdict; /* 0 passed, 1 not */
    u32 done;    /* futex */
};

struct agent {
    struct options options;
    const char *script, *out;     /* as they were meant when the program began */
    char *catalog_environment[4]; /* "NAME=value" of what says where catalogues are */
    struct exported libc; /* looked into where dlsym may not be called */
    struct process_mark *mark;
    u32 state; /* enum agent_state */
    u32 signals; /* counts those that asked for a run */
    u32 wakes; /* futex: counts everything that wakes the agent */
    u32 refusals; /* since the last signal that found no agent */
    struct heap *heap; /* its private one */
    struct agent_checkpoint *checkpoints;
    u32 texts_used;
    char texts[AGENT_TEXTS * AGENT_PATH_BYTES]; /* one behind the other: pages are touched at each
                                                   start of a program */
};

extern struct agent agent;

/* Keeps a text, AGENT_TEXTS at most, each cut after AGENT_PATH_BYTES: programs write over their
 * environment. */
char *agent_keep_text(const char *format, ...) PRINTF_LIKE(1, 2);

/* --- wake.c: from a signal to a running thread ---------------------------------------------- */

/* Called by trigger on any thread of the program. */
void agent_wake(const ucontext_t *interrupted, bool repeat);
/* From ordinary code: sees to it that the agent exists; false when it cannot. */
bool agent_ensure(void);
/* Has it look for what there is to do. */
void agent_nudge(void);
/* Looks up what a start will need, since the handler may not. */
void agent_prepare(void);
/* Forgets the parent's agent, in a forked child. */
void agent_forget_parent(void);

/* --- interrupted.c ------------------------------------------------------------------------- */

/* Notes where the loader is. */
void agent_interrupted_prepare(void);
/* May a thread be created at that point of the program? `tries` counts refusals so far. */
bool agent_interrupted_safely(const ucontext_t *context, u32 tries);

/* --- loop.c -------------------------------------------------------------------------------- */

/* The agent thread, from beginning to end. */
void *agent_loop(void *unused);

/* --- output.c ------------------------------------------------------------------------------ */

enum { OUTPUT_BUFFER_BYTES = 4096 };

/* Where a run's output goes: its ordinary place, and a tool that asked for it. */
struct agent_output {
    int fd;         /* -1: nowhere */
    int connection; /* -1: nobody asked */
    bool owned;     /* fd is closed at the end */
    u64 fd_identity, connection_identity;
    u64 flushed_ns;
    char last; /* byte written last */
    u32 used;
    char buffer[OUTPUT_BUFFER_BYTES];
};

/* Remembers what stderr is when the program begins. */
void agent_output_prepare(void);
/* `connection` (or -1) stays the caller's. */
void agent_output_begin(struct agent_output *o, int connection);
void agent_output_write(struct agent_output *o, const char *text, size_t bytes);
void agent_output_format(struct agent_output *o, const char *format, ...) PRINTF_LIKE(2, 3);
void agent_output_end(struct agent_output *o);
/* A line on stderr outside of any run: "moonheap: ...". */
void agent_output_complain(const char *text);

/* --- answer.c ------------------------------------------------------------------------------ */

/* Connects to a tool that asks this process, if there is one: a descriptor, or -1. */
int agent_answer_begin(void);
void agent_answer_end(int connection, bool ok, u64 took_ns, u64 pause_ns);

/* --- thread_locals.c ------------------------------------------------------------------------- */

enum { AGENT_THREAD_LOCALS = 256 }; /* modules that have any; more are not told apart */
struct agent_thread_locals {
    u64 static_bytes; /* of each thread, in front of its thread pointer and behind; 0 = unknown */
    struct freeze_thread_locals modules[AGENT_THREAD_LOCALS]; /* farthest below it first */
    u32 count;
};
void agent_thread_locals(struct agent_thread_locals *l);

/* --- live_host.c, names.c, held.c, books.c, catalogs.c --------------------------------------- */

/* What a script sees of the live process. */
struct agent_live {
    struct agent_output *output;
    struct agent_names *names; /* remembered from snapshot to snapshot */
    u64 every_ns;              /* the timer that the script wants */
    struct catalog_shelf *catalogs;
    u32 catalogued_modules; /* there were so many when missing catalogues were last made */
};

void agent_live_host(struct agent_live *live, struct host *host);

/* What is known of code addresses; NULL when memory is out. It lasts as long as the process. */
struct agent_names *agent_names_create(void);
/* Adds the sections NAMES, FRAME_NAMES, LINES and FRAME_LINES; without `lines` the latter are empty.
 * Where lines are missing for another reason than that nobody knows them, *note says why. */
enum { AGENT_NOTE_BYTES = 160 };
bool agent_names_write(struct agent_names *names, struct snapshot_writer *w, bool lines,
                       char note[AGENT_NOTE_BYTES]);

/* Is there room for one more? */
bool agent_held_room(struct err *e);
/* Only where there is room. */
void agent_held_keep(struct freeze_held *h);
void agent_held_drop(struct freeze_held *h);
/* Is one still there? Collects those that are not; sums up what the others cost, in bytes. */
bool agent_held_look(u64 *cost_bytes);
/* In a forked child. */
void agent_held_forget(void);

/* Remembers where catalogues are, when the program begins. */
void agent_catalogs_prepare(char *const *environment);
/* The catalogue of a module; NULL when there is none. The first time that one is missing, the helper
 * makes those of all modules that have debug information, for at most a quarter of a minute. */
const struct catalog *agent_catalog(struct agent_live *live, const u8 *build_id,
                                    u32 build_id_bytes);

/* Bytes that Moonheap holds but for the recorder's own, and that the program's allocator holds. */
u64 agent_books_overhead(void);
u64 agent_books_allocator(void);
u64 agent_books_rss(void);
/* Snapshots count as long as they are open. */
void agent_books_adopt(struct snapshot *s);
void agent_books_prepare(void);

#endif
