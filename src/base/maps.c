/* SPDX-License-Identifier: MIT
 *
 * maps.c - the process's mappings as /proc/self/maps lists them, read with system calls only.
 *
 * Context: hot (cold path of it), frozen and any other.
 * Invariant: a region is given out only when its line was read whole, or cut within the path.
 * Format: proc(5), "/proc/pid/maps". The calling thread's view is read: that of a process whose main
 * thread has ended (pthread_exit in main) is empty.
 */
#include <fcntl.h>
#include <string.h>

#include "maps.h"
#include "sys.h"
#include "text.h"

bool maps_open(struct maps_reader *r, char *buffer)
{
    *r = (struct maps_reader){.fd = sys_open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0),
                              .buffer = buffer};
    return r->fd >= 0;
}

void maps_close(struct maps_reader *r)
{
    if (r->fd >= 0)
        sys_close(r->fd);
    r->fd = -1;
}

/* Moves what is unread to the buffer's start and reads behind it; false at the end of the file or
 * when there is no room, as for a line longer than the buffer. */
static bool refill(struct maps_reader *r)
{
    for (u32 i = r->at; i < r->end; i++)
        r->buffer[i - r->at] = r->buffer[i];
    r->end -= r->at;
    r->at = 0;
    if (r->end == MAPS_BUFFER_BYTES)
        return false;
    long got = sys_read(r->fd, r->buffer + r->end, MAPS_BUFFER_BYTES - r->end);
    if (got <= 0)
        return false;
    r->end += (u32)got;
    return true;
}

/* Index of the newline that ends the unread line, reading more as needed; `end` when the line is
 * longer than the buffer or the file ends without one. */
static u32 line_end(struct maps_reader *r)
{
    u32 seen = 0;
    for (;;) {
        const char *from = r->buffer + r->at + seen;
        const char *newline = memchr(from, '\n', r->end - r->at - seen);
        if (newline)
            return (u32)(newline - r->buffer);
        seen = r->end - r->at;
        if (!refill(r))
            return r->end;
    }
}

/* Throws away the rest of a line whose beginning filled the whole buffer. */
static void skip_line(struct maps_reader *r)
{
    for (;;) {
        r->at = r->end;
        if (!refill(r))
            return;
        u32 end = line_end(r);
        if (end < r->end) {
            r->at = end + 1;
            return;
        }
    }
}

static void skip_field(const char **at)
{
    while (**at == ' ')
        ++*at;
    while (**at && **at != ' ')
        ++*at;
}

/* "lo-hi perms offset major:minor inode    path", NUL-terminated. */
static bool parse(const char *at, struct maps_region *region)
{
    region->lo = text_hex(&at);
    if (*at++ != '-')
        return false;
    region->hi = text_hex(&at);
    if (*at++ != ' ')
        return false;
    for (int i = 0; i < 4; i++)
        if (!at[i])
            return false;
    region->read = at[0] == 'r';
    region->write = at[1] == 'w';
    region->exec = at[2] == 'x';
    region->shared = at[3] == 's';
    at += 4;
    while (*at == ' ')
        at++;
    region->offset = text_hex(&at);
    skip_field(&at); /* device */
    skip_field(&at); /* inode */
    while (*at == ' ')
        at++;
    size_t length = strnlen(at, sizeof region->path - 1);
    memcpy(region->path, at, length);
    region->path[length] = '\0';
    return true;
}

bool maps_next(struct maps_reader *r, struct maps_region *region)
{
    for (;;) {
        u32 end = line_end(r);
        if (end == r->at)
            return false;
        bool whole = end < r->end;
        if (!whole)
            end = r->end - 1; /* its last byte gives way to the NUL */
        r->buffer[end] = '\0';
        bool good = parse(r->buffer + r->at, region);
        if (whole)
            r->at = end + 1;
        else
            skip_line(r);
        if (good)
            return true;
    }
}

bool maps_names_library(const char *from_slash)
{
    static const char name[] = "/libmoonheap.so";
    if (strncmp(from_slash, name, sizeof name - 1) != 0)
        return false;
    char after = from_slash[sizeof name - 1];
    return after == '\0' || after == '\n' || after == ' ' || after == '.';
}
