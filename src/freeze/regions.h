/* SPDX-License-Identifier: MIT
 *
 * regions.h - the mappings of the cloned process, and which of their pages were ever written.
 *
 * Context: frozen, in the clone: its memory does not change while it looks.
 * Invariant: regions ascend and do not overlap. A page that regions_holds says yes to can be read
 * without a fault and was written since it was mapped; all others hold zeros or what a file holds,
 * so no pointer that the program stored.
 */
#ifndef MOONHEAP_FREEZE_REGIONS_H
#define MOONHEAP_FREEZE_REGIONS_H

#include "job.h"

enum { REGIONS_MAX = 1 << 19, REGIONS_WINDOW = 4096 };

enum region_kind {
    REGION_ANONYMOUS,
    REGION_FILE,
    REGION_HEAP,    /* the kernel's [heap] */
    REGION_STACK,   /* the kernel's [stack] */
    REGION_SPECIAL, /* another name in brackets */
};

struct region {
    u64 lo, hi;
    u32 path; /* offset in STRINGS, of a file's private writable mapping */
    u8 kind;  /* enum region_kind */
    bool read, write, shared;
};

struct regions {
    struct region *list;
    u32 count;
    bool cut; /* there are more */
    bool swap;   /* pages may be there though they are not in memory */
    int pagemap; /* -1 = none */
    u32 at; /* the region last looked at */
    u64 window_page;
    u64 window_count; /* pages of the window */
    u8 held[REGIONS_WINDOW];
    u64 entries[REGIONS_WINDOW];
    struct maps_region line;
    char buffer[MAPS_BUFFER_BYTES];
};

/* NULL when there is no memory or no /proc. */
struct regions *regions_read(struct freeze_strings *strings);
void regions_free(struct regions *r);
/* The region that holds an address; NULL = none. */
const struct region *regions_find(struct regions *r, u64 address);
/* Is there something to be read in the page that holds `address`? */
bool regions_holds(struct regions *r, u64 address);

#endif
