/* SPDX-License-Identifier: MIT
 *
 * maps.h - the process's mappings as /proc/self/maps lists them, read with system calls only.
 *
 * Context: hot (cold path of it), frozen and any other. The caller lends the buffer, since the
 * stack it runs on may be a few kilobytes long.
 */
#ifndef MOONHEAP_BASE_MAPS_H
#define MOONHEAP_BASE_MAPS_H

#include "attr.h"

enum { MAPS_BUFFER_BYTES = 8192 };

struct maps_region {
    u64 lo, hi; /* [lo, hi) */
    u64 offset; /* in the file */
    bool read, write, exec, shared;
    char path[512]; /* "" for anonymous memory, "[stack]", "[heap]", "[vdso]"; cut when longer */
};

struct maps_reader {
    int fd;
    u32 at, end; /* unread bytes of the buffer */
    char *buffer; /* MAPS_BUFFER_BYTES, the caller's */
};

/* false when /proc is not there. */
bool maps_open(struct maps_reader *r, char *buffer);
bool maps_next(struct maps_reader *r, struct maps_region *region);
void maps_close(struct maps_reader *r);

/* Does the path from a slash on, up to its end or that of its line, name a file that is Moonheap's
 * library? "/libmoonheap.so"; a copy or a deleted file keeps the name. */
bool maps_names_library(const char *from_slash);

#endif
