/* SPDX-License-Identifier: MIT
 *
 * serve.c - answers one question of base/lookup.h: what the helper process does.
 *
 * Context: tool.
 * Invariant: nothing of the question is followed before it has been checked against its length.
 * Why answers go out as they are found, in pieces: when the helper is ended for being slow, what it
 * has found by then is not lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols.h"

enum { PIECE_BYTES = 1 << 16, QUESTION_MAX = 1 << 24 };

struct output {
    int fd;
    bool failed;
    u32 used;
    char bytes[PIECE_BYTES];
};

static bool write_all(int fd, const char *bytes, size_t count)
{
    while (count) {
        ssize_t wrote = write(fd, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return true;
}

static void flush(struct output *o)
{
    o->failed = o->failed || !write_all(o->fd, o->bytes, o->used);
    o->used = 0;
}

static void put(struct output *o, const void *bytes, size_t count)
{
    if (count > sizeof o->bytes - o->used)
        flush(o);
    memcpy(o->bytes + o->used, bytes, count);
    o->used += (u32)count;
}

static u32 sent_bytes(const char *text)
{
    return (u32)strnlen(text, LOOKUP_TEXT_MAX);
}

static void send_answer(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    struct output *o = context;
    for (u32 i = 0; i < depth; i++) {
        struct lookup_line line = {LOOKUP_LINE, question, lines[i].line,
                                   sent_bytes(lines[i].function), sent_bytes(lines[i].file)};
        put(o, &line, sizeof line);
        put(o, lines[i].function, line.function_bytes);
        put(o, lines[i].file, line.file_bytes);
    }
}

static bool read_all(int fd, void *into, size_t count)
{
    u8 *at = into;
    while (count) {
        ssize_t got = read(fd, at, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        count -= (size_t)got;
    }
    return true;
}

/* The parts of a question, in one piece of memory. */
struct question {
    struct lookup_question head;
    void *memory;
    const struct lookup_module *modules;
    const struct lookup_address *addresses;
    const char *strings;
};

static bool check(const struct question *q)
{
    u32 bytes = q->head.string_bytes;
    if (q->head.addresses && (!bytes || q->strings[bytes - 1] != '\0'))
        return false;
    for (u32 i = 0; i < q->head.modules; i++)
        if (q->modules[i].path >= bytes ||
            q->modules[i].build_id_bytes > sizeof q->modules[i].build_id)
            return false;
    for (u32 i = 0; i < q->head.addresses; i++)
        if (q->addresses[i].module >= q->head.modules)
            return false;
    return true;
}

static bool read_question(struct question *q, int in)
{
    if (!read_all(in, &q->head, sizeof q->head) || q->head.version != LOOKUP_VERSION ||
        q->head.modules > QUESTION_MAX || q->head.addresses > QUESTION_MAX)
        return false;
    size_t modules = q->head.modules * sizeof *q->modules;
    size_t addresses = q->head.addresses * sizeof *q->addresses;
    size_t bytes = modules + addresses + q->head.string_bytes;
    u8 *memory = malloc(bytes ? bytes : 1);
    q->memory = memory;
    if (!memory || !read_all(in, memory, bytes))
        return false;
    q->addresses = (const struct lookup_address *)memory;
    q->modules = (const struct lookup_module *)(memory + addresses);
    q->strings = (const char *)memory + addresses + modules;
    return check(q);
}

static bool answer(const struct question *q, struct output *o)
{
    u32 count = q->head.addresses;
    struct symbols_question *questions = calloc(count ? count : 1, sizeof *questions);
    if (!questions)
        return false;
    for (u32 i = 0; i < count; i++) {
        const struct lookup_module *m = &q->modules[q->addresses[i].module];
        questions[i] = (struct symbols_question){q->strings + m->path, m->build_id,
                                                 m->build_id_bytes, q->addresses[i].address};
    }
    /* The relay that started us runs the program's file, whatever has become of its path. */
    char running[32];
    text_format(running, sizeof running, "/proc/%d/exe", (int)getppid());
    symbols_lookup(questions, count, &(struct symbols_where){.spare = running}, send_answer, o);
    free(questions);
    struct lookup_line end = {.mark = LOOKUP_LINE, .address = LOOKUP_END};
    put(o, &end, sizeof end);
    flush(o);
    return !o->failed;
}

bool symbols_serve(int in, int out, struct err *e)
{
    struct question q = {0};
    struct output *o = calloc(1, sizeof *o);
    bool ok = false;
    if (!o) {
        err_set(e, STATUS_NO_MEMORY, "out of memory");
    } else if (!read_question(&q, in)) {
        err_set(e, STATUS_MALFORMED, "that is no question of a Moonheap of this version");
    } else {
        o->fd = out;
        ok = answer(&q, o) || err_set(e, STATUS_IO, "the answer could not be written");
    }
    free(q.memory);
    free(o);
    return ok;
}
