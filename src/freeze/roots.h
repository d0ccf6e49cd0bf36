/* SPDX-License-Identifier: MIT
 *
 * roots.h - the section ROOTS: where references may come from that lie in no block.
 *
 * Context: frozen, in the clone; inside the room only.
 */
#ifndef MOONHEAP_FREEZE_ROOTS_H
#define MOONHEAP_FREEZE_ROOTS_H

#include "regions.h"
#include "stop.h"

enum {
    ROOTS_MAX = 1 << 20,
    ROOTS_GENERAL = 17, /* registers in the order of the ABI's numbers: rax, rdx, ... r15, rip */
    ROOTS_REGISTERS = ROOTS_GENERAL + STOP_VECTOR_BYTES / sizeof(u64),
};

/* Where in a thread's stack the C library keeps what it knows of the thread, learnt from the
 * calling one. */
struct layout_thread {
    u64 from_end; /* of the stack's mapping back to the thread pointer; 0 = unknown */
    u64 tid;      /* from the thread pointer to the id, which is none once the thread is gone */
};

struct roots {
    struct freeze_job *job;
    struct regions *regions;
    const struct stop *stop; /* NULL: nobody was stopped */
    const struct freeze_request *request;
    struct snapshot_root *records;
    u32 count;
    struct layout_thread thread;
    bool cut; /* there were more roots or areas than there is room for */
    struct own_range *excluded; /* of memory: ours, allocators', and what is a root already */
    u32 excluded_count;
};

/* Writes the section ROOTS. Roots of registers come first, one for each thread that stands, in the
 * order of the stop. */
bool roots_begin(struct roots *x, struct freeze_job *j, struct regions *regions,
                 const struct stop *stop, const struct freeze_request *r);
void roots_end(struct roots *x);

/* For those who make some: one more root of [lo, hi), several where it is long; one of a stack's dead
 * part; memory that holds no more. */
void roots_add(struct roots *x, struct snapshot_root root);
void roots_add_dead(struct roots *x, struct snapshot_root root, u64 lo, u64 hi);
void roots_exclude(struct roots *x, u64 lo, u64 hi);
/* How many blocks begin below the address; does it lie in one? */
u32 roots_below(const struct roots *x, u64 address);
bool roots_holds_block(const struct roots *x, u64 address);
/* Is it memory of ours? */
bool roots_is_ours(const struct roots *x, u64 address);
/* The region around an address that the program may write alone; NULL = none. */
const struct region *roots_writable(const struct roots *x, u64 address);

/* thread_roots.c: of all threads that stand. */
void roots_of_threads(struct roots *x);
/* Words of a thread's registers, as a root of the kind REGISTER has them; returns how many. */
u32 roots_registers(const struct stop_thread *t, u64 out[ROOTS_REGISTERS]);

/* layout.c: what of a mapping belongs to the C library's allocator or to threads that are gone. */

/* The bins of malloc's main arena in [lo, hi), which point at free chunks, and so at the ends of
 * blocks before them. */
bool layout_find_bins(struct regions *r, u64 lo, u64 hi, struct own_range *bins);
/* Is there an arena's heap at `address`? How far it reaches; 0 = no. */
u64 layout_arena_end(struct regions *r, u64 address);
struct layout_thread layout_learn(int tid, u64 stack_end);
/* The thread pointer of a stack in [lo, hi) that no thread uses any more; 0 = it is none. */
u64 layout_dead_stack(struct regions *r, const struct layout_thread *how, u64 lo, u64 hi);

#endif
