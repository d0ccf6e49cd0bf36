/* SPDX-License-Identifier: MIT
 *
 * job.h - one snapshot in the making: what the steps of freeze_list hand to each other.
 *
 * Context: frozen; inside the room only.
 * Invariant: everything here lies on the caller's stack, in the writer's reservation, or in memory
 * mapped for this job and given back by freeze_*_end.
 */
#ifndef MOONHEAP_FREEZE_JOB_H
#define MOONHEAP_FREEZE_JOB_H

#include "freeze/freeze.h"

/* The section STRINGS while it grows; offset 0 is the empty string. */
struct freeze_strings {
    char *bytes;
    u32 used, room;
};

/* The modules of the snapshot, findable by address. */
struct freeze_modules {
    const struct snapshot_module *records;
    u32 count;
    u32 *order; /* indices of records, by their lo */
    u64 *reach; /* reach[i]: highest hi among order[0..i] */
    u64 scratch_bytes;
};

/* The block table while it grows, column by column. */
struct freeze_blocks {
    u64 *addr;
    u32 *size, *stack, *birth;
    u16 *thread;
    const struct snapshot_big_size *big;
    u32 count, room, big_count;
    bool cut; /* there were more than there was room for */
    /* Only where the program told of blocks, else NULL. */
    u32 *outer;  /* of each: the innermost one that it lies in, counted from 1, 0 = none */
    u64 *custom; /* a bit for each: the program told of it */
};

/* What the kernel says of the process; process.c */
struct freeze_process {
    u64 pid;
    u64 rss_bytes;
    u64 start; /* field 22 of /proc/PID/stat */
    char exe[4096];
};
void freeze_process_read(struct freeze_process *p);
/* The beginning of a file as a string; false when there is nothing. */
bool freeze_process_text(const char *path, char *out, size_t size);

/* memory.c: bytes that may be taken without harm to others: half of what the machine, and the
 * control group of the process, have left. */
u64 memory_room(void);
/* A figure of /proc/meminfo, in bytes; UINT64_MAX when it is not there. */
u64 memory_figure(const char *key);
/* Bytes that would be free without the calling process: pages that no other has, page tables. */
u64 memory_private(void);

/* What the walks over the stacks of threads that stood have found: one for each record of CALLS,
 * whose frame is not known before FRAMES is written. */
struct freeze_walked {
    u64 pc;
    u32 incarnation;
};

struct freeze_job {
    struct snapshot_writer *w;
    struct freeze_strings strings;
    struct freeze_modules modules;
    struct freeze_blocks blocks;
    struct freeze_process *process;
    struct snapshot_meta *meta;
    u32 epoch;       /* the last whose blocks are listed */
    u64 now_ns;      /* monotonic, when that epoch ended */
    const struct track_peak *peak; /* what is listed instead of the live blocks, NULL = those */
    u64 *ignored;    /* addresses of blocks that are not to be called unreachable */
    u32 ignored_count;
    bool unreadable; /* the program's memory may not be read */
    struct freeze_walked *walked;
    u32 walked_count;
    int tid;         /* of the thread that asks for it */
    u64 flags;       /* of the snapshot */
    enum snapshot_stop stop;
    char remarks[600]; /* lines of its notes */
    u32 remark_bytes;
};

/* job.c: the frame of every snapshot. */

/* META, STRINGS, MODULES and THREADS; and asks what can be asked of the live process only. */
bool freeze_job_begin(struct freeze_job *j, struct snapshot_writer *w);
void freeze_job_remark(struct freeze_job *j, const char *format, ...) PRINTF_LIKE(2, 3);
/* Fills META, closes STRINGS. */
void freeze_job_finish(struct freeze_job *j, const struct freeze_request *r,
                       const struct track_counters *c);
void freeze_job_end(struct freeze_job *j);
/* Why the job failed, as its writer has it; false. */
bool freeze_job_failed(const struct snapshot_writer *w, struct err *e);

/* strings.c */
bool freeze_strings_begin(struct freeze_strings *s, struct snapshot_writer *w);
/* Its offset; that of the empty string when there is no more room. */
u32 freeze_strings_add(struct freeze_strings *s, const char *text);
void freeze_strings_end(struct freeze_strings *s, struct snapshot_writer *w);

/* places.c: MODULES and THREADS */
bool freeze_modules_begin(struct freeze_job *j);
/* The module that held `pc` in that incarnation; 1-based, 0 = none. */
u32 freeze_modules_find(const struct freeze_modules *m, u64 pc, u32 incarnation);
/* The module that holds `address` now; 1-based, 0 = none. */
u32 freeze_modules_now(const struct freeze_modules *m, u64 address);
void freeze_modules_end(struct freeze_modules *m);
bool freeze_threads(struct freeze_job *j);
/* The record of a thread that lives; NULL when it has not allocated. */
const struct snapshot_thread *freeze_thread_of(const struct freeze_job *j, int tid);

/* blocks.c: EPOCHS, the block columns and BIG_SIZES */
u32 freeze_blocks_room(void);
bool freeze_blocks(struct freeze_job *j);
void freeze_blocks_end(struct freeze_blocks *b);
/* Bytes of a block, counted from 0. */
u64 freeze_blocks_bytes(const struct freeze_blocks *b, u32 block);

/* How many blocks begin below the address. */
u32 freeze_blocks_below(const struct freeze_blocks *b, u64 address);

static inline bool freeze_blocks_custom(const struct freeze_blocks *b, u32 block)
{
    return b->custom && (b->custom[block / 64] >> (block % 64) & 1);
}

/* nests.c: which block lies in which, as each is added in turn: the last one is `block`. */
void freeze_nests_add(struct freeze_blocks *b, u32 block);
/* Is there still memory of the program's at an address? They must be asked for in order. */
struct freeze_mappings;
struct freeze_mappings *freeze_mappings_begin(void);
bool freeze_mappings_hold(struct freeze_mappings *m, u64 address);
void freeze_mappings_end(struct freeze_mappings *m);
/* NESTS */
bool freeze_nests(struct freeze_job *j);

/* marks.c: TAGS and BLOCK_TAG; marks are taken off the stack column */
bool freeze_marks(struct freeze_job *j);
void freeze_marks_end(struct freeze_job *j);

/* stacks.c: FRAMES and STACKS; numbers in the stack column become stack ids, and CALLS get their
 * frames */
bool freeze_stacks(struct freeze_job *j);

/* vtables.c: VTABLES and BLOCK_VTABLE, where the program runs on. */
bool freeze_vtables(struct freeze_job *j);
/* The same where it stands, for who reads each block anyway: block by block, counted from 0, in any
 * order; of its words the page that it begins in can be read. NULL when there is no memory;
 * vtables_end takes that too. */
struct vtables;
struct vtables *vtables_begin(struct freeze_job *j);
void vtables_look(struct vtables *s, u32 block, const u64 *words, u64 bytes);
void vtables_end(struct vtables *s, struct freeze_job *j);

/* Bytes of address space for the things whose number is not known beforehand. */
enum {
    FREEZE_STRINGS_ROOM = 64 << 20,
    FREEZE_VTABLES_ROOM = 1 << 18, /* records */
    FREEZE_BIG_ROOM = 1 << 16,     /* records; 2^47 bytes hold 2^15 such blocks */
    FREEZE_THREADS_ROOM = 1 << 13, /* records */
    FREEZE_CALLS_ROOM = 1 << 19,   /* records */
};

#endif
