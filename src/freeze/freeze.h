/* SPDX-License-Identifier: MIT
 *
 * freeze.h - the door of freeze: fills a snapshot from the live process.
 *
 * Context: frozen: raw system calls and memory set aside beforehand; no libc lock, no malloc.
 * So far it lists blocks without stopping anyone (`heap.snapshot{graph=false}`).
 */
#ifndef MOONHEAP_FREEZE_FREEZE_H
#define MOONHEAP_FREEZE_FREEZE_H

#include "snapshot/snapshot.h"
#include "track/track.h"

struct freeze_request {
    u64 overhead_bytes;  /* what the agent itself holds, for the snapshot's books */
    u64 allocator_bytes; /* what the program's allocator holds, 0 = unknown */
    const char *note;    /* one more remark for the snapshot's notes, NULL = none */
};

/* Writes every section but NAMES and FRAME_NAMES; whoever adds those finds the frames with
 * snapshot_writer_written(w, SNAPSHOT_FRAMES, ...). The caller finishes the writer, also after a
 * failure (or abandons it). overhead_bytes of the snapshot is the request's plus the recorder's. */
bool freeze_list(struct snapshot_writer *w, const struct freeze_request *r, struct err *e);
/* Bytes of address space that a writer should reserve for that and for names of functions. */
u64 freeze_estimate_bytes(void);

#endif
