/* SPDX-License-Identifier: MIT
 *
 * fake_track.h - a recorder made of plain arrays in the place of the real one, so that a test says
 * what was recorded: duplicate nodes, unloaded modules, births after the listing began.
 */
#ifndef TESTS_FREEZE_FAKE_TRACK_H
#define TESTS_FREEZE_FAKE_TRACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "freeze/freeze.h"

static struct {
    struct track_block *blocks; /* ascending */
    u32 block_count;
    struct track_block custom[64]; /* ascending */
    u32 custom_count;
    const char *names[8]; /* [0] is unused */
    u32 name_count;
    bool marked;
    struct track_root roots[4];
    u32 root_count;
    struct track_node *nodes; /* [0] is unused */
    u32 node_count;
    struct track_module modules[64];
    u32 module_count;
    struct track_thread threads[8];
    u32 thread_count;
    struct track_counters counters;
    u32 epoch;
    u64 epoch_begin_ns[64];
    u64 sample_bytes;
    struct track_moving moving[4];
    u32 moving_count;
    const char *allocator;
} fake = {.allocator = ""};

u32 track_list(struct track_cursor *c, struct track_block *out, u32 max)
{
    const struct track_block *blocks = c->custom ? fake.custom : fake.blocks;
    u32 n = 0, count = c->custom ? fake.custom_count : fake.block_count;
    for (u32 i = (u32)c->next; n < max && i < count; i++)
        out[n++] = blocks[i];
    c->next += n;
    return n;
}

u32 track_epoch_advance(void)
{
    return fake.epoch;
}

u64 track_epoch_ns(u32 epoch)
{
    return fake.epoch_begin_ns[epoch];
}

u32 track_node_count(void)
{
    return fake.node_count;
}

struct track_node track_node(u32 number)
{
    assert_in_range(number, 1, fake.node_count);
    return fake.nodes[number];
}

u32 track_modules_refresh(void)
{
    return fake.module_count;
}

const struct track_module *track_module(u32 index)
{
    return &fake.modules[index];
}

u32 track_threads(struct track_thread *out, u32 max)
{
    assert_true(max >= fake.thread_count);
    memcpy(out, fake.threads, sizeof fake.threads);
    return fake.thread_count;
}

void track_counters(struct track_counters *c)
{
    *c = fake.counters;
    c->live_blocks = c->live_blocks ? c->live_blocks : fake.block_count;
}

bool track_marked(void)
{
    return fake.marked;
}

u32 track_name_count(void)
{
    return fake.name_count;
}

const char *track_name(u32 name)
{
    return name && name <= fake.name_count ? fake.names[name] : "";
}

u32 track_roots(struct track_root *out, u32 max)
{
    assert_true(max >= fake.root_count);
    memcpy(out, fake.roots, fake.root_count * sizeof *out);
    return fake.root_count;
}

struct option_track track_recording(void)
{
    return (struct option_track){TRACK_FULL, 0};
}

u64 track_sample_bytes(void)
{
    return fake.sample_bytes;
}

u32 track_moving(struct track_moving *out, u32 max)
{
    assert_true(max >= fake.moving_count);
    memcpy(out, fake.moving, fake.moving_count * sizeof *out);
    return fake.moving_count;
}

/* A stack as the real walk would find it: return addresses up from the stack pointer, each frame of
 * 64 bytes, until a word that is none. */
u32 track_walk_stopped(struct track_walker *w, const u64 registers[TRACK_REGISTERS],
                       struct track_call *out, u32 max, bool *whole)
{
    u64 pc = registers[16], sp = registers[7];
    u32 n = 0;
    while (n < max && pc) {
        out[n] = (struct track_call){.pc = pc, .sp = sp, .next_sp = sp + 64, .exact = n == 0};
        n++;
        if (!w->read(w->context, sp + 56, &pc)) {
            *whole = false;
            return n;
        }
        sp += 64;
    }
    *whole = pc == 0;
    return n;
}

const char *track_allocator(void)
{
    return fake.allocator;
}

static inline void fake_list(struct snapshot *s)
{
    struct snapshot_writer w;
    struct err e = {0};
    struct freeze_request r = {.overhead_bytes = 1000, .allocator_bytes = 77};
    assert_true(snapshot_writer_begin(&w, freeze_estimate_bytes()));
    if (!freeze_list(&w, &r, &e) || !snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

/* The seed of a test with chance in it, printed. */
static inline u32 fake_seed(void)
{
    const char *given = getenv("FREEZE_SEED");
    u32 seed = given ? (u32)strtoul(given, NULL, 0) : (u32)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    return seed;
}

#endif
