/* SPDX-License-Identifier: MIT
 *
 * report.c - what a snapshot says of the stop: which way was used, and who was missed.
 *
 * Context: frozen, on the thread that asks.
 * Invariant: SNAPSHOT_FLAG_STOPPED is set only when every thread stands.
 */
#include <errno.h>

#include "report.h"

enum { NAMED_IN_NOTES = 4, THREAD_NAME_BYTES = 17 };

static const char *why_refused(const struct stop *s)
{
    if (!s)
        return "out of memory";
    switch (-s->error) {
    case EPERM:
    case EACCES:
        return s->missed ? "ptrace is not permitted, or another tracer is attached, and no thread "
                           "takes our signal"
                         : "ptrace is not permitted, or another tracer is attached, and our signal "
                           "cannot be sent";
    case ETIMEDOUT:
        return "the tracer did not answer in time";
    case EAGAIN:
        return "no process may be made for the tracer";
    default:
        return "no tracer could be started";
    }
}

/* One line of the notes, and the records. */
static void report_missed(struct freeze_job *j, const struct stop *s)
{
    u32 listed = s->missed < STOP_MISSED_LISTED ? s->missed : STOP_MISSED_LISTED;
    struct snapshot_missed *out = snapshot_writer_whole(j->w, SNAPSHOT_MISSED, listed);
    freeze_job_remark(j, "%u threads could not be stopped (", s->missed);
    for (u32 i = 0; out && i < listed; i++) {
        char name[THREAD_NAME_BYTES];
        const struct stop_missed *m = &s->misses[i];
        tasks_name(s, m->tid, name, sizeof name);
        out[i] = (struct snapshot_missed){.tid = (u32)m->tid,
                                          .name = freeze_strings_add(&j->strings, name),
                                          .why = freeze_strings_add(&j->strings, m->why)};
        if (i < NAMED_IN_NOTES)
            freeze_job_remark(j, "%s%s %d %s", i ? ", " : "", name, m->tid, m->why);
    }
    freeze_job_remark(j, "%s): what only they hold may seem lost\n",
                      s->missed > NAMED_IN_NOTES ? ", ..." : "");
}

void report_stop(struct freeze_job *j, const struct stop *s, struct freeze_report *report)
{
    if (s && s->missed)
        report_missed(j, s);
    if (!s || s->phase == STOP_REFUSED) {
        report->way = SNAPSHOT_STOP_NONE;
        report->unstopped = why_refused(s);
        freeze_job_remark(j,
                          "threads were not stopped (%s): what only their registers hold is "
                          "missing, and blocks that moved meanwhile may seem lost\n",
                          report->unstopped);
        return;
    }
    report->way = j->stop = s->signals ? SNAPSHOT_STOP_SIGNALS : SNAPSHOT_STOP_TRACER;
    for (u32 i = 0; i < s->count; i++)
        report->threads += s->threads[i].state == STOP_STOPPED;
    report->missed = s->missed;
    if (s->signals)
        freeze_job_remark(j, "threads were stopped by signals, for ptrace is not permitted or "
                             "another tracer is attached\n");
    if (!s->missed)
        j->flags |= SNAPSHOT_FLAG_STOPPED;
}
