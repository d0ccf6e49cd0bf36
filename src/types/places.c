/* SPDX-License-Identifier: MIT
 *
 * places.c - the places in the source that frames stand for, and how they are written.
 *
 * Context: pure.
 * Invariant: every frame but 0 has at least one place, innermost first; the last one is in the
 * function that the machine code belongs to, the others are in functions that were inlined there.
 * Why all frames are expanded once: a call stack is then a list of places, and whoever walks stacks
 * (sites, folding, filters) need not know of inlining.
 */
#include <string.h>

#include "places.h"

enum { NAME_BYTES = 4096 };

static u32 line_count(const struct snapshot *s, u32 frame)
{
    return s->frame_lines ? s->frame_lines[frame] - s->frame_lines[frame - 1] : 0;
}

static const char *symbol_of(const struct snapshot *s, u32 frame)
{
    return s->frame_names ? s->names + s->frame_names[frame - 1] : "";
}

/* What stands for a function that has no name: the file and the address in it. */
static u32 add_unnamed(struct types *t, u32 frame, const struct types_memory *m)
{
    char text[NAME_BYTES];
    snapshot_frame_text(t->snapshot, (frame_id){frame}, text, sizeof text);
    return types_names_copy(&t->functions, text, m);
}

static struct types_place place_of(struct types *t, u32 frame, u32 depth, u32 lines,
                                   const struct types_memory *m)
{
    const struct snapshot *s = t->snapshot;
    const struct snapshot_line *line =
        lines ? &s->lines[s->frame_lines[frame - 1] + depth] : &(struct snapshot_line){0};
    const char *name = line->function ? s->names + line->function : "";
    if (!*name && depth + 1 >= lines)
        name = symbol_of(s, frame);
    return (struct types_place){
        .function = *name ? types_names_add(&t->functions, name) : add_unnamed(t, frame, m),
        .file = line->file,
        .line = line->line,
        .named = *name != 0,
    };
}

void types_places_build(struct types *t, const struct types_memory *m)
{
    const struct snapshot *s = t->snapshot;
    u32 *row = types_take(m, (u64)s->frame_count + 2, sizeof *row);
    row[1] = 1;
    for (u32 f = 1; f <= s->frame_count; f++) {
        u32 lines = line_count(s, f);
        row[f + 1] = row[f] + (lines ? lines : 1);
    }
    row[0] = 1; /* frame 0 has none; place 0 is nowhere */
    t->place_count = row[s->frame_count + 1];
    types_names_init(&t->functions, t->place_count, m);
    struct types_place *places = types_take(m, t->place_count, sizeof *places);
    for (u32 f = 1; f <= s->frame_count; f++)
        for (u32 p = row[f]; p < row[f + 1]; p++)
            places[p] = place_of(t, f, p - row[f], line_count(s, f), m);
    t->places = places;
    t->place_row = row;
}

const char *types_place_file(const struct types *t, u32 place)
{
    u32 file = t->places[place].file;
    const char *path = file ? t->snapshot->names + file : "", *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

size_t types_place_text(const struct types *t, u32 place, char *out, size_t size)
{
    const struct types_place *p = &t->places[place];
    const char *function = t->functions.text[p->function], *file = types_place_file(t, place);
    if (!*file)
        return text_format(out, size, "%s", function);
    if (!p->line)
        return text_format(out, size, "%s (%s)", function, file);
    return text_format(out, size, "%s (%s:%u)", function, file, p->line);
}
