/* SPDX-License-Identifier: MIT
 *
 * writer.c - lays sections one behind another into reserved shared memory.
 *
 * Context: frozen: memory comes from the kernel in one reservation, nothing moves, no lock.
 * Invariant: between two calls the bytes before `used` are a file whose table lists every section
 * begun so far with the count it has so far; only the header's totals wait for the finish.
 *
 * Why one reservation: a pointer that an add returned stays valid while columns are filled side by
 * side, and a cloned child can write what its parent then opens. Untouched room costs address
 * space only, so room is asked for generously and saved files leave it out.
 */
#include <string.h>

#include "base/base.h"
#include "layout.h"

static struct snapshot_header *header(struct snapshot_writer *w)
{
    return (struct snapshot_header *)w->base;
}

static struct snapshot_entry *table(const struct snapshot_writer *w)
{
    return (struct snapshot_entry *)(w->base + sizeof(struct snapshot_header));
}

static struct snapshot_entry *find(const struct snapshot_writer *w, u32 code)
{
    u32 count = ((const struct snapshot_header *)w->base)->section_count;
    for (u32 i = 0; i < count; i++)
        if (table(w)[i].code == code)
            return &table(w)[i];
    return NULL;
}

static bool fail(struct snapshot_writer *w, enum status status)
{
    if (w->status == STATUS_OK)
        w->status = status;
    return false;
}

/* Moves the end of the file on by so many bytes. */
static bool grow(struct snapshot_writer *w, u64 count, u64 record_bytes)
{
    u64 left = w->reserved - w->used;
    if (count > left / record_bytes)
        return fail(w, STATUS_LIMIT);
    w->used += count * record_bytes;
    return true;
}

static struct snapshot_entry *begin_section(struct snapshot_writer *w, u32 code)
{
    w->open = 0;
    if (w->status != STATUS_OK)
        return NULL;
    u32 record = snapshot_record_bytes(code);
    u64 start = ROUND_UP(w->used, (u64)SNAPSHOT_ALIGN);
    if (!record || find(w, code) || header(w)->section_count == SNAPSHOT_TABLE_LIMIT) {
        fail(w, STATUS_USAGE);
        return NULL;
    }
    if (start > w->reserved) {
        fail(w, STATUS_LIMIT);
        return NULL;
    }
    w->used = start;
    struct snapshot_entry *entry = &table(w)[header(w)->section_count++];
    *entry = (struct snapshot_entry){.code = code, .record_bytes = record, .offset = start};
    return entry;
}

bool snapshot_writer_begin(struct snapshot_writer *w, u64 reserve)
{
    u64 table_end =
        sizeof(struct snapshot_header) + SNAPSHOT_TABLE_LIMIT * sizeof(struct snapshot_entry);
    *w = (struct snapshot_writer){0};
    if (reserve < PAGE_BYTES)
        reserve = PAGE_BYTES;
    reserve = ROUND_UP(reserve, PAGE_BYTES);
    w->base = sys_map_shared(reserve);
    if (!w->base)
        return fail(w, STATUS_NO_MEMORY);
    w->reserved = reserve;
    w->used = ROUND_UP(table_end, (u64)SNAPSHOT_ALIGN);
    return true;
}

void snapshot_writer_section(struct snapshot_writer *w, enum snapshot_section kind)
{
    if (begin_section(w, kind))
        w->open = kind;
}

void *snapshot_writer_add(struct snapshot_writer *w, u64 count)
{
    if (w->status != STATUS_OK)
        return NULL;
    struct snapshot_entry *entry = w->open ? find(w, w->open) : NULL;
    if (!entry) {
        fail(w, STATUS_USAGE);
        return NULL;
    }
    u64 at = w->used;
    if (!grow(w, count, entry->record_bytes))
        return NULL;
    entry->count += count;
    return w->base + at;
}

void *snapshot_writer_whole(struct snapshot_writer *w, enum snapshot_section kind, u64 count)
{
    struct snapshot_entry *entry = begin_section(w, kind);
    if (!entry || !grow(w, count, entry->record_bytes))
        return NULL;
    entry->count = count;
    return w->base + entry->offset;
}

void snapshot_writer_trim(struct snapshot_writer *w, enum snapshot_section kind, u64 count)
{
    if (w->status != STATUS_OK)
        return;
    struct snapshot_entry *entry = find(w, kind);
    if (!entry || count > entry->count)
        fail(w, STATUS_USAGE);
    else
        entry->count = count;
}

void *snapshot_writer_written(const struct snapshot_writer *w, enum snapshot_section kind,
                              u64 *count)
{
    const struct snapshot_entry *entry = w->status == STATUS_OK ? find(w, kind) : NULL;
    *count = entry ? entry->count : 0;
    return entry ? w->base + entry->offset : NULL;
}

static void release_mapping(struct snapshot *s)
{
    sys_unmap((void *)(uintptr_t)s->bytes, ROUND_UP(s->size, PAGE_BYTES));
}

bool snapshot_writer_finish(struct snapshot_writer *w, struct snapshot *s, struct err *e)
{
    if (w->status != STATUS_OK) {
        if (w->status == STATUS_LIMIT)
            err_set(e, w->status, "the snapshot needs more than the %llu bytes set aside for it",
                    (unsigned long long)w->reserved);
        else
            err_set(e, w->status, "the snapshot could not be written: %s", err_word(w->status));
        snapshot_writer_abandon(w);
        return false;
    }
    struct snapshot_header *h = header(w);
    memcpy(h->magic, SNAPSHOT_MAGIC, sizeof h->magic);
    h->version = SNAPSHOT_VERSION;
    h->byte_order = SNAPSHOT_BYTE_ORDER;
    h->pointer_bytes = sizeof(void *);
    h->file_bytes = w->used;

    u64 kept = ROUND_UP(w->used, PAGE_BYTES);
    if (kept < w->reserved)
        sys_unmap(w->base + kept, w->reserved - kept);
    w->reserved = kept;
    if (!snapshot_open_memory(s, w->base, w->used, release_mapping, e)) {
        snapshot_writer_abandon(w);
        return false;
    }
    *w = (struct snapshot_writer){0};
    return true;
}

void snapshot_writer_abandon(struct snapshot_writer *w)
{
    if (w->base)
        sys_unmap(w->base, w->reserved);
    *w = (struct snapshot_writer){0};
}
