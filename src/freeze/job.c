/* SPDX-License-Identifier: MIT
 *
 * job.c - the frame of every snapshot: its books and notes around what the other files write.
 *
 * Context: frozen.
 * Invariant: what only the process itself can be asked (its own id, threads that live, what it has
 * in memory) is asked in freeze_job_begin, since the rest may run in a clone of it.
 */
#include "job.h"

bool freeze_job_begin(struct freeze_job *j, struct snapshot_writer *w)
{
    *j = (struct freeze_job){.w = w, .tid = sys_gettid()};
    j->process = sys_map(ROUND_UP(sizeof *j->process, PAGE_BYTES));
    j->meta = snapshot_writer_whole(w, SNAPSHOT_META, 1);
    if (!j->process || !j->meta || !freeze_strings_begin(&j->strings, w) ||
        !freeze_modules_begin(j) || !freeze_threads(j))
        return false;
    freeze_process_read(j->process);
    return true;
}

void freeze_job_remark(struct freeze_job *j, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    j->remark_bytes += (u32)text_format_va(j->remarks + j->remark_bytes,
                                           sizeof j->remarks - j->remark_bytes, format, args);
    va_end(args);
}

void freeze_job_finish(struct freeze_job *j, const struct freeze_request *r,
                       const struct track_counters *c)
{
    struct snapshot_meta *m = j->meta;
    m->pid = j->process->pid;
    m->monotonic_ns = j->now_ns;
    m->epoch = j->epoch;
    m->sample_bytes = track_sample_bytes();
    m->flags = j->flags | (m->sample_bytes ? SNAPSHOT_FLAG_SAMPLED : 0);
    m->stop = j->stop;
    m->allocations = c->allocations;
    m->frees = c->frees;
    m->untracked_frees = c->untracked_frees;
    m->lost = c->lost;
    m->cut_stacks = c->cut_stacks;
    m->live_blocks = c->live_blocks;
    m->live_bytes = c->live_bytes;
    m->peak_blocks = c->peak_blocks;
    m->peak_bytes = c->peak_bytes;
    m->rss_bytes = j->process->rss_bytes;
    m->allocator_bytes = r->allocator_bytes;
    m->overhead_bytes = r->overhead_bytes + c->own_bytes;
    m->process_start = j->process->start;
    m->exe = freeze_strings_add(&j->strings, j->process->exe);
    m->allocator = freeze_strings_add(&j->strings, track_allocator());

    struct snapshot_custom *custom =
        c->custom_allocations ? snapshot_writer_whole(j->w, SNAPSHOT_CUSTOM, 1) : NULL;
    if (custom)
        *custom = (struct snapshot_custom){c->custom_blocks, c->custom_bytes,
                                           c->custom_allocations, c->custom_frees, c->misuses};

    struct snapshot_recording *recording = snapshot_writer_whole(j->w, SNAPSHOT_RECORDING, 1);
    if (recording)
        *recording = (struct snapshot_recording){c->recording, c->started_ns};

    if (track_recording().mode == TRACK_OFF)
        freeze_job_remark(j, "nothing is recorded (heap.stop, or MOONHEAP_TRACK=off): heap.start "
                             "begins\n");
    if (c->lost)
        freeze_job_remark(j, "%llu blocks could not be recorded\n", (unsigned long long)c->lost);
    if (j->blocks.cut)
        freeze_job_remark(j, "only the first %u blocks are listed\n", j->blocks.count);
    if (j->unreadable)
        freeze_job_remark(j, "C++ types unknown: the kernel refuses reading memory "
                             "(process_vm_readv)\n");
    if (r->note)
        freeze_job_remark(j, "%s\n", r->note);
    m->notes = freeze_strings_add(&j->strings, j->remarks);
    freeze_strings_end(&j->strings, j->w);
    m->build_ns = sys_monotonic_ns() - j->now_ns;
}

void freeze_job_end(struct freeze_job *j)
{
    freeze_modules_end(&j->modules);
    freeze_blocks_end(&j->blocks);
    freeze_marks_end(j);
    if (j->walked)
        sys_unmap(j->walked, FREEZE_CALLS_ROOM * sizeof *j->walked);
    if (j->process)
        sys_unmap(j->process, ROUND_UP(sizeof *j->process, PAGE_BYTES));
}

bool freeze_job_failed(const struct snapshot_writer *w, struct err *e)
{
    if (w->status == STATUS_LIMIT)
        return err_set(e, STATUS_LIMIT, "the snapshot needs more than the %llu bytes set aside",
                       (unsigned long long)w->reserved);
    return err_set(e, STATUS_NO_MEMORY, "out of memory while taking a snapshot");
}
