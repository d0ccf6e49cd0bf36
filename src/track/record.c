/* SPDX-License-Identifier: MIT
 *
 * record.c - switching the recorder, and what it counted.
 *
 * Context: hot for record_special_word; the rest agent.
 */
#include <string.h>
#include <time.h>

#include "custom.h"
#include "marks.h"
#include "modules.h"
#include "next.h"
#include "record.h"
#include "trie.h"

u8 record_state;
u64 record_sample_bytes;
u8 record_special;
static bool tags_used;
static u64 started_ns, recording;

NOINLINE u64 record_special_word(struct thread *t, u64 address, u64 size,
                                 const struct walk_origin *origin)
{
    u64 word = record_word(t, address, size, origin);
    return index_with_stack(word, marks_tagged(t, index_stack(word)));
}

/* What a sampled block stands for is counted, in the units of sample.h. */
static void count_sampled(struct thread *t, i64 sign, u64 size)
{
    record_count(t, sign * (i64)sample_blocks_for(size, record_sample_bytes),
                 sign * (i64)sample_bytes_for(size, record_sample_bytes));
}

static void put_sampled(struct thread *t, const void *p, struct index_record r)
{
    if (!blocks_put((u64)p, r)) {
        POKE(&t->lost, t->lost + 1);
        return;
    }
    sample_add(p);
    count_sampled(t, 1, r.size);
}

NOINLINE void record_put_otherwise(struct thread *t, u64 address, struct index_record r)
{
    if (blocks_put(address, r))
        record_count(t, 1, (i64)r.size);
    else
        POKE(&t->lost, t->lost + 1);
}

NOINLINE void record_special_birth(struct thread *t, const void *p, u64 size,
                                   const struct walk_origin *origin)
{
    struct index_record r = {record_special_word(t, (u64)p, size, origin), size};
    if (record_sample_bytes)
        put_sampled(t, p, r);
    else
        record_put(t, (u64)p, r);
}

NOINLINE bool record_special_death(struct thread *t, const void *p, struct index_record *r)
{
    if (!record_sample_bytes)
        return record_death(t, p, r);
    POKE(&t->frees, t->frees + 1);
    if (sample_lacks(p))
        return false;
    *r = record_take(t, p);
    if (!r->word)
        return false;
    sample_remove(p);
    if (peak_had(r->word))
        peak_log(t, (u64)p, *r);
    count_sampled(t, -1, r->size);
    return true;
}

NOINLINE void record_undo_death(struct thread *t, const void *p, struct index_record r)
{
    POKE(&t->frees, t->frees - 1);
    if (peak_had(r.word))
        peak_unlog(t, r);
    if (record_sample_bytes)
        put_sampled(t, p, r);
    else if (blocks_put((u64)p, r))
        record_count(t, 1, (i64)r.size);
}

void record_use_tags(void)
{
    POKE(&tags_used, true);
    POKE(&record_special, 1);
}

bool record_prepare(void)
{
    return epoch_start() && frames_start() && trie_start();
}

static void begin(const struct option_track *how)
{
    bool off = how->mode == TRACK_OFF || !record_prepare();
    blocks_clear();
    if (custom_told())
        index_clear(&index_custom);
    peak_begin(false, 0);
    thread_reset_counters();
    started_ns = sys_monotonic_ns();
    recording++;
    POKE(&record_sample_bytes, how->mode == TRACK_SAMPLE ? how->sample_bytes : 0);
    POKE(&record_special, record_sample_bytes != 0 || PEEK(&tags_used));
    if (record_sample_bytes)
        sample_begin(record_sample_bytes);
    if (off)
        next_leave_alone(thread_any_private());
    RELEASE(&record_state, off                       ? RECORD_OFF
                           : how->mode == TRACK_FULL ? RECORD_ON
                                                     : RECORD_SAMPLED);
}

static void set_limit(u32 stack_limit)
{
    if (stack_limit >= 1 && stack_limit <= STACK_LIMIT_MAX)
        walk_limit = stack_limit;
}

void track_start(const struct options *o)
{
    if (record_state != RECORD_UNDECIDED)
        return;
    set_limit(o->stack);
    next_resolve();
    blocks_start(track_allocator()[0] == 0);
    begin(&o->track);
    if (o->peak)
        track_keep_peak();
}

/* Threads that were in the recorder when the state changed have left it. One that had seen the old
 * state but was not yet inside is let in, too: it is a few instructions away. */
static void let_out(void)
{
    enum { PATIENCE_MS = 100 };
    struct timespec millisecond = {.tv_nsec = 1000000};
    sys_call(SYS_nanosleep, &millisecond, 0, 0);
    for (u32 i = 0; i < PATIENCE_MS && thread_any_inside(); i++)
        sys_call(SYS_nanosleep, &millisecond, 0, 0);
}

void track_record(const struct option_track *how, u32 stack_limit)
{
    POKE(&record_state, RECORD_OFF);
    next_ask();
    let_out();
    set_limit(stack_limit);
    begin(how);
}

void track_stop(void)
{
    track_record(&(struct option_track){.mode = TRACK_OFF}, 0);
}

struct option_track track_recording(void)
{
    enum track_mode mode = PEEK(&record_state) < RECORD_ON ? TRACK_OFF
                           : PEEK(&record_sample_bytes)     ? TRACK_SAMPLE
                                                            : TRACK_FULL;
    return (struct option_track){mode, PEEK(&record_sample_bytes)};
}

void track_keep_peak(void)
{
    peak_begin(true, thread_flushed_bytes());
}

u64 track_sample_bytes(void)
{
    return PEEK(&record_sample_bytes);
}

void track_after_fork(void)
{
    thread_after_fork();
    frames_after_fork();
    trie_after_fork();
    peak_after_fork();
    trim_after_fork();
}

/* Of 256ths of blocks. */
static void for_blocks(struct track_counters *c)
{
    u64 half = 1ul << (SAMPLE_BLOCK_SHIFT - 1);
    c->live_blocks = (c->live_blocks + half) >> SAMPLE_BLOCK_SHIFT;
    c->peak_blocks = (c->peak_blocks + half) >> SAMPLE_BLOCK_SHIFT;
    c->custom_blocks = (c->custom_blocks + half) >> SAMPLE_BLOCK_SHIFT;
}

void track_variances(double *blocks, double *bytes)
{
    struct track_block batch[128];
    struct track_cursor c = {0};
    u64 interval = PEEK(&record_sample_bytes);
    *blocks = *bytes = 0;
    for (u32 n = 1; interval && n;) {
        n = track_list(&c, batch, COUNT_OF(batch));
        for (u32 i = 0; i < n; i++) { /* (1 - p) / p^2, times size^2 */
            double size = (double)(batch[i].size + !batch[i].size);
            double stands_for = (double)sample_bytes_for(batch[i].size, interval);
            *bytes += stands_for * (stands_for - size);
            *blocks += stands_for / size * (stands_for / size - 1);
        }
    }
}

void track_counters(struct track_counters *c)
{
    thread_sum(c);
    if (PEEK(&record_sample_bytes))
        for_blocks(c);
    c->started_ns = started_ns;
    c->recording = recording;
    c->own_bytes = thread_own_bytes() + peak_own_bytes() + frames_own_bytes() + trie_own_bytes() +
                   blocks_own_bytes() + marks_own_bytes() +
                   (custom_told() ? index_own_bytes(&index_custom) : 0);
}
