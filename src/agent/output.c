/* SPDX-License-Identifier: MIT
 *
 * output.c - where a run's output goes.
 *
 * Context: agent.
 * Invariant: a descriptor is written to only while it is the file that it was when it was opened
 * (or, for stderr, when the program began): daemons close all descriptors and reuse the numbers,
 * and a report must not end up in a client's connection. A failed write ends the writing, nothing
 * else; no wait is longer than PATIENCE_MS.
 * Why stderr is written in pieces of PIPE_BUF, each after a poll: it blocks, and may not be made
 * not to, since the program shares it; a pipe that is ready takes that much at once (pipe(7)).
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

enum { PATIENCE_MS = 2000, FLUSH_EVERY_MS = 100 };
_Static_assert(OUTPUT_BUFFER_BYTES <= PIPE_BUF, "a buffer goes out in one piece");

static struct stat stderr_at_start;
static bool stderr_was_open;

void agent_output_prepare(void)
{
    stderr_was_open = fstat(STDERR_FILENO, &stderr_at_start) == 0;
}

/* Tells files apart; 0 for none. */
static u64 identity(const struct stat *s)
{
    return (u64)s->st_dev * 0x9e3779b97f4a7c15ULL ^ (u64)s->st_ino;
}

static u64 identity_of(int fd)
{
    struct stat s;
    return fd >= 0 && fstat(fd, &s) == 0 ? identity(&s) : 0;
}

/* Is number 2 still what people read? A log may have been reopened, a terminal taken over; but a
 * socket or a plain data file that got the number is not for us. */
static bool stderr_is_plausible(void)
{
    struct stat now;
    if (fstat(STDERR_FILENO, &now) != 0)
        return false;
    if (stderr_was_open && identity(&now) == identity(&stderr_at_start))
        return true;
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    if (S_ISCHR(now.st_mode))
        return true;
    if (S_ISREG(now.st_mode))
        return flags >= 0 && (flags & O_APPEND);
    return S_ISFIFO(now.st_mode) && stderr_was_open && S_ISFIFO(stderr_at_start.st_mode);
}

/* Writes the path of MOONHEAP_OUT with each %p replaced by the pid. */
static void expand(char *out, size_t size, const char *pattern)
{
    size_t used = 0;
    for (; *pattern && used + 1 < size; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'p') {
            used += text_format(out + used, size - used, "%d", sys_getpid());
            pattern++;
        } else {
            out[used++] = *pattern;
        }
    }
    out[used] = '\0';
}

static void open_file(struct agent_output *o)
{
    static bool complained;
    char path[AGENT_PATH_BYTES], text[AGENT_PATH_BYTES + 100];
    expand(path, sizeof path, agent.out);
    /* O_NONBLOCK: a named pipe without a reader fails instead of waiting for one */
    o->fd = sys_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    o->owned = o->fd >= 0;
    if (o->fd >= 0 || complained)
        return;
    complained = true;
    text_format(text, sizeof text, "cannot write to %s (MOONHEAP_OUT): %s", path,
                strerrordesc_np(-o->fd));
    agent_output_complain(text);
}

void agent_output_begin(struct agent_output *o, int connection)
{
    *o = (struct agent_output){.fd = -1, .connection = connection};
    if (strcmp(agent.out, "stderr"))
        open_file(o);
    else if (stderr_is_plausible())
        o->fd = STDERR_FILENO;
    o->fd_identity = identity_of(o->fd);
    o->connection_identity = identity_of(o->connection);
    o->flushed_ns = sys_monotonic_ns();
}

/* Polls before each write, so that a blocking descriptor does not hold us. */
static bool write_patiently(int fd, const char *bytes, size_t count)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    return sys_call(SYS_poll, &ready, 1, PATIENCE_MS) == 1 &&
           sys_write_all(fd, bytes, count, PATIENCE_MS);
}

static void flush(struct agent_output *o)
{
    if (!o->used)
        return;
    if (o->fd >= 0 && (identity_of(o->fd) != o->fd_identity ||
                       !write_patiently(o->fd, o->buffer, o->used))) {
        o->owned = o->owned && identity_of(o->fd) == o->fd_identity;
        if (o->owned)
            sys_close(o->fd);
        o->fd = -1;
    }
    struct request_message output = {REQUEST_OUTPUT, {o->used}};
    if (o->connection >= 0 &&
        (identity_of(o->connection) != o->connection_identity ||
         !request_send(o->connection, &output, PATIENCE_MS) ||
         !request_send_bytes(o->connection, o->buffer, o->used, PATIENCE_MS)))
        o->connection = -1;
    o->used = 0;
    o->flushed_ns = sys_monotonic_ns();
}

void agent_output_write(struct agent_output *o, const char *text, size_t bytes)
{
    while (bytes) {
        size_t room = sizeof o->buffer - o->used, count = bytes < room ? bytes : room;
        memcpy(o->buffer + o->used, text, count);
        o->used += (u32)count;
        o->last = text[count - 1];
        text += count;
        bytes -= count;
        if (o->used == sizeof o->buffer ||
            sys_coarse_ns() - o->flushed_ns > FLUSH_EVERY_MS * 1000000UL)
            flush(o);
    }
}

void agent_output_format(struct agent_output *o, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    size_t length = text_format_va(text, sizeof text, format, args);
    va_end(args);
    agent_output_write(o, text, length);
}

void agent_output_end(struct agent_output *o)
{
    flush(o);
    if (o->owned && o->fd >= 0 && identity_of(o->fd) == o->fd_identity)
        sys_close(o->fd);
    o->fd = -1;
}

void agent_output_complain(const char *text)
{
    char line[AGENT_PATH_BYTES + 200];
    size_t length = text_format(line, sizeof line, "moonheap: %s\n", text);
    if (stderr_is_plausible())
        write_patiently(STDERR_FILENO, line, length);
}
