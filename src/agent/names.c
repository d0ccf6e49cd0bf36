/* SPDX-License-Identifier: MIT
 *
 * names.c - the function name of each frame of a snapshot, for its sections NAMES and FRAME_NAMES.
 *
 * Context: agent: it reads ELF files and allocates.
 * Invariant: both sections are written whole or not at all; equal names are stored once.
 * Why here: freeze may not read files, and a snapshot must carry its names, since the files that
 * it was taken of may be gone when it is read.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Where a name lies in NAMES. elf_names gives equal names as one string, so its address is key. */
struct place {
    UT_hash_handle hh;
    const char *name;
    u32 offset;
};

struct names {
    const struct snapshot_frame *frames;
    u64 frame_count;
    const struct snapshot_module *modules;
    u64 module_count;
    const char *strings;
    struct place *places; /* room for one a frame */
    u32 place_count, bytes;
    struct place *table;
    u32 *offsets; /* of each frame */
};

/* A frame's pc is where the call returns to, which may already be the next function. */
static const char *name_of(const struct names *n, struct elf_names *cache,
                           const struct snapshot_frame *frame)
{
    if (!frame->module || frame->module > n->module_count)
        return "";
    const struct snapshot_module *m = &n->modules[frame->module - 1];
    return elf_names_find(cache, n->strings + m->path, m->build_id, m->build_id_bytes,
                          frame->pc - 1 - m->bias);
}

static u32 offset_of(struct names *n, const char *name)
{
    struct place *p;
    if (!name[0])
        return 0;
    HASH_FIND_PTR(n->table, &name, p);
    if (p)
        return p->offset;
    p = &n->places[n->place_count];
    memset(p, 0, sizeof *p);
    p->name = name;
    p->offset = n->bytes;
    HASH_ADD_PTR(n->table, name, p);
    if (!p->hh.tbl)
        return 0;
    n->place_count++;
    n->bytes += (u32)strlen(name) + 1;
    return p->offset;
}

static bool write_sections(const struct names *n, struct snapshot_writer *w)
{
    char *names = snapshot_writer_whole(w, SNAPSHOT_NAMES, n->bytes);
    u32 *offsets = snapshot_writer_whole(w, SNAPSHOT_FRAME_NAMES, n->frame_count);
    if (!names || !offsets)
        return false;
    for (u32 i = 0; i < n->place_count; i++)
        strcpy(names + n->places[i].offset, n->places[i].name);
    memcpy(offsets, n->offsets, n->frame_count * sizeof *offsets);
    return true;
}

bool agent_names_write(struct elf_names *cache, struct snapshot_writer *w)
{
    u64 string_bytes;
    struct names n = {.bytes = 1};
    n.frames = snapshot_writer_written(w, SNAPSHOT_FRAMES, &n.frame_count);
    n.modules = snapshot_writer_written(w, SNAPSHOT_MODULES, &n.module_count);
    n.strings = snapshot_writer_written(w, SNAPSHOT_STRINGS, &string_bytes);
    if (!n.frame_count || !n.strings)
        return true;
    n.places = malloc(n.frame_count * sizeof *n.places);
    n.offsets = malloc(n.frame_count * sizeof *n.offsets);
    bool written = false;
    if (n.places && n.offsets) {
        for (u64 i = 0; i < n.frame_count; i++)
            n.offsets[i] = offset_of(&n, name_of(&n, cache, &n.frames[i]));
        written = write_sections(&n, w);
    }
    HASH_CLEAR(hh, n.table);
    free(n.places);
    free(n.offsets);
    return written;
}
