/* SPDX-License-Identifier: MIT
 *
 * list.c - the live blocks and all that is known of them, without stopping anyone.
 *
 * Context: frozen in what it may call, though threads run on.
 * Invariant: blocks born after the call began are not in the snapshot, so what the listing itself
 * sets going is not either, and the program cannot outrun it.
 */
#include "job.h"

static void write_meta(struct freeze_job *j, struct snapshot_meta *m,
                       const struct freeze_request *r, const struct freeze_process *p)
{
    struct track_counters c;
    track_counters(&c);
    m->pid = (u64)sys_getpid();
    m->monotonic_ns = j->now_ns;
    m->epoch = j->epoch;
    m->sample_bytes = track_sample_bytes();
    m->flags = m->sample_bytes ? SNAPSHOT_FLAG_SAMPLED : 0;
    m->allocations = c.allocations;
    m->frees = c.frees;
    m->untracked_frees = c.untracked_frees;
    m->lost = c.lost;
    m->cut_stacks = c.cut_stacks;
    m->live_blocks = c.live_blocks;
    m->live_bytes = c.live_bytes;
    m->peak_blocks = c.peak_blocks;
    m->peak_bytes = c.peak_bytes;
    m->rss_bytes = p->rss_bytes;
    m->allocator_bytes = r->allocator_bytes;
    m->overhead_bytes = r->overhead_bytes + c.own_bytes;
    m->process_start = p->start;
    m->exe = freeze_strings_add(&j->strings, p->exe);
    m->allocator = freeze_strings_add(&j->strings, track_allocator());

    char notes[400];
    size_t n = 0;
    notes[0] = '\0';
    if (c.lost)
        n += text_format(notes + n, sizeof notes - n, "%llu blocks could not be recorded\n",
                         (unsigned long long)c.lost);
    if (j->blocks.cut)
        n += text_format(notes + n, sizeof notes - n, "only the first %u blocks are listed\n",
                         j->blocks.count);
    if (j->unreadable)
        n += text_format(notes + n, sizeof notes - n,
                         "C++ types unknown: the kernel refuses reading memory "
                         "(process_vm_readv)\n");
    if (r->note)
        n += text_format(notes + n, sizeof notes - n, "%s\n", r->note);
    m->notes = freeze_strings_add(&j->strings, notes);
}

static bool write_sections(struct freeze_job *j, const struct freeze_request *r,
                           struct freeze_process *p)
{
    struct snapshot_meta *meta = snapshot_writer_whole(j->w, SNAPSHOT_META, 1);
    if (!meta || !freeze_strings_begin(&j->strings, j->w) || !freeze_modules_begin(j) ||
        !freeze_threads(j))
        return false;
    j->epoch = track_epoch_advance();
    j->now_ns = sys_monotonic_ns();
    meta->realtime_ns = sys_realtime_ns();
    if (!freeze_blocks(j) || !freeze_stacks(j) || !freeze_vtables(j))
        return false;
    freeze_process_read(p);
    write_meta(j, meta, r, p);
    freeze_strings_end(&j->strings, j->w);
    meta->build_ns = sys_monotonic_ns() - j->now_ns;
    return true;
}

bool freeze_list(struct snapshot_writer *w, const struct freeze_request *r, struct err *e)
{
    struct freeze_job j = {.w = w};
    struct freeze_process *p = sys_map(ROUND_UP(sizeof *p, PAGE_BYTES));
    bool ok = p && write_sections(&j, r, p);
    freeze_modules_end(&j.modules);
    if (p)
        sys_unmap(p, ROUND_UP(sizeof *p, PAGE_BYTES));
    if (ok)
        return true;
    if (w->status == STATUS_LIMIT)
        return err_set(e, STATUS_LIMIT, "the snapshot needs more than the %llu bytes set aside",
                       (unsigned long long)w->reserved);
    return err_set(e, STATUS_NO_MEMORY, "out of memory while taking a snapshot");
}

u64 freeze_estimate_bytes(void)
{
    u64 nodes = track_node_count();
    u64 per_block = sizeof(u64) + 4 * sizeof(u32) + sizeof(u16);
    u64 per_node = sizeof(struct snapshot_frame) + sizeof(struct snapshot_stack);
    u64 fixed = FREEZE_STRINGS_ROOM + FREEZE_VTABLES_ROOM * sizeof(struct snapshot_vtable) +
                FREEZE_BIG_ROOM * sizeof(struct snapshot_big_size) + (8u << 20);
    /* Both move on until the listing begins; names of functions come on top. */
    u64 blocks = 2 * (u64)freeze_blocks_room();
    u64 names = 200 * (nodes < (1u << 22) ? nodes : 1u << 22) + FREEZE_STRINGS_ROOM;
    return blocks * per_block + (2 * nodes + (1u << 20)) * per_node + names + fixed;
}
