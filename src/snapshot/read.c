/* SPDX-License-Identifier: MIT
 *
 * read.c - questions about one block, thread or frame of an accepted snapshot.
 *
 * Context: pure.
 * Invariant: the view has been checked, so ids from 1 to the counts need no check here.
 */
#include <string.h>

#include "base/base.h"
#include "snapshot.h"

u64 snapshot_block_bytes(const struct snapshot *s, block_id b)
{
    u32 size = s->block_size[b.v - 1];
    if (LIKELY(size != UINT32_MAX))
        return size;
    u32 lo = 0, hi = s->big_size_count;
    while (hi - lo > 1) {
        u32 mid = lo + (hi - lo) / 2;
        if (s->big_sizes[mid].block <= b.v)
            lo = mid;
        else
            hi = mid;
    }
    return s->big_sizes[lo].size;
}

u64 snapshot_block_age_ns(const struct snapshot *s, block_id b)
{
    return s->epoch_age_ns[s->block_birth[b.v - 1]];
}

block_id snapshot_block_at(const struct snapshot *s, u64 address)
{
    /* lo = how many blocks begin at or below the address. */
    u32 lo = 0, hi = s->block_count;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (s->block_addr[mid] <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return (block_id){0};
    block_id found = {lo};
    u64 offset = address - s->block_addr[lo - 1];
    return offset == 0 || offset < snapshot_block_bytes(s, found) ? found : (block_id){0};
}

const struct snapshot_thread *snapshot_thread_of(const struct snapshot *s, u32 number)
{
    u32 lo = 0, hi = s->thread_count;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (s->threads[mid].number == number)
            return &s->threads[mid];
        if (s->threads[mid].number < number)
            lo = mid + 1;
        else
            hi = mid;
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
