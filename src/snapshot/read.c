/* SPDX-License-Identifier: MIT
 *
 * read.c - questions about one block, edge, thread or frame of an accepted snapshot.
 *
 * Context: pure.
 * Invariant: the view has been checked, so ids from 1 to the counts need no check here.
 */
#include <string.h>

#include "base/base.h"
#include "layout.h"

u64 snapshot_memory(const struct snapshot *s)
{
    const struct snapshot_header *h = (const struct snapshot_header *)s->bytes;
    const struct snapshot_entry *table = snapshot_table(s->bytes);
    u64 bytes = PAGE_BYTES; /* header and table */
    for (u32 i = 0; i < h->section_count; i++)
        bytes += ROUND_UP(table[i].count * table[i].record_bytes, PAGE_BYTES);
    return bytes < s->size ? bytes : s->size;
}

u64 snapshot_block_bytes(const struct snapshot *s, block_id b)
{
    u32 size = s->block_size[b.v - 1];
    if (LIKELY(size != UINT32_MAX))
        return size;
    return s->big_sizes[BISECT(i, s->big_size_count, s->big_sizes[i].block < b.v)].size;
}

u64 snapshot_block_own_bytes(const struct snapshot *s, block_id b)
{
    u32 at = BISECT(i, s->nest_count, s->nests[i].block < b.v);
    bool holds = at < s->nest_count && s->nests[at].block == b.v;
    return holds ? s->nests[at].own_bytes : snapshot_block_bytes(s, b);
}

u64 snapshot_block_age_ns(const struct snapshot *s, block_id b)
{
    return s->epoch_age_ns[s->block_birth[b.v - 1]];
}

block_id snapshot_block_at(const struct snapshot *s, u64 address)
{
    u32 begun = BISECT(i, s->block_count, s->block_addr[i] <= address);
    if (begun == 0)
        return (block_id){0};
    block_id found = {begun};
    u64 offset = address - s->block_addr[begun - 1];
    if (offset == 0 || offset < snapshot_block_bytes(s, found))
        return found;
    /* Behind that block, the address may still be in one that holds it. */
    for (u32 i = s->nest_count; i-- > 0;) {
        block_id outer = {s->nests[i].block};
        if (outer.v <= begun && address - s->block_addr[outer.v - 1] < snapshot_block_bytes(s, outer))
            return outer;
    }
    return (block_id){0};
}

u64 snapshot_edge_offset(const struct snapshot *s, block_id source, u32 edge)
{
    u32 begun = BISECT(i, s->edge_far_count, s->edge_far[i].edge <= edge);
    bool far = begun > 0 && s->edge_far[begun - 1].edge >= s->edge_row[source.v - 1];
    u64 high = far ? s->edge_far[begun - 1].high : 0;
    return snapshot_word_offset(snapshot_block_addr(s, source), high << 16 | s->edge_at[edge]);
}

u32 snapshot_edge_into(const struct snapshot *s, u32 edge)
{
    u32 at = BISECT(i, s->edge_into_count, s->edge_into[i].edge < edge);
    bool inside = at < s->edge_into_count && s->edge_into[at].edge == edge;
    return inside ? s->edge_into[at].into : 0;
}

u64 snapshot_root_edge_address(const struct snapshot *s, const struct snapshot_root_edge *edge)
{
    u64 lo = s->roots[edge->root - 1].lo;
    return lo + snapshot_word_offset(lo, edge->at);
}

const char *snapshot_stop_word(enum snapshot_stop stop)
{
    switch (stop) {
#define X(name, code, word)                                                                        \
    case SNAPSHOT_STOP_##name:                                                                     \
        return word;
        SNAPSHOT_STOPS(X)
#undef X
    case SNAPSHOT_STOP_LIMIT:
        break;
    }
    return "unknown";
}

const char *snapshot_root_word(enum snapshot_root_kind kind)
{
    switch (kind) {
#define X(name, code, weak, word)                                                                  \
    case SNAPSHOT_ROOT_##name:                                                                     \
        return word;
        SNAPSHOT_ROOT_KINDS(X)
#undef X
    case SNAPSHOT_ROOT_LIMIT:
        break;
    }
    return "unknown";
}

bool snapshot_root_weak(enum snapshot_root_kind kind)
{
    switch (kind) {
#define X(name, code, weak, word)                                                                  \
    case SNAPSHOT_ROOT_##name:                                                                     \
        return weak;
        SNAPSHOT_ROOT_KINDS(X)
#undef X
    case SNAPSHOT_ROOT_LIMIT:
        break;
    }
    return false;
}

const struct snapshot_thread *snapshot_thread_of(const struct snapshot *s, u32 number)
{
    u32 at = BISECT(i, s->thread_count, s->threads[i].number < number);
    return at < s->thread_count && s->threads[at].number == number ? &s->threads[at] : NULL;
}

const struct snapshot_standing *snapshot_standing_of(const struct snapshot *s, u32 tid)
{
    u32 at = BISECT(i, s->standing_count, s->standing[i].tid < tid);
    return at < s->standing_count && s->standing[at].tid == tid ? &s->standing[at] : NULL;
}

const struct snapshot_call *snapshot_call_at(const struct snapshot *s,
                                             const struct snapshot_standing *t, u64 address)
{
    for (u32 i = 0; t && i < t->call_count; i++) {
        const struct snapshot_call *c = &s->calls[t->first_call + i];
        if (address >= c->lo && address < c->hi)
            return c;
    }
    return NULL;
}

size_t snapshot_frame_text(const struct snapshot *s, frame_id f, char *out, size_t size)
{
    const struct snapshot_frame *frame = &s->frames[f.v - 1];
    const char *name = s->frame_names ? s->names + s->frame_names[f.v - 1] : "";
    if (*name)
        return text_format(out, size, "%s", name);
    if (frame->module) {
        const struct snapshot_module *m = &s->modules[frame->module - 1];
        const char *path = s->strings + m->path;
        const char *slash = strrchr(path, '/');
        return text_format(out, size, "%s+0x%llx", slash ? slash + 1 : path,
                           (unsigned long long)(frame->pc - m->bias));
    }
    return text_format(out, size, "0x%llx", (unsigned long long)frame->pc);
}
