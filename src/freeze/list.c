/* SPDX-License-Identifier: MIT
 *
 * list.c - the live blocks and all that is known of them, without stopping anyone.
 *
 * Context: frozen in what it may call, though threads run on.
 * Invariant: blocks born after the call began are not in the snapshot, so what the listing itself
 * sets going is not either, and the program cannot outrun it.
 */
#include "job.h"

static void begin_now(struct freeze_job *j)
{
    j->epoch = track_epoch_advance();
    j->now_ns = sys_monotonic_ns();
    j->meta->realtime_ns = sys_realtime_ns();
}

static void begin_at_peak(struct freeze_job *j, const struct track_peak *peak)
{
    j->peak = peak;
    j->epoch = peak->epoch;
    j->now_ns = peak->ns;
    j->flags |= SNAPSHOT_FLAG_PEAK;
    j->meta->realtime_ns = sys_realtime_ns() - (sys_monotonic_ns() - peak->ns);
}

/* What the blocks of a peak begin with is not known: they are gone, or others by now. */
static bool write_sections(struct freeze_job *j, const struct freeze_request *r)
{
    if (r->peak)
        begin_at_peak(j, r->peak);
    else
        begin_now(j);
    if (!freeze_blocks(j) || !freeze_stacks(j) || (!r->peak && !freeze_vtables(j)))
        return false;
    struct track_counters c;
    track_counters(&c);
    if (r->peak) {
        c.live_blocks = c.peak_blocks;
        c.live_bytes = c.peak_bytes;
    }
    freeze_job_finish(j, r, &c);
    return true;
}

bool freeze_list(struct snapshot_writer *w, const struct freeze_request *r, struct err *e)
{
    struct freeze_job j;
    bool ok = freeze_job_begin(&j, w) && write_sections(&j, r);
    freeze_job_end(&j);
    return ok || freeze_job_failed(w, e);
}

static u64 estimate_bytes(u64 blocks)
{
    u64 nodes = track_node_count();
    u64 per_block = sizeof(u64) + 4 * sizeof(u32) + 2 * sizeof(u16) + sizeof(struct snapshot_nest);
    u64 per_node = sizeof(struct snapshot_frame) + sizeof(struct snapshot_stack);
    u64 fixed = FREEZE_STRINGS_ROOM + FREEZE_VTABLES_ROOM * sizeof(struct snapshot_vtable) +
                FREEZE_BIG_ROOM * sizeof(struct snapshot_big_size) +
                FREEZE_CALLS_ROOM * sizeof(struct snapshot_call) + (8u << 20);
    /* Both move on until the listing begins; names of functions come on top. */
    u64 names = 400 * (nodes < (1u << 22) ? nodes : 1u << 22) + FREEZE_STRINGS_ROOM;
    return 2 * blocks * per_block + (2 * nodes + (1u << 20)) * per_node + names + fixed;
}

u64 freeze_estimate_bytes(void)
{
    return estimate_bytes(freeze_blocks_room());
}

u64 freeze_peak_estimate_bytes(u64 blocks)
{
    return estimate_bytes(blocks + 1);
}
