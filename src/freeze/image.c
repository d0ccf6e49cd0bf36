/* SPDX-License-Identifier: MIT
 *
 * image.c - a snapshot with references, of one moment.
 *
 * Context: frozen, on the thread that asks; what follows clone_begin in the clone.
 * Invariant: when freeze_image returns, all threads run, there is neither tracer nor clone (but for
 * one that was asked to hold its memory), and the program was told of neither.
 *
 * The order: what can be asked beforehand is; the threads are stopped; the process is cloned, which
 * copies its page tables and nothing else; the threads go on. The clone then does in its own time
 * what a debugger would do while the program stands: its copy of the memory does not change.
 */
#include <errno.h>
#include <string.h>

#include "clone.h"
#include "held.h"
#include "report.h"
#include "scan.h"
#include "standing.h"

#define PATIENCE_NS 120000000000ull

/* --- in the clone -------------------------------------------------------------------------- */

static bool write_image(struct freeze_job *j, const struct stop *stop,
                        const struct freeze_request *r, u64 memory_bytes)
{
    struct track_counters c;
    track_counters(&c);
    if (!r->threads_only && !freeze_blocks(j))
        return false;
    struct regions *regions = regions_read(&j->strings);
    if (!regions)
        return false;
    clone_seal();
    bool ok = (!stop || standing_walk(j, regions, stop)) && freeze_stacks(j) &&
              (r->threads_only  ? true
               : r->blocks_only ? freeze_vtables(j)
                                : scan_references(j, regions, stop, r, memory_bytes));
    regions_free(regions);
    if (ok)
        freeze_job_finish(j, r, &c);
    return ok;
}

static void run_clone(struct freeze_job *j, const struct stop *stop,
                      const struct freeze_request *r, u64 memory_bytes,
                      struct clone_shared *shared, struct freeze_held *held)
{
    shared->ok = write_image(j, stop, r, memory_bytes);
    if (!shared->ok)
        freeze_job_failed(j->w, &shared->e);
    shared->writer = *j->w;
    shared->stays = shared->ok && held;
    clone_finish(shared);
    held_serve(held);
}

/* --- around the stop ----------------------------------------------------------------------- */

static bool failed_to_clone(int error, struct err *e)
{
    switch (-error) {
    case ENOMEM:
        return err_set(e, STATUS_NO_MEMORY, "the process cannot be cloned: out of memory");
    case EAGAIN:
        return err_set(e, STATUS_LIMIT,
                       "the process cannot be cloned: there are too many processes "
                       "(RLIMIT_NPROC, or pids.max of its control group)");
    default:
        return err_set(e, STATUS_DENIED, "the process cannot be cloned: not permitted (%d)",
                       -error);
    }
}

/* The moment itself. The clone does not return. */
static int take(struct freeze_job *j, const struct freeze_request *r, u64 memory_bytes,
                struct clone_shared *shared, struct freeze_held *held,
                struct freeze_report *report)
{
    struct stop *s = stop_begin((int)j->process->pid);
    struct stop *stood = s && s->phase == STOP_HELD ? s : NULL;
    j->epoch = track_epoch_advance();
    j->now_ns = sys_monotonic_ns();
    j->meta->realtime_ns = sys_realtime_ns();
    /* Threads that run on make blocks until the very moment: those of one more epoch are taken. */
    j->epoch += stood == NULL;
    report_stop(j, s, report);
    int pid = clone_begin(stood);
    if (pid == 0)
        run_clone(j, stood, r, memory_bytes, shared, held);
    if (!stood)
        track_epoch_advance();
    if (s) {
        report->slipped = !stop_end(s) && stood;
        report->pause_ns = stood ? s->ended_ns - s->began_ns : 0;
        stop_free(s);
    }
    return pid;
}

static bool take_and_await(struct freeze_job *j, const struct freeze_request *r,
                           struct freeze_report *report, struct err *e)
{
    u64 room = r->memory_bytes ? r->memory_bytes : memory_room();
    struct clone_shared *shared = sys_map_shared(ROUND_UP(sizeof *shared, PAGE_BYTES));
    struct freeze_held *held = r->hold ? held_create(r, room) : NULL;
    bool ok = false, late = false;
    int pid = 0;
    if (shared && (held || !r->hold))
        pid = take(j, r, room, shared, held, report);
    if (pid == 0) {
        freeze_job_failed(j->w, e);
    } else if (pid < 0) {
        failed_to_clone(pid, e);
    } else {
        u64 patience = r->patience_ns ? r->patience_ns : PATIENCE_NS;
        ok = clone_await(pid, shared, patience, &late);
        if (ok)
            *j->w = shared->writer;
        else if (late)
            err_set(e, STATUS_TIMEOUT, "the clone of the process was not ready within %llu s",
                    (unsigned long long)(patience / 1000000000));
        else if (shared->done)
            err_set(e, shared->e.status, "%s", shared->e.text);
        else
            err_set(e, STATUS_IO, "the clone of the process was killed");
    }
    if (held && ok) {
        held_began(held, pid);
        report->held = held;
    } else if (held) {
        held_free(held);
    }
    if (shared)
        sys_unmap(shared, ROUND_UP(sizeof *shared, PAGE_BYTES));
    return ok;
}

bool freeze_image(struct snapshot_writer *w, const struct freeze_request *r,
                  struct freeze_report *report, struct err *e)
{
    struct freeze_job j;
    *report = (struct freeze_report){0};
    bool graph = !r->blocks_only && !r->threads_only;
    if (track_sample_bytes() && graph)
        return err_set(e, STATUS_UNSUPPORTED,
                       "references need every block to be recorded (MOONHEAP_TRACK=full)");
    bool ok = freeze_job_begin(&j, w);
    if (!ok) {
        freeze_job_failed(w, e);
    } else {
        j.flags = graph ? SNAPSHOT_FLAG_GRAPH : 0;
        ok = take_and_await(&j, r, report, e);
    }
    if (ok && report->slipped) { /* while the page tables were copied, which may take very long */
        j.meta->flags &= ~(u64)SNAPSHOT_FLAG_STOPPED;
        j.meta->stop = SNAPSHOT_STOP_NONE;
    }
    if (ok) {
        j.meta->pause_ns = report->pause_ns;
        j.meta->build_ns = sys_monotonic_ns() - j.now_ns;
    }
    freeze_job_end(&j);
    return ok;
}

u64 freeze_image_estimate_bytes(void)
{
    struct track_counters c;
    track_counters(&c);
    struct freeze_process *p = sys_map(ROUND_UP(sizeof *p, PAGE_BYTES));
    u64 rss = 0;
    if (p) {
        freeze_process_read(p);
        rss = p->rss_bytes;
        sys_unmap(p, ROUND_UP(sizeof *p, PAGE_BYTES));
    }
    /* Both may grow by half until the moment comes. */
    return freeze_estimate_bytes() + freeze_blocks_room() * sizeof(u32) +
           scan_estimate_bytes((c.live_bytes + c.custom_bytes) / 2 * 3, rss + rss / 2 + (64 << 20));
}
