/* SPDX-License-Identifier: MIT
 *
 * places.c - MODULES and THREADS, and which module an address is in.
 *
 * Context: frozen.
 * Invariant: order[] lists the modules by where they begin and reach[] the furthest end so far, so
 * that a search backwards may stop as soon as nothing earlier reaches the address: modules that
 * were unloaded may overlap those that took their place.
 */
#include <string.h>

#include "job.h"

/* Shell's sort with Ciura's gaps (2001): in place, short, and fast for a few thousand. */
static void sort_by_lo(u32 *order, u32 count, const struct snapshot_module *records)
{
    static const u32 gaps[] = {8858, 3937, 1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (u32 g = 0; g < COUNT_OF(gaps); g++) {
        for (u32 i = gaps[g]; i < count; i++) {
            u32 moving = order[i], k = i;
            for (; k >= gaps[g] && records[order[k - gaps[g]]].lo > records[moving].lo;
                 k -= gaps[g])
                order[k] = order[k - gaps[g]];
            order[k] = moving;
        }
    }
}

bool freeze_modules_begin(struct freeze_job *j)
{
    struct freeze_modules *m = &j->modules;
    u32 known = track_modules_refresh();
    struct snapshot_module *records = snapshot_writer_whole(j->w, SNAPSHOT_MODULES, known);
    m->scratch_bytes = ROUND_UP(known * (sizeof(u32) + sizeof(u64)) + 1, PAGE_BYTES);
    m->reach = records ? sys_map(m->scratch_bytes) : NULL;
    if (!m->reach)
        return false;
    m->order = (u32 *)(m->reach + known);
    m->records = records;

    for (u32 i = 0; i < known; i++) {
        const struct track_module *from = track_module(i);
        if (from->lo >= from->hi) /* its place was taken and not used */
            continue;
        struct snapshot_module *to = &records[m->count];
        to->lo = from->lo;
        to->hi = from->hi;
        to->bias = from->bias;
        to->path = freeze_strings_add(&j->strings, from->path);
        to->incarnation = from->incarnation;
        to->gone = from->gone;
        to->build_id_bytes = from->build_id_bytes;
        memcpy(to->build_id, from->build_id, sizeof to->build_id);
        m->order[m->count] = m->count;
        m->count++;
    }
    snapshot_writer_trim(j->w, SNAPSHOT_MODULES, m->count);
    sort_by_lo(m->order, m->count, records);
    u64 furthest = 0;
    for (u32 i = 0; i < m->count; i++) {
        const struct snapshot_module *r = &records[m->order[i]];
        furthest = r->hi > furthest ? r->hi : furthest;
        m->reach[i] = furthest;
    }
    return true;
}

void freeze_modules_end(struct freeze_modules *m)
{
    if (m->reach)
        sys_unmap(m->reach, m->scratch_bytes);
}

/* How many modules begin at or below the address. */
static u32 begun(const struct freeze_modules *m, u64 address)
{
    return BISECT(i, m->count, m->records[m->order[i]].lo <= address);
}

u32 freeze_modules_find(const struct freeze_modules *m, u64 pc, u32 incarnation)
{
    for (u32 i = begun(m, pc); i > 0 && m->reach[i - 1] > pc; i--) {
        const struct snapshot_module *r = &m->records[m->order[i - 1]];
        if (pc < r->hi && r->incarnation == incarnation)
            return m->order[i - 1] + 1;
    }
    return 0;
}

u32 freeze_modules_now(const struct freeze_modules *m, u64 address)
{
    for (u32 i = begun(m, address); i > 0 && m->reach[i - 1] > address; i--) {
        const struct snapshot_module *r = &m->records[m->order[i - 1]];
        if (address < r->hi && !r->gone)
            return m->order[i - 1] + 1;
    }
    return 0;
}

const struct snapshot_thread *freeze_thread_of(const struct freeze_job *j, int tid)
{
    u64 count;
    const struct snapshot_thread *t = snapshot_writer_written(j->w, SNAPSHOT_THREADS, &count);
    for (u64 i = 0; i < count; i++)
        if (t[i].alive && (int)t[i].tid == tid)
            return &t[i];
    return NULL;
}

bool freeze_threads(struct freeze_job *j)
{
    u64 scratch_bytes = ROUND_UP(FREEZE_THREADS_ROOM * sizeof(struct track_thread), PAGE_BYTES);
    struct track_thread *threads = sys_map(scratch_bytes);
    if (!threads)
        return false;
    u32 known = track_threads(threads, FREEZE_THREADS_ROOM), count = 0;
    if (known > FREEZE_THREADS_ROOM)
        known = FREEZE_THREADS_ROOM;
    struct snapshot_thread *out = snapshot_writer_whole(j->w, SNAPSHOT_THREADS, known);
    for (u32 i = 0; out && i < known; i++) {
        /* Beyond the highest number that a record can hold, threads share that number. */
        if (threads[i].number == 0 || (count && threads[i].number <= out[count - 1].number))
            continue;
        out[count++] = (struct snapshot_thread){
            .number = threads[i].number,
            .tid = (u32)threads[i].tid,
            .name = freeze_strings_add(&j->strings, threads[i].name),
            .alive = threads[i].alive,
        };
    }
    snapshot_writer_trim(j->w, SNAPSHOT_THREADS, count);
    sys_unmap(threads, scratch_bytes);
    return out != NULL;
}
