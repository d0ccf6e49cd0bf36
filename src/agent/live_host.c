/* SPDX-License-Identifier: MIT
 *
 * live_host.c - what a script sees of the live process: struct host over the recorder.
 *
 * Context: agent.
 * Invariant: nothing here changes the program's memory; what is read of it may be gone, which
 * gives fewer bytes and never a fault.
 */
#include <string.h>

#include "agent.h"
#include "query/query.h"

static bool list_blocks(struct snapshot_writer *w, const struct freeze_request *r, struct err *e)
{
    if (!snapshot_writer_begin(w, freeze_estimate_bytes()))
        return err_set(e, STATUS_NO_MEMORY, "no address space for a snapshot");
    track_trim();
    if (freeze_list(w, r, e))
        return true;
    snapshot_writer_abandon(w);
    return false;
}

static bool take_image(struct snapshot_writer *w, const struct freeze_request *r,
                       struct freeze_held **held, struct err *e)
{
    struct freeze_report report;
    if (!snapshot_writer_begin(w, freeze_image_estimate_bytes()))
        return err_set(e, STATUS_NO_MEMORY, "no address space for an image");
    track_trim();
    track_collapse();
    if (freeze_image(w, r, &report, e)) {
        *held = report.held;
        return true;
    }
    snapshot_writer_abandon(w);
    return false;
}

struct note {
    char text[2 * sizeof((struct err *)NULL)->text + 80];
};

/* One more line for the notes: what the snapshot is without, and why. */
static void note_without(struct freeze_request *r, struct note *n, const char *what,
                         const struct err *e)
{
    size_t used = strlen(n->text);
    text_format(n->text + used, sizeof n->text - used, "%staken without %s: %s", used ? "\n" : "",
                what, e->text);
    r->note = n->text;
}

/* With references and contents where they can be had; else without, and a note that says why. */
static bool freeze(struct snapshot_writer *w, bool graph, bool contents, struct freeze_held **held,
                   struct err *e)
{
    struct freeze_request request = {.overhead_bytes = agent_books_overhead(),
                                     .allocator_bytes = agent_books_allocator(),
                                     .own_address = (u64)&agent,
                                     .hold_ns = agent.options.contents_ns,
                                     .hold_bytes = agent.options.contents_bytes};
    struct agent_thread_locals locals;
    struct note note = {""};
    if (graph) {
        agent_thread_locals(&locals);
        request.static_tls_bytes = locals.static_bytes;
        request.thread_locals = locals.modules;
        request.thread_local_count = locals.count;
    }
    request.hold = contents && agent_held_room(e);
    if (contents && !request.hold)
        note_without(&request, &note, "contents", e);
    if (graph) {
        if (take_image(w, &request, held, e))
            return true;
        note_without(&request, &note, "references", e);
    }
    if (request.hold && (!graph || e->status == STATUS_UNSUPPORTED)) {
        request.blocks_only = true;
        if (take_image(w, &request, held, e))
            return true;
    }
    if (request.hold)
        note_without(&request, &note, "contents", e);
    return list_blocks(w, &request, e);
}

/* Adds names, and counts the snapshot among what we hold. */
static bool finish(struct agent_live *live, struct snapshot_writer *w, struct snapshot *s,
                   struct err *e)
{
    if (!live->names)
        live->names = agent_names_create();
    char note[AGENT_NOTE_BYTES];
    if (live->names && agent_names_write(live->names, w, agent.options.lines, note) && *note &&
        live->output)
        agent_output_format(live->output, "moonheap: %s\n", note);
    if (!snapshot_writer_finish(w, s, e))
        return false;
    agent_books_adopt(s);
    return true;
}

static bool host_snapshot(void *context, bool graph, struct snapshot *s, struct host_held **held,
                          struct err *e)
{
    struct snapshot_writer w;
    struct freeze_held *kept = NULL;
    if (!freeze(&w, graph, held != NULL, &kept, e))
        return false;
    if (!finish(context, &w, s, e)) {
        if (kept)
            freeze_held_end(kept);
        return false;
    }
    if (kept)
        agent_held_keep(kept);
    if (held)
        *held = (struct host_held *)kept;
    return true;
}

static bool host_read_held(void *context, struct host_held *held, u64 address, void *out,
                           size_t bytes, struct err *e)
{
    (void)context;
    return freeze_held_read((struct freeze_held *)held, address, out, bytes, e);
}

static void host_drop_held(void *context, struct host_held *held)
{
    (void)context;
    agent_held_drop((struct freeze_held *)held);
}

static bool host_stats(void *context, struct host_stats *stats, struct err *e)
{
    struct track_counters c;
    (void)context;
    (void)e;
    track_trim();
    track_counters(&c);
    *stats = (struct host_stats){
        .live_blocks = c.live_blocks,
        .live_bytes = c.live_bytes,
        .peak_bytes = c.peak_bytes,
        .peak_blocks = c.peak_blocks,
        .allocations = c.allocations,
        .frees = c.frees,
        .untracked_frees = c.untracked_frees,
        .lost = c.lost,
        .custom_blocks = c.custom_blocks,
        .custom_bytes = c.custom_bytes,
        .custom_allocations = c.custom_allocations,
        .custom_frees = c.custom_frees,
        .misuses = c.misuses,
        .rss_bytes = agent_books_rss(),
        .allocator_bytes = agent_books_allocator(),
        .overhead_bytes = agent_books_overhead() + c.own_bytes,
    };
    stats->sample_bytes = track_sample_bytes();
    if (stats->sample_bytes) {
        double blocks, bytes;
        track_variances(&blocks, &bytes);
        struct query_sum unseen = query_unseen(stats->sample_bytes);
        stats->live_blocks_error =
            c.live_blocks ? query_error(blocks, (double)c.live_blocks) : unseen.count_error;
        stats->live_bytes_error =
            c.live_bytes ? query_error(bytes, (double)c.live_bytes) : unseen.bytes_error;
    }
    if (c.started_ns)
        stats->started_ns = sys_realtime_ns() - (sys_monotonic_ns() - c.started_ns);
    return true;
}

/* Where nobody can be stopped, those that have allocated. */
static bool host_stand(void *context, struct snapshot *s, struct err *e)
{
    struct freeze_request request = {.overhead_bytes = agent_books_overhead(),
                                     .allocator_bytes = agent_books_allocator(),
                                     .own_address = (u64)&agent,
                                     .threads_only = true};
    struct freeze_held *none = NULL;
    struct snapshot_writer w;
    if (!take_image(&w, &request, &none, e) && !list_blocks(&w, &request, e))
        return false;
    return finish(context, &w, s, e);
}

static bool host_peak(void *context, struct snapshot *s, struct err *e)
{
    struct track_peak peak;
    struct snapshot_writer w;
    if (!track_peak_kept())
        return err_set(e, STATUS_UNSUPPORTED, "the peak is not kept: heap.start{peak=true}, or start "
                                              "the program with MOONHEAP_PEAK=1");
    if (!track_peak_open(&peak))
        return err_set(e, STATUS_NO_MEMORY, "the peak cannot be listed: out of memory");
    struct freeze_request request = {.overhead_bytes = agent_books_overhead(),
                                     .allocator_bytes = agent_books_allocator(),
                                     .peak = &peak};
    bool ok = snapshot_writer_begin(&w, freeze_peak_estimate_bytes(peak.count));
    if (!ok)
        err_set(e, STATUS_NO_MEMORY, "no address space for a snapshot");
    else if (!(ok = freeze_list(&w, &request, e)))
        snapshot_writer_abandon(&w);
    track_peak_close(&peak);
    return ok && finish(context, &w, s, e);
}

static bool host_reset_peak(void *context, struct err *e)
{
    (void)context;
    (void)e;
    track_reset_peak();
    return true;
}

static bool host_record(void *context, const struct option_track *how, u32 stack_limit,
                        bool keep_peak, struct err *e)
{
    (void)context;
    (void)e;
    if (how->mode == TRACK_OFF)
        track_stop();
    else
        track_record(how, stack_limit);
    if (keep_peak)
        track_keep_peak();
    return true;
}

static struct option_track host_recording(void *context)
{
    (void)context;
    return track_recording();
}

static size_t host_read(void *context, u64 address, void *out, size_t bytes)
{
    (void)context;
    return sys_read_memory(address, out, bytes);
}

static void host_every(void *context, u64 ns)
{
    ((struct agent_live *)context)->every_ns = ns;
}

static void host_print(void *context, const char *text, size_t bytes)
{
    struct agent_output *output = ((struct agent_live *)context)->output;
    if (output)
        agent_output_write(output, text, bytes);
}

static bool host_alive(void *context, u64 address, u32 birth)
{
    struct track_block b;
    (void)context;
    return (track_at(address, false, &b) && b.birth == birth) ||
           (track_at(address, true, &b) && b.birth == birth);
}

static const struct catalog *host_catalog(void *context, const u8 *build_id, u32 build_id_bytes)
{
    return agent_catalog(context, build_id, build_id_bytes);
}

void agent_live_host(struct agent_live *live, struct host *host)
{
    *host = (struct host){
        .context = live,
        .live = true,
        .snapshot = host_snapshot,
        .stats = host_stats,
        .stand = host_stand,
        .peak = host_peak,
        .reset_peak = host_reset_peak,
        .record = host_record,
        .recording = host_recording,
        .read = host_read,
        .read_held = host_read_held,
        .drop_held = host_drop_held,
        .every = host_every,
        .print = host_print,
        .alive = host_alive,
        .catalog = host_catalog,
    };
}
