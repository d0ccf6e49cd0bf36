/* SPDX-License-Identifier: MIT
 *
 * freeze.h - the door of freeze: fills a snapshot from the live process, as a list of blocks without
 * stopping anyone, or as an image with references of a moment at which all threads stood.
 *
 * Context: frozen: raw system calls and memory set aside beforehand; no libc lock, no malloc.
 */
#ifndef MOONHEAP_FREEZE_FREEZE_H
#define MOONHEAP_FREEZE_FREEZE_H

#include "snapshot/snapshot.h"
#include "track/track.h"

/* Where the thread-local storage of a module lies in each thread. */
struct freeze_thread_locals {
    u64 inside;       /* an address in the module */
    u64 below, bytes; /* from so many bytes below the thread pointer on, so many */
};

struct freeze_request {
    u64 overhead_bytes;  /* what the agent itself holds, for the snapshot's books */
    u64 allocator_bytes; /* what the program's allocator holds, 0 = unknown */
    const char *note;    /* one more remark for the snapshot's notes, NULL = none */
    const struct track_peak *peak; /* freeze_list only: these blocks are listed instead; NULL = none */
    /* freeze_image only */
    u64 own_address;      /* an address in the data of our library, which holds nothing of the
                             program's; 0 = none */
    u64 static_tls_bytes; /* of each thread, as libc lays it out; 0 = unknown */
    const struct freeze_thread_locals *thread_locals; /* those in there, farthest below first */
    u32 thread_local_count;
    u64 patience_ns;      /* with the child; 0 = as the room thinks right */
    u64 memory_bytes;     /* that an image may take; 0 = as the room thinks right */
    bool blocks_only;     /* references are not wanted; good for a sampled recording too */
    bool threads_only;    /* only where the threads stand is wanted: no blocks either */
    bool hold;            /* the memory of the moment is to be kept, until freeze_held_end */
    u64 hold_ns;          /* at most, after it was last read; 0 = no limit */
    u64 hold_bytes;       /* that this may come to cost; 0 = as the room thinks right */
};

/* The memory of an image's moment: kept by its clone, a process that the program does not see. */
struct freeze_held;

struct freeze_report {
    enum snapshot_stop way;
    u64 pause_ns;          /* from the first thread asked to stop to the last let go */
    u32 threads;           /* that stood */
    u32 missed;            /* that could not be stopped */
    const char *unstopped; /* why nobody was stopped */
    bool slipped;          /* they went on before memory was copied */
    struct freeze_held *held; /* the caller's, when it was asked for and freeze_image succeeded */
};

/* Writes every section but NAMES, FRAME_NAMES, LINES and FRAME_LINES; whoever adds those finds the
 * frames with snapshot_writer_written(w, SNAPSHOT_FRAMES, ...). The caller finishes the writer, also after a
 * failure (or abandons it). overhead_bytes of the snapshot is the request's plus the recorder's. */
bool freeze_list(struct snapshot_writer *w, const struct freeze_request *r, struct err *e);
/* Bytes of address space that a writer should reserve for that and for names of functions. */
u64 freeze_estimate_bytes(void);
/* The same for a snapshot of a peak of so many blocks. */
u64 freeze_peak_estimate_bytes(u64 blocks);

/* The same with references, of one moment: stops all other threads for as long as it takes to clone
 * the process, and has the clone do the work. The writer must be fresh, with room for
 * freeze_image_estimate_bytes(); after a failure it must be abandoned. Not for a sampled recording,
 * whose references would be those among samples. */
bool freeze_image(struct snapshot_writer *w, const struct freeze_request *r,
                  struct freeze_report *report, struct err *e);
u64 freeze_image_estimate_bytes(void);

/* These three on the thread that took the image. Copies the bytes as they were then; false, and why
 * (STATUS_NOT_FOUND: they were not there; else the memory is kept no longer). Never faults. */
bool freeze_held_read(struct freeze_held *h, u64 address, void *out, size_t bytes, struct err *e);
/* Is it still kept? Sets what keeping it costs by now, in bytes (0 when it is not). */
bool freeze_held_alive(struct freeze_held *h, u64 *cost_bytes);
void freeze_held_end(struct freeze_held *h);

#endif
