/* SPDX-License-Identifier: MIT
 *
 * names.c - function, file and line of each frame of a snapshot, for its sections NAMES,
 * FRAME_NAMES, LINES and FRAME_LINES.
 *
 * Context: agent: it reads ELF files and allocates.
 * Invariant: the sections are written whole or not at all; equal texts are stored once.
 * Why here: freeze may not read files, and a snapshot must carry its names, since the files that
 * it was taken of may be gone when it is read. Debug information is read by a helper process
 * (lookup.c); what that does not know, or all when it is not there, comes from ELF symbols.
 */
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* without it, uthash ends the process when memory is out */
#include "names.h"

/* The frames of one snapshot in the making. */
struct frames {
    const struct snapshot_frame *records;
    u64 count;
    const struct snapshot_module *modules;
    u64 module_count;
    const char *strings;
    struct agent_place **places; /* of each frame; NULL: in no module */
    struct agent_place **unsettled;
    u32 unsettled_count;
    struct agent_text **written; /* in the order of their offsets */
    u64 written_count, written_room;
    u32 name_bytes;
    u64 line_count;
};

struct agent_names *agent_names_create(void)
{
    struct agent_names *n = calloc(1, sizeof *n);
    if (n)
        n->elf = elf_names_create();
    if (n && !n->elf) {
        free(n);
        return NULL;
    }
    return n;
}

struct agent_text *agent_names_text(struct agent_names *n, const char *text, size_t bytes)
{
    struct agent_text *t;
    HASH_FIND(hh, n->texts, text, bytes, t);
    if (t)
        return t;
    t = malloc(sizeof *t + bytes + 1);
    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->bytes = (u32)bytes;
    memcpy(t->text, text, bytes);
    t->text[bytes] = '\0';
    HASH_ADD_KEYPTR(hh, n->texts, t->text, bytes, t);
    if (!t->hh.tbl) {
        free(t);
        return NULL;
    }
    return t;
}

/* --- which place a frame is at ------------------------------------------------------------- */

static const struct agent_text *module_of(struct agent_names *n, const struct frames *f, u32 module)
{
    char key[AGENT_PATH_BYTES + 64];
    const struct snapshot_module *m = &f->modules[module - 1];
    const char *path = f->strings + m->path;
    size_t bytes = strlen(path) + 1;
    if (bytes > AGENT_PATH_BYTES)
        return NULL;
    memcpy(key, path, bytes);
    memcpy(key + bytes, m->build_id, m->build_id_bytes);
    return agent_names_text(n, key, bytes + m->build_id_bytes);
}

static struct agent_place *place_at(struct agent_names *n, const struct agent_text *module,
                                    u64 address)
{
    struct agent_place *p, wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.key.module = module;
    wanted.key.address = address;
    HASH_FIND(hh, n->places, &wanted.key, sizeof wanted.key, p);
    if (p)
        return p;
    p = malloc(sizeof *p);
    if (!p)
        return NULL;
    *p = wanted;
    HASH_ADD(hh, n->places, key, sizeof p->key, p);
    if (!p->hh.tbl) {
        free(p);
        return NULL;
    }
    return p;
}

/* A frame's pc is where the call returns to, which may already be the next function. A place that
 * is new is in the list of unsettled ones once, however many frames are at it: it is marked as
 * settled there, and unmarked when all are listed. */
static bool find_places(struct agent_names *n, struct frames *f)
{
    const struct agent_text **modules = calloc(f->module_count + 1, sizeof *modules);
    if (!modules)
        return false;
    for (u64 i = 0; i < f->count; i++) {
        u32 module = f->records[i].module;
        if (!module || module > f->module_count)
            continue;
        if (!modules[module])
            modules[module] = module_of(n, f, module);
        if (!modules[module])
            continue;
        u64 address = f->records[i].pc - 1 - f->modules[module - 1].bias;
        f->places[i] = place_at(n, modules[module], address);
        if (f->places[i] && !f->places[i]->settled) {
            f->places[i]->settled = true;
            f->unsettled[f->unsettled_count++] = f->places[i];
        }
    }
    for (u32 i = 0; i < f->unsettled_count; i++)
        f->unsettled[i]->settled = false;
    free(modules);
    return true;
}

static void settle_by_symbols(struct agent_names *n, struct agent_place *p)
{
    const char *path = p->key.module->text;
    u32 path_bytes = (u32)strlen(path) + 1;
    const char *name = elf_names_find(n->elf, path, (const u8 *)path + path_bytes,
                                      p->key.module->bytes - path_bytes, p->key.address);
    p->function = *name ? agent_names_text(n, name, strlen(name)) : NULL;
    p->settled = true;
}

/* --- the sections -------------------------------------------------------------------------- */

static bool write_text(struct agent_names *n, struct frames *f, struct agent_text *t)
{
    if (!t || t->stamp == n->stamp)
        return true;
    if (f->written_count == f->written_room) {
        u64 room = f->written_room ? 2 * f->written_room : 1024;
        struct agent_text **more = realloc(f->written, room * sizeof(struct agent_text *));
        if (!more)
            return false;
        f->written = more;
        f->written_room = room;
    }
    t->stamp = n->stamp;
    t->offset = f->name_bytes;
    f->name_bytes += t->bytes + 1;
    f->written[f->written_count++] = t;
    return true;
}

/* Gives every text that is needed its offset. */
static bool lay_out(struct agent_names *n, struct frames *f)
{
    n->stamp++;
    f->name_bytes = 1; /* the empty string */
    for (u64 i = 0; i < f->count; i++) {
        const struct agent_place *p = f->places[i];
        if (!p)
            continue;
        if (!write_text(n, f, p->function))
            return false;
        for (u32 k = 0; k < p->depth; k++)
            if (!write_text(n, f, p->lines[k].function) || !write_text(n, f, p->lines[k].file))
                return false;
        f->line_count += p->depth;
    }
    return true;
}

static u32 offset_of(const struct agent_text *t)
{
    return t ? t->offset : 0;
}

static bool write_sections(const struct frames *f, struct snapshot_writer *w)
{
    char *names = snapshot_writer_whole(w, SNAPSHOT_NAMES, f->name_bytes);
    u32 *frame_names = snapshot_writer_whole(w, SNAPSHOT_FRAME_NAMES, f->count);
    struct snapshot_line *lines = snapshot_writer_whole(w, SNAPSHOT_LINES, f->line_count);
    u32 *first = snapshot_writer_whole(w, SNAPSHOT_FRAME_LINES, f->count + 1);
    if (!names || !frame_names || !lines || !first)
        return false;
    for (u64 i = 0; i < f->written_count; i++)
        memcpy(names + f->written[i]->offset, f->written[i]->text, f->written[i]->bytes);
    u32 line = 0;
    for (u64 i = 0; i < f->count; i++) {
        const struct agent_place *p = f->places[i];
        frame_names[i] = p ? offset_of(p->function) : 0;
        for (u32 k = 0; p && k < p->depth; k++)
            lines[line++] = (struct snapshot_line){offset_of(p->lines[k].function),
                                                   offset_of(p->lines[k].file), p->lines[k].line};
        first[i + 1] = line;
    }
    return true;
}

bool agent_names_write(struct agent_names *n, struct snapshot_writer *w, bool lines,
                       char note[AGENT_NOTE_BYTES])
{
    u64 string_bytes;
    struct frames f = {0};
    *note = '\0';
    f.records = snapshot_writer_written(w, SNAPSHOT_FRAMES, &f.count);
    f.modules = snapshot_writer_written(w, SNAPSHOT_MODULES, &f.module_count);
    f.strings = snapshot_writer_written(w, SNAPSHOT_STRINGS, &string_bytes);
    if (!f.count || !f.strings)
        return true;
    f.places = calloc(f.count, sizeof(struct agent_place *));
    f.unsettled = malloc(f.count * sizeof(struct agent_place *));
    bool written = false;
    if (f.places && f.unsettled && find_places(n, &f)) {
        if (lines)
            agent_lookup(n, f.unsettled, f.unsettled_count, note);
        for (u32 i = 0; i < f.unsettled_count; i++)
            if (!f.unsettled[i]->settled)
                settle_by_symbols(n, f.unsettled[i]);
        written = lay_out(n, &f) && write_sections(&f, w);
    }
    free(f.places);
    free(f.unsettled);
    free(f.written);
    return written;
}
