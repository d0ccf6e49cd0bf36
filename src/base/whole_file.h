/* SPDX-License-Identifier: MIT
 *
 * whole_file.h - a file that is written whole or not at all.
 *
 * Context: any but hot and frozen: it may block and takes memory from malloc.
 * Invariant: at the path is the old file or the whole new one, never part of one; after
 * whole_file_end nothing else of it is left.
 */
#ifndef MOONHEAP_BASE_WHOLE_FILE_H
#define MOONHEAP_BASE_WHOLE_FILE_H

#include "err.h"

struct whole_file {
    int fd;
    const char *path; /* the caller's; it must stay until the end */
    char *beside;     /* the name that it has until then */
};

/* Opens a new file, mode 0600, beside `path`. On false there is nothing to end. */
bool whole_file_begin(struct whole_file *f, const char *path, struct err *e);
bool whole_file_write(struct whole_file *f, const void *bytes, u64 count, struct err *e);
/* Gives it its name if all is well so far; else, or when that fails, removes it. False then. */
bool whole_file_end(struct whole_file *f, bool ok, struct err *e);

#endif
