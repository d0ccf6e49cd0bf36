/* SPDX-License-Identifier: MIT
 *
 * sample.h - a small snapshot with every section filled, for the tests of the room.
 */
#ifndef TESTS_SNAPSHOT_SAMPLE_H
#define TESTS_SNAPSHOT_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "snapshot/snapshot.h"

enum {
    SAMPLE_BLOCKS = 40,
    SAMPLE_FRAMES = 6,
    SAMPLE_STACKS = 9,
    SAMPLE_EPOCHS = 4,
    SAMPLE_BIG = 2, /* blocks 7 and 40 are this big */
};
#define SAMPLE_BIG_BYTES (5ULL << 30)
#define SAMPLE_FIRST     0x100000000000ULL
#define SAMPLE_STEP      (8ULL << 30)

/* Adds a string to the open STRINGS or NAMES section; returns its offset. */
static inline u32 sample_string(struct snapshot_writer *w, enum snapshot_section kind,
                                const char *text)
{
    u64 offset;
    snapshot_writer_written(w, kind, &offset);
    char *at = snapshot_writer_add(w, strlen(text) + 1);
    assert_non_null(at);
    memcpy(at, text, strlen(text) + 1);
    return (u32)offset;
}

static inline void sample_write(struct snapshot_writer *w)
{
    struct snapshot_meta *meta = snapshot_writer_whole(w, SNAPSHOT_META, 1);
    meta->pid = 4711;
    meta->flags = SNAPSHOT_FLAG_STOPPED;
    meta->live_blocks = SAMPLE_BLOCKS;

    snapshot_writer_section(w, SNAPSHOT_STRINGS);
    sample_string(w, SNAPSHOT_STRINGS, "");
    meta->exe = sample_string(w, SNAPSHOT_STRINGS, "/usr/bin/server");
    u32 thread_name = sample_string(w, SNAPSHOT_STRINGS, "worker");
    u32 type_name = sample_string(w, SNAPSHOT_STRINGS, "7session");

    struct snapshot_module *modules = snapshot_writer_whole(w, SNAPSHOT_MODULES, 1);
    modules[0] = (struct snapshot_module){
        .lo = 0x400000, .hi = 0x500000, .bias = 0x400000, .path = meta->exe, .build_id_bytes = 20};
    struct snapshot_thread *threads = snapshot_writer_whole(w, SNAPSHOT_THREADS, 2);
    threads[0] = (struct snapshot_thread){1, 4711, thread_name, 1};
    threads[1] = (struct snapshot_thread){5, 4712, thread_name, 0};

    struct snapshot_frame *frames = snapshot_writer_whole(w, SNAPSHOT_FRAMES, SAMPLE_FRAMES);
    for (u32 i = 0; i < SAMPLE_FRAMES; i++)
        frames[i] = (struct snapshot_frame){.pc = 0x400100 + i * 16, .module = i % 2};
    struct snapshot_stack *stacks = snapshot_writer_whole(w, SNAPSHOT_STACKS, SAMPLE_STACKS);
    for (u32 i = 0; i < SAMPLE_STACKS; i++)
        stacks[i] = (struct snapshot_stack){i / 2, 1 + i % SAMPLE_FRAMES};
    stacks[3].frame |= SNAPSHOT_STACK_CUT;

    u64 *ages = snapshot_writer_whole(w, SNAPSHOT_EPOCHS, SAMPLE_EPOCHS);
    for (u32 i = 0; i < SAMPLE_EPOCHS; i++)
        ages[i] = (SAMPLE_EPOCHS - i) * 1000000000ULL;

    u64 room = SAMPLE_BLOCKS + 100;
    u64 *addr = snapshot_writer_whole(w, SNAPSHOT_BLOCK_ADDR, room);
    u32 *size = snapshot_writer_whole(w, SNAPSHOT_BLOCK_SIZE, room);
    u32 *stack = snapshot_writer_whole(w, SNAPSHOT_BLOCK_STACK, room);
    u32 *birth = snapshot_writer_whole(w, SNAPSHOT_BLOCK_BIRTH, room);
    u16 *thread = snapshot_writer_whole(w, SNAPSHOT_BLOCK_THREAD, room);
    u32 *vtable = snapshot_writer_whole(w, SNAPSHOT_BLOCK_VTABLE, room);
    assert_non_null(vtable);
    for (u32 i = 0; i < SAMPLE_BLOCKS; i++) {
        addr[i] = SAMPLE_FIRST + i * SAMPLE_STEP;
        size[i] = i == 6 || i == SAMPLE_BLOCKS - 1 ? UINT32_MAX : i * 10;
        stack[i] = i % (SAMPLE_STACKS + 1);
        birth[i] = i % SAMPLE_EPOCHS;
        thread[i] = i % 2 ? 5 : 1;
        vtable[i] = i % 3 == 0;
    }
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_ADDR, SAMPLE_BLOCKS);
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_SIZE, SAMPLE_BLOCKS);
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_STACK, SAMPLE_BLOCKS);
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_BIRTH, SAMPLE_BLOCKS);
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_THREAD, SAMPLE_BLOCKS);
    snapshot_writer_trim(w, SNAPSHOT_BLOCK_VTABLE, SAMPLE_BLOCKS);

    struct snapshot_big_size *big = snapshot_writer_whole(w, SNAPSHOT_BIG_SIZES, SAMPLE_BIG);
    big[0] = (struct snapshot_big_size){.block = 7, .size = SAMPLE_BIG_BYTES};
    big[1] = (struct snapshot_big_size){.block = SAMPLE_BLOCKS, .size = SAMPLE_BIG_BYTES};
    struct snapshot_vtable *vtables = snapshot_writer_whole(w, SNAPSHOT_VTABLES, 1);
    vtables[0] = (struct snapshot_vtable){.address = 0x4ff000, .name = type_name, .module = 1};

    snapshot_writer_section(w, SNAPSHOT_NAMES);
    sample_string(w, SNAPSHOT_NAMES, "");
    u32 name = sample_string(w, SNAPSHOT_NAMES, "make_session");
    u32 *names = snapshot_writer_whole(w, SNAPSHOT_FRAME_NAMES, SAMPLE_FRAMES);
    names[2] = name;
}

static inline void sample_open(struct snapshot *s)
{
    struct snapshot_writer w;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, 1 << 20));
    sample_write(&w);
    if (!snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

/* Follows everything that the view offers; a sanitizer sees what leaves the file. Returns a sum so
 * that nothing is optimised away. */
static inline u64 sample_walk(const struct snapshot *s)
{
    u64 sum = 0;
    char text[200];
    sum += strlen(s->strings + s->meta->exe) + strlen(s->strings + s->meta->allocator) +
           strlen(s->strings + s->meta->notes);
    for (u32 i = 0; i < s->module_count; i++)
        sum += strlen(s->strings + s->modules[i].path) +
               s->modules[i]
                   .build_id[s->modules[i].build_id_bytes ? s->modules[i].build_id_bytes - 1 : 0];
    for (u32 i = 0; i < s->thread_count; i++) {
        sum += strlen(s->strings + s->threads[i].name);
        assert_ptr_equal(snapshot_thread_of(s, s->threads[i].number), &s->threads[i]);
    }
    for (u32 i = 0; i < s->frame_count; i++)
        sum += snapshot_frame_text(s, (frame_id){i + 1}, text, sizeof text);
    for (u32 i = 0; i < s->stack_count; i++)
        for (u32 node = i + 1; node; node = s->stacks[node - 1].parent)
            sum += s->frames[(s->stacks[node - 1].frame & ~SNAPSHOT_STACK_CUT) - 1].pc;
    for (u32 i = 0; i < s->vtable_count; i++) {
        sum += strlen(s->strings + s->vtables[i].name);
        if (s->vtables[i].module)
            sum += s->modules[s->vtables[i].module - 1].lo;
    }
    for (u32 i = 0; i < s->block_count; i++) {
        block_id b = {i + 1};
        u64 addr = snapshot_block_addr(s, b), bytes = snapshot_block_bytes(s, b);
        assert_int_equal(snapshot_block_at(s, addr).v, b.v);
        sum += addr + bytes + snapshot_block_age_ns(s, b);
        sum += snapshot_block_at(s, addr + bytes).v;
        if (s->block_stack[i])
            sum += s->stacks[s->block_stack[i] - 1].frame;
        const struct snapshot_thread *t = snapshot_thread_of(s, s->block_thread[i]);
        sum += t ? t->tid : 0;
        if (s->block_vtable && s->block_vtable[i])
            sum += s->vtables[s->block_vtable[i] - 1].address;
    }
    return sum;
}

#endif
