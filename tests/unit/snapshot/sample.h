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
    SAMPLE_TAGS = 2,
    SAMPLE_EDGES = 5,
    SAMPLE_ROOTS = 2,
    SAMPLE_ROOT_EDGES = 3,
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

/* Block 7 (big) refers to block 8 from its first word and from beyond 512 KiB, block 3 to the
 * middle of block 7 and to itself, block 40 to block 1 from beyond 4 GiB. */
static inline void sample_write_references(struct snapshot_writer *w, u32 name)
{
    static const struct {
        u32 source, word, target, into;
    } edges[SAMPLE_EDGES] = {{3, 0, 7, UINT32_MAX},
                             {3, 1, 3, 8},
                             {7, 0, 8, 0},
                             {7, 0x5fffe, 8, 16},
                             {40, 0x20000005, 1, 0}};
    struct snapshot_root *roots = snapshot_writer_whole(w, SNAPSHOT_ROOTS, SAMPLE_ROOTS);
    roots[0] = (struct snapshot_root){.hi = 17 * 8, .kind = SNAPSHOT_ROOT_REGISTER, .thread = 5};
    roots[1] = (struct snapshot_root){0x4ff004, 0x500000, SNAPSHOT_ROOT_DATA, 0, 0, 1, name, 0};
    u32 *row = snapshot_writer_whole(w, SNAPSHOT_EDGE_ROW, SAMPLE_BLOCKS + 1);
    u32 *target = snapshot_writer_whole(w, SNAPSHOT_EDGE_TARGET, SAMPLE_EDGES);
    u16 *at = snapshot_writer_whole(w, SNAPSHOT_EDGE_AT, SAMPLE_EDGES);
    struct snapshot_edge_far *far = snapshot_writer_whole(w, SNAPSHOT_EDGE_FAR, 2);
    struct snapshot_edge_into *into = snapshot_writer_whole(w, SNAPSHOT_EDGE_INTO, 3);
    struct snapshot_root_edge *held =
        snapshot_writer_whole(w, SNAPSHOT_ROOT_EDGES, SAMPLE_ROOT_EDGES);
    struct snapshot_tail *tails = snapshot_writer_whole(w, SNAPSHOT_TAILS, 1);
    assert_non_null(tails);
    u32 fars = 0, intos = 0;
    for (u32 i = 0; i < SAMPLE_EDGES; i++) {
        for (u32 b = edges[i].source; b <= SAMPLE_BLOCKS; b++)
            row[b] = i + 1;
        target[i] = edges[i].target;
        at[i] = (u16)edges[i].word;
        if (edges[i].word >> 16)
            far[fars++] = (struct snapshot_edge_far){i, edges[i].word >> 16};
        if (edges[i].into)
            into[intos++] = (struct snapshot_edge_into){i, edges[i].into};
    }
    held[0] = (struct snapshot_root_edge){1, 16, 3, 0};
    held[1] = (struct snapshot_root_edge){2, 0, 3, 0};
    held[2] = (struct snapshot_root_edge){2, 2, 7, 100};
    tails[0] = (struct snapshot_tail){.block = 7, .used = 4096};
}

static inline void sample_write(struct snapshot_writer *w)
{
    struct snapshot_meta *meta = snapshot_writer_whole(w, SNAPSHOT_META, 1);
    meta->pid = 4711;
    meta->flags = SNAPSHOT_FLAG_STOPPED | SNAPSHOT_FLAG_GRAPH;
    meta->live_blocks = SAMPLE_BLOCKS;
    meta->stop = SNAPSHOT_STOP_SIGNALS;

    snapshot_writer_section(w, SNAPSHOT_STRINGS);
    sample_string(w, SNAPSHOT_STRINGS, "");
    meta->exe = sample_string(w, SNAPSHOT_STRINGS, "/usr/bin/server");
    u32 thread_name = sample_string(w, SNAPSHOT_STRINGS, "worker");
    u32 type_name = sample_string(w, SNAPSHOT_STRINGS, "7session");

    struct snapshot_missed *missed = snapshot_writer_whole(w, SNAPSHOT_MISSED, 1);
    *missed = (struct snapshot_missed){4713, thread_name, type_name, 0};
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

    struct snapshot_standing *standing = snapshot_writer_whole(w, SNAPSHOT_STANDING, 3);
    standing[0] = (struct snapshot_standing){4711, 1, thread_name, 0, 2, 0};
    standing[1] = (struct snapshot_standing){4712, 5, thread_name, 2, 0, SNAPSHOT_STANDING_CUT};
    standing[2] = (struct snapshot_standing){4720, 0, 0, 2, 1, 0};
    struct snapshot_call *calls = snapshot_writer_whole(w, SNAPSHOT_CALLS, 3);
    calls[0] = (struct snapshot_call){0x7000, 0x7100, 3, SNAPSHOT_CALL_EXACT};
    calls[1] = (struct snapshot_call){0x7080, 0x7200, 2, 0};
    calls[2] = (struct snapshot_call){0x9000, 0x9000, 1, 0};

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

    sample_write_references(w, thread_name);

    struct snapshot_nest *nests = snapshot_writer_whole(w, SNAPSHOT_NESTS, 2);
    nests[0] = (struct snapshot_nest){.block = 3, .own_bytes = 0};
    nests[1] = (struct snapshot_nest){.block = 7, .own_bytes = 5};
    u32 *tags = snapshot_writer_whole(w, SNAPSHOT_TAGS, SAMPLE_TAGS);
    tags[0] = thread_name;
    tags[1] = type_name;
    u16 *tag = snapshot_writer_whole(w, SNAPSHOT_BLOCK_TAG, SAMPLE_BLOCKS);
    tag[4] = 2;
    struct snapshot_custom *custom = snapshot_writer_whole(w, SNAPSHOT_CUSTOM, 1);
    *custom = (struct snapshot_custom){.blocks = 4, .misuses = 1};
    struct snapshot_recording *recording = snapshot_writer_whole(w, SNAPSHOT_RECORDING, 1);
    *recording = (struct snapshot_recording){3, 1000};

    snapshot_writer_section(w, SNAPSHOT_NAMES);
    sample_string(w, SNAPSHOT_NAMES, "");
    u32 name = sample_string(w, SNAPSHOT_NAMES, "make_session");
    u32 inlined = sample_string(w, SNAPSHOT_NAMES, "take");
    u32 file = sample_string(w, SNAPSHOT_NAMES, "/src/server.c");
    u32 *names = snapshot_writer_whole(w, SNAPSHOT_FRAME_NAMES, SAMPLE_FRAMES);
    names[2] = name;
    struct snapshot_line *lines = snapshot_writer_whole(w, SNAPSHOT_LINES, 3);
    lines[0] = (struct snapshot_line){inlined, file, 7};
    lines[1] = (struct snapshot_line){name, file, 42};
    lines[2] = (struct snapshot_line){0, file, 0};
    static const u32 first[SAMPLE_FRAMES + 1] = {0, 0, 0, 2, 2, 2, 3};
    memcpy(snapshot_writer_whole(w, SNAPSHOT_FRAME_LINES, COUNT_OF(first)), first, sizeof first);
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
    for (u32 i = 0; s->frame_lines && i < s->frame_count; i++)
        for (u32 k = s->frame_lines[i]; k < s->frame_lines[i + 1]; k++)
            sum += strlen(s->names + s->lines[k].function) + strlen(s->names + s->lines[k].file) +
                   s->lines[k].line;
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
        /* the innermost of those that begin there */
        assert_true(snapshot_block_at(s, addr).v >= b.v);
        assert_true(snapshot_block_addr(s, snapshot_block_at(s, addr)) == addr);
        assert_true(snapshot_block_own_bytes(s, b) <= bytes);
        if (s->block_tag && s->block_tag[i])
            sum += strlen(s->strings + s->tags[s->block_tag[i] - 1]);
        sum += addr + bytes + snapshot_block_age_ns(s, b);
        sum += snapshot_block_at(s, addr + bytes).v;
        if (s->block_stack[i])
            sum += s->stacks[s->block_stack[i] - 1].frame;
        const struct snapshot_thread *t = snapshot_thread_of(s, s->block_thread[i]);
        sum += t ? t->tid : 0;
        if (s->block_vtable && s->block_vtable[i])
            sum += s->vtables[s->block_vtable[i] - 1].address;
        for (u32 e = s->edge_row ? s->edge_row[i] : 0; s->edge_row && e < s->edge_row[i + 1]; e++) {
            assert_true(snapshot_edge_offset(s, b, e) + 8 <= bytes);
            block_id target = {s->edge_target[e]};
            u32 into = snapshot_edge_into(s, e);
            assert_true(into == 0 || into < snapshot_block_bytes(s, target));
        }
    }
    for (u32 i = 0; i < s->root_edge_count; i++) {
        const struct snapshot_root *root = &s->roots[s->root_edges[i].root - 1];
        u64 address = snapshot_root_edge_address(s, &s->root_edges[i]);
        assert_true(address >= root->lo && address + 8 <= root->hi);
        sum += snapshot_block_addr(s, (block_id){s->root_edges[i].target});
        sum += strlen(s->strings + root->name) + strlen(snapshot_root_word(root->kind));
    }
    for (u32 i = 0; i < s->standing_count; i++) {
        const struct snapshot_standing *t = &s->standing[i];
        assert_ptr_equal(snapshot_standing_of(s, t->tid), t);
        sum += strlen(s->strings + t->name);
        for (u32 k = 0; k < t->call_count; k++) {
            const struct snapshot_call *c = &s->calls[t->first_call + k];
            sum += c->hi - c->lo + s->frames[c->frame - 1].pc;
            assert_true(c->lo == c->hi || snapshot_call_at(s, t, c->lo) != NULL);
        }
    }
    for (u32 i = 0; i < s->tail_count; i++)
        sum += snapshot_block_bytes(s, (block_id){s->tails[i].block}) - s->tails[i].used;
    return sum;
}

#endif
