/* SPDX-License-Identifier: MIT
 *
 * record.c - switching the recorder, and what it counted.
 *
 * Context: hot for record_special_word; the rest agent.
 */
#include <math.h>
#include <string.h>

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
static u64 started_ns;

/* Poisson sampling: the distance between samples is exponentially distributed, so that each byte
 * has the same chance and a block of s bytes is taken with 1 - exp(-s / interval). */
static bool in_sample(struct thread *t, u64 size)
{
    if (t->until_sample > 0) {
        t->until_sample -= (i64)size;
        if (t->until_sample > 0)
            return false;
    }
    t->random ^= t->random << 13; /* xorshift64 (Marsaglia, 2003) */
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    double uniform = (double)(t->random >> 11) * 0x1p-53 + 0x1p-54;
    bool first = t->until_sample == 0;
    t->until_sample = (i64)(-log(uniform) * (double)record_sample_bytes) + 1;
    return !first;
}

NOINLINE u64 record_special_word(struct thread *t, u64 address, u64 size,
                                 const struct walk_origin *origin)
{
    if (record_sample_bytes && !in_sample(t, size))
        return 0;
    u64 word = record_word(t, address, size, origin);
    return index_with_stack(word, marks_tagged(t, index_stack(word)));
}

NOINLINE void record_special_birth(struct thread *t, const void *p, u64 size,
                                   const struct walk_origin *origin)
{
    struct index_record r = {record_special_word(t, (u64)p, size, origin), size};
    if (r.word)
        record_put(t, (u64)p, r);
}

void record_use_tags(void)
{
    POKE(&tags_used, true);
    POKE(&record_special, 1);
}

static void begin(const struct option_track *how)
{
    index_clear(&index_malloced);
    if (custom_told())
        index_clear(&index_custom);
    thread_reset_counters();
    started_ns = sys_monotonic_ns();
    POKE(&record_sample_bytes, how->mode == TRACK_SAMPLE ? how->sample_bytes : 0);
    POKE(&record_special, record_sample_bytes != 0 || PEEK(&tags_used));
    RELEASE(&record_state, how->mode == TRACK_OFF ? RECORD_OFF : RECORD_ON);
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
    index_start(track_allocator()[0] == 0);
    if (epoch_start() && frames_start() && trie_start())
        begin(&o->track);
    else
        record_state = RECORD_OFF;
}

void track_record(const struct option_track *how, u32 stack_limit)
{
    POKE(&record_state, RECORD_OFF);
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

u64 track_sample_bytes(void)
{
    return PEEK(&record_sample_bytes);
}

void track_after_fork(void)
{
    thread_after_fork();
    frames_after_fork();
    trie_after_fork();
}

void track_counters(struct track_counters *c)
{
    thread_sum(c);
    c->started_ns = started_ns;
    c->own_bytes = thread_own_bytes() + frames_own_bytes() + trie_own_bytes() +
                   index_own_bytes(&index_malloced) + marks_own_bytes() +
                   (custom_told() ? index_own_bytes(&index_custom) : 0);
}
