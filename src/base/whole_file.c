/* SPDX-License-Identifier: MIT
 *
 * whole_file.c - see whole_file.h.
 *
 * Context: any but hot and frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "whole_file.h"

bool whole_file_begin(struct whole_file *f, const char *path, struct err *e)
{
    *f = (struct whole_file){.fd = -1, .path = path};
    if (asprintf(&f->beside, "%s.XXXXXX", path) < 0)
        return err_set(e, STATUS_NO_MEMORY, "out of memory while saving %s", path);
    f->fd = mkostemp(f->beside, O_CLOEXEC); /* mode 0600: it is its owner's business */
    if (f->fd >= 0)
        return true;
    err_set_errno(e, "create a file beside", path);
    free(f->beside);
    return false;
}

bool whole_file_write(struct whole_file *f, const void *bytes, u64 count, struct err *e)
{
    const u8 *at = bytes;
    while (count > 0) {
        ssize_t n = write(f->fd, at, count < (1u << 30) ? count : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set_errno(e, "write", f->path);
        at += n;
        count -= (u64)n;
    }
    return true;
}

bool whole_file_end(struct whole_file *f, bool ok, struct err *e)
{
    if (close(f->fd) != 0 && ok)
        ok = err_set_errno(e, "write", f->path);
    if (ok && rename(f->beside, f->path) != 0)
        ok = err_set_errno(e, "write", f->path);
    if (!ok)
        unlink(f->beside);
    free(f->beside);
    return ok;
}
