/* SPDX-License-Identifier: MIT
 *
 * script.h - the door of script: Lua over snapshots. The same script runs on a live process and on
 * a saved file; all that is live goes through struct host.
 *
 * Context: pure.
 * Invariant: a script can fail, never harm: it has bounded time and memory, no way to end the
 * process or to write to it, and its error is a message with a traceback.
 */
#ifndef MOONHEAP_SCRIPT_SCRIPT_H
#define MOONHEAP_SCRIPT_SCRIPT_H

#include "snapshot/snapshot.h"

/* X(field of heap.stats(), in its order); all u64. */
#define HOST_STATS(X)                                                                              \
    X(live_blocks)                                                                                 \
    X(live_bytes)                                                                                  \
    X(peak_bytes) X(peak_blocks) X(allocations) X(frees) X(untracked_frees) X(lost) X(rss_bytes)   \
        X(allocator_bytes) X(overhead_bytes)

/* Of the blocks that the program tells of itself, which are in none of those. */
#define HOST_CUSTOM_STATS(X)                                                                       \
    X(custom_blocks, blocks)                                                                       \
    X(custom_bytes, bytes)                                                                         \
    X(custom_allocations, allocations)                                                             \
    X(custom_frees, frees) X(misuses, misuses)

struct catalog;

struct host_stats {
#define X(name) u64 name;
    HOST_STATS(X)
#undef X
#define X(name, in_file) u64 name;
    HOST_CUSTOM_STATS(X)
#undef X
    u64 sample_bytes; /* between samples on average; 0 = all are recorded, and figures exact */
    u64 live_blocks_error, live_bytes_error; /* what holds in 95 of 100 cases */
    u64 started_ns; /* realtime when recording began; heap.stats().started is in seconds */
};

/* The memory of a snapshot's moment, as the host keeps it. */
struct host_held;

/* What script asks of the place it runs in. A NULL function is answered with "not available
 * offline". Every function returns false with *e filled when it fails. */
struct host {
    void *context;
    bool live;
    /* Fills *s, which the script closes. `held` is NULL unless the memory of that moment is to be
     * kept: then *held is the script's to drop, or NULL where it cannot be kept (the snapshot's
     * notes say why). */
    bool (*snapshot)(void *context, bool graph, struct snapshot *s, struct host_held **held,
                     struct err *e);
    bool (*stats)(void *context, struct host_stats *stats, struct err *e);
    /* A snapshot in which the threads are all that counts: where each stands, if they can be
     * stopped. */
    bool (*stand)(void *context, struct snapshot *s, struct err *e);
    /* The blocks that were there at the peak. */
    bool (*peak)(void *context, struct snapshot *s, struct err *e);
    bool (*reset_peak)(void *context, struct err *e);
    bool (*record)(void *context, const struct option_track *how, u32 stack_limit, bool keep_peak,
                   struct err *e);
    /* What is recorded now. */
    struct option_track (*recording)(void *context);
    /* Bytes copied, fewer than asked where memory is not there. */
    size_t (*read)(void *context, u64 address, void *out, size_t bytes);
    /* All of the bytes as they were when the snapshot was taken; false when that is not to be had
     * (any more). */
    bool (*read_held)(void *context, struct host_held *held, u64 address, void *out, size_t bytes,
                      struct err *e);
    void (*drop_held)(void *context, struct host_held *held);
    /* The timer of heap.every; 0 = none. */
    void (*every)(void *context, u64 ns);
    /* Run output. */
    void (*print)(void *context, const char *text, size_t bytes);
    /* Is the block at that address, born in that epoch, still there? */
    bool (*alive)(void *context, u64 address, u32 birth);
    /* What debug information says of the module with that build-id; NULL when it is not there.
     * It stays as long as the host. */
    const struct catalog *(*catalog)(void *context, const u8 *build_id, u32 build_id_bytes);
    /* Makes a picture, "svg", "png" or "pdf", of a DOT file. NULL: the script says how to. */
    bool (*render)(void *context, const char *dot, const char *picture, const char *format,
                   struct err *e);
};

struct script_limits {
    u64 timeout_ns;   /* of one run */
    u64 memory_bytes; /* of the whole Lua state, `data` and snapshots' handles included */
    u64 every_ns;     /* of MOONHEAP_EVERY: the timer's span before a script sets it; 0 = none */
    u64 graph_bytes;  /* of what is worked out about a snapshot's references; 0 = no limit */
};

struct script_run {
    const char *path;  /* the script file, or the bare name of a canned script */
    const char *cause; /* "signal", "timer", "request"... */
    const char *args;  /* separated by spaces; "" for none */
    int pid;
    u64 n;          /* counts from 1 */
    u64 elapsed_ns; /* since the last run began, 0 for the first */
};

/* What a run came to, for the line that closes its output. */
struct script_outcome {
    bool ok;
    bool waiting; /* it ended in heap.wait: the next trigger resumes it */
    u64 wait_ns;  /* with `waiting`: resume with "timer" after this long; 0 = no limit */
    u64 pause_ns; /* sum over the snapshots that it took */
};

struct script; /* one Lua state: `data`, loaded modules, a run that waits */

struct script *script_create(const struct host *host, const struct script_limits *limits,
                             struct err *e);
void script_destroy(struct script *s);
/* Runs (or resumes) the script. Errors are printed through host->print as the user should see
 * them; the outcome says whether there was one. */
struct script_outcome script_run(struct script *s, const struct script_run *run);
/* The timer of host->every has fired: is a run due, and why? "timer", "pressure" or NULL for none.
 * heap.pressure has the host's timer fire more often than heap.every asked for. */
const char *script_tick(struct script *s);
/* Bytes that the Lua state holds now. */
u64 script_memory_bytes(const struct script *s);

#endif
