/* SPDX-License-Identifier: MIT
 *
 * lines.c - files and lines for a saved snapshot that was taken without: of production, say, where
 * there is no debug information, read where there is.
 *
 * Context: tool.
 * Invariant: what the snapshot has by itself stays as it is; the view gets all of the new sections
 * or, when memory is out, none.
 */
#include <stdlib.h>
#include <string.h>

#include "symbols/symbols.h"
#include "tool.h"

struct frame_lines {
    struct snapshot_line *lines;
    u32 depth;
};

struct collector {
    struct tool_lines *out;
    const u32 *frames; /* of each question, from 0 */
    struct frame_lines *of_frame;
    size_t name_room, name_bytes;
    bool failed;
};

/* The offset of a text in the new NAMES. */
static u32 put_text(struct collector *c, const char *text)
{
    size_t bytes = strlen(text) + 1;
    if (bytes == 1 || c->failed)
        return 0;
    if (c->name_bytes + bytes > UINT32_MAX / 2) {
        c->failed = true;
        return 0;
    }
    if (c->name_bytes + bytes > c->name_room) {
        size_t room = 2 * (c->name_bytes + bytes);
        char *more = realloc(c->out->names, room);
        if (!more) {
            c->failed = true;
            return 0;
        }
        c->out->names = more;
        c->name_room = room;
    }
    memcpy(c->out->names + c->name_bytes, text, bytes);
    c->name_bytes += bytes;
    return (u32)(c->name_bytes - bytes);
}

static void collect(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    struct collector *c = context;
    u32 frame = c->frames[question];
    struct frame_lines *to = &c->of_frame[frame];
    if (!c->out->frame_names[frame])
        c->out->frame_names[frame] = put_text(c, lines[depth - 1].function);
    bool any_file = false;
    for (u32 i = 0; i < depth; i++)
        any_file |= *lines[i].file != 0;
    to->lines = any_file ? malloc(depth * sizeof *to->lines) : NULL;
    if (!to->lines)
        return;
    to->depth = depth;
    for (u32 i = 0; i < depth; i++) {
        bool outermost = i + 1 == depth;
        u32 function = outermost ? c->out->frame_names[frame] : put_text(c, lines[i].function);
        to->lines[i] = (struct snapshot_line){function, put_text(c, lines[i].file), lines[i].line};
    }
}

static void ask(const struct snapshot *s, struct collector *c, u32 *frames)
{
    struct symbols_question *questions = calloc(s->frame_count, sizeof *questions);
    u32 count = 0;
    for (u32 f = 0; questions && f < s->frame_count; f++) {
        const struct snapshot_frame *frame = &s->frames[f];
        if (!frame->module)
            continue;
        const struct snapshot_module *m = &s->modules[frame->module - 1];
        if (!m->build_id_bytes) /* the file here may be another one */
            continue;
        frames[count] = f;
        questions[count++] = (struct symbols_question){s->strings + m->path, m->build_id,
                                                       m->build_id_bytes, frame->pc - 1 - m->bias};
    }
    c->frames = frames;
    if (count)
        symbols_lookup(questions, count, NULL, collect, c);
    free(questions);
}

static bool join(struct collector *c, u32 frame_count)
{
    u32 total = 0;
    for (u32 f = 0; f < frame_count; f++)
        total += c->of_frame[f].depth;
    c->out->lines = calloc((size_t)total + 1, sizeof *c->out->lines);
    c->out->frame_lines = calloc((size_t)frame_count + 1, sizeof *c->out->frame_lines);
    if (!c->out->lines || !c->out->frame_lines)
        return false;
    total = 0;
    for (u32 f = 0; f < frame_count; f++) {
        const struct frame_lines *from = &c->of_frame[f];
        if (from->depth)
            memcpy(c->out->lines + total, from->lines, from->depth * sizeof *from->lines);
        total += from->depth;
        c->out->frame_lines[f + 1] = total;
    }
    c->out->line_count = total;
    return true;
}

/* The names that there are come first, so that their offsets stay. */
static bool begin(struct collector *c, const struct snapshot *s)
{
    c->out->frame_names = calloc((size_t)s->frame_count + 1, sizeof(u32));
    c->out->names = calloc(1, 1);
    c->name_bytes = c->name_room = 1;
    for (u32 f = 0; c->out->frame_names && c->out->names && f < s->frame_count; f++)
        if (s->frame_names)
            c->out->frame_names[f] = put_text(c, s->names + s->frame_names[f]);
    return c->out->frame_names && c->out->names && !c->failed;
}

void tool_lines_add(struct tool_lines *l, struct snapshot *s)
{
    struct collector c = {.out = l};
    *l = (struct tool_lines){0};
    if (!s->frame_count || s->line_count)
        return;
    u32 *frames = malloc(s->frame_count * sizeof *frames);
    c.of_frame = calloc(s->frame_count, sizeof *c.of_frame);
    if (frames && c.of_frame && begin(&c, s)) {
        ask(s, &c, frames);
        if (!c.failed && join(&c, s->frame_count)) {
            s->names = l->names;
            s->frame_names = l->frame_names;
            s->lines = l->lines;
            s->frame_lines = l->frame_lines;
            s->line_count = l->line_count;
        }
    }
    for (u32 f = 0; c.of_frame && f < s->frame_count; f++)
        free(c.of_frame[f].lines);
    free(c.of_frame);
    free(frames);
}

void tool_lines_free(struct tool_lines *l)
{
    free(l->names);
    free(l->frame_names);
    free(l->lines);
    free(l->frame_lines);
}
