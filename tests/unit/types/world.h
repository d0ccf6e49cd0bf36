/* SPDX-License-Identifier: MIT
 *
 * world.h - a made-up program whose snapshot a test can take: functions, stacks, threads, blocks.
 *
 * Invariant: everything that is not said has a plain value: module 1 is /usr/bin/server, module 2
 * /lib/libc.so.6; epoch i began (epochs - i) seconds before the snapshot; thread 1 is "main".
 */
#ifndef TESTS_UNIT_TYPES_WORLD_H
#define TESTS_UNIT_TYPES_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snapshot/snapshot.h"
#include "types/types.h"

enum { WORLD_SERVER = 1, WORLD_LIBC = 2, WORLD_EPOCHS = 20, WORLD_PID = 4711 };

struct world_block {
    u64 addr, size;
    u32 stack, birth, vtable;
    u16 thread;
};

struct world_vtable {
    const char *name;
    i64 to_top;
};

/* A reference: from a block's word (ids as the blocks came, from 1), or from a root's with source 0.
 * They must come by source, then root, then word. */
struct world_edge {
    u32 source, root, word, target, into;
};

struct world {
    struct {
        const char *name; /* NULL = no symbol */
        u32 module;
    } frames[1000];
    struct {
        u32 frame;
        const char *function, *file;
        u32 line;
    } lines[1000]; /* by frame, innermost first */
    struct snapshot_stack stacks[2000];
    struct world_vtable vtables[50];
    struct {
        u32 number, tid;
        const char *name;
    } threads[20];
    struct world_block *blocks;
    u32 line_count, frame_count, stack_count, vtable_count, thread_count, block_count, block_room;
    u64 sample_bytes, process_start, monotonic_ns, flags;
    enum snapshot_stop stop; /* SNAPSHOT_STOP_SIGNALS: and one thread was missed */
    struct snapshot_root roots[20]; /* names are not offsets yet: 0 */
    struct world_edge edges[1000];
    struct snapshot_tail tails[10];
    u32 root_count, edge_count, tail_count;
    struct snapshot_standing standing[10]; /* names are not offsets yet */
    const char *standing_names[10];
    struct snapshot_call calls[50];
    u32 standing_count, call_count;
};

static inline void world_begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->monotonic_ns = 1000000000000;
}

static inline void world_end(struct world *w)
{
    free(w->blocks);
    w->blocks = NULL;
}

static inline u32 world_frame(struct world *w, const char *name, u32 module)
{
    assert_true(w->frame_count < COUNT_OF(w->frames));
    w->frames[w->frame_count].name = name;
    w->frames[w->frame_count].module = module;
    return ++w->frame_count;
}

/* One more line of the frame that was made last, innermost first. */
static inline void world_line(struct world *w, const char *function, const char *file, u32 line)
{
    assert_true(w->line_count < COUNT_OF(w->lines));
    w->lines[w->line_count].frame = w->frame_count;
    w->lines[w->line_count].function = function;
    w->lines[w->line_count].file = file;
    w->lines[w->line_count++].line = line;
}

static inline u32 world_stack(struct world *w, u32 parent, u32 frame)
{
    assert_true(w->stack_count < COUNT_OF(w->stacks));
    w->stacks[w->stack_count] = (struct snapshot_stack){parent, frame};
    return ++w->stack_count;
}

/* A stack from functions of the server, outermost first, NULL at the end. */
static inline u32 world_calls(struct world *w, ...)
{
    va_list names;
    u32 stack = 0;
    va_start(names, w);
    for (const char *name; (name = va_arg(names, const char *));)
        stack = world_stack(w, stack, world_frame(w, name, WORLD_SERVER));
    va_end(names);
    return stack;
}

/* A thread that stood; by tid. The calls that are made next are its. */
static inline void world_stands(struct world *w, u32 tid, u32 number, const char *name)
{
    assert_true(w->standing_count < COUNT_OF(w->standing));
    w->standing_names[w->standing_count] = name;
    w->standing[w->standing_count++] =
        (struct snapshot_standing){.tid = tid, .thread = number, .first_call = w->call_count};
}

static inline void world_stands_in(struct world *w, u64 lo, u64 hi, u32 frame)
{
    assert_true(w->call_count < COUNT_OF(w->calls));
    w->calls[w->call_count++] = (struct snapshot_call){lo, hi, frame, 0};
    w->standing[w->standing_count - 1].call_count++;
}

static inline u32 world_vtable(struct world *w, const char *name, i64 to_top)
{
    w->vtables[w->vtable_count] = (struct world_vtable){name, to_top};
    return ++w->vtable_count;
}

static inline void world_thread(struct world *w, u32 number, u32 tid, const char *name)
{
    w->threads[w->thread_count].number = number;
    w->threads[w->thread_count].tid = tid;
    w->threads[w->thread_count++].name = name;
}

/* Blocks must come by address. */
static inline struct world_block *world_block(struct world *w, u64 addr, u64 size, u32 stack)
{
    if (w->block_count == w->block_room) {
        w->block_room = w->block_room ? 2 * w->block_room : 64;
        w->blocks = realloc(w->blocks, w->block_room * sizeof *w->blocks);
        assert_non_null(w->blocks);
    }
    struct world_block *b = &w->blocks[w->block_count++];
    *b = (struct world_block){addr, size, stack, 1, 0, 1};
    return b;
}

static inline u32 world_text(char *room, u32 *used, const char *text)
{
    u32 at = *used;
    memcpy(room + at, text, strlen(text) + 1);
    *used += (u32)strlen(text) + 1;
    return at;
}

static inline void world_blocks(const struct world *w, struct snapshot_writer *out)
{
    u32 n = w->block_count, big = 0;
    u64 *addr = snapshot_writer_whole(out, SNAPSHOT_BLOCK_ADDR, n);
    u32 *size = snapshot_writer_whole(out, SNAPSHOT_BLOCK_SIZE, n);
    u32 *stack = snapshot_writer_whole(out, SNAPSHOT_BLOCK_STACK, n);
    u32 *birth = snapshot_writer_whole(out, SNAPSHOT_BLOCK_BIRTH, n);
    u16 *thread = snapshot_writer_whole(out, SNAPSHOT_BLOCK_THREAD, n);
    u32 *vtable = snapshot_writer_whole(out, SNAPSHOT_BLOCK_VTABLE, n);
    for (u32 i = 0; i < n; i++) {
        const struct world_block *b = &w->blocks[i];
        addr[i] = b->addr;
        size[i] = b->size < UINT32_MAX ? (u32)b->size : UINT32_MAX;
        big += b->size >= UINT32_MAX;
        stack[i] = b->stack;
        birth[i] = b->birth;
        thread[i] = b->thread;
        vtable[i] = b->vtable;
    }
    struct snapshot_big_size *sizes = snapshot_writer_whole(out, SNAPSHOT_BIG_SIZES, big);
    for (u32 i = 0, at = 0; i < n; i++)
        if (w->blocks[i].size >= UINT32_MAX)
            sizes[at++] = (struct snapshot_big_size){.block = i + 1, .size = w->blocks[i].size};
}

static inline u32 world_root(struct world *w, struct snapshot_root root)
{
    w->roots[w->root_count] = root;
    return ++w->root_count;
}

static inline void world_edge(struct world *w, struct world_edge edge)
{
    assert_true(w->edge_count < COUNT_OF(w->edges));
    w->edges[w->edge_count++] = edge;
}

static inline void world_references(const struct world *w, struct snapshot_writer *out)
{
    u32 held = 0, intos = 0;
    while (held < w->edge_count && !w->edges[held].source)
        held++;
    for (u32 i = held; i < w->edge_count; i++)
        intos += w->edges[i].into != 0;
    memcpy(snapshot_writer_whole(out, SNAPSHOT_ROOTS, w->root_count), w->roots,
           w->root_count * sizeof *w->roots);
    struct snapshot_root_edge *root_edges = snapshot_writer_whole(out, SNAPSHOT_ROOT_EDGES, held);
    u32 *row = snapshot_writer_whole(out, SNAPSHOT_EDGE_ROW, (u64)w->block_count + 1);
    u32 *target = snapshot_writer_whole(out, SNAPSHOT_EDGE_TARGET, w->edge_count - held);
    u16 *at = snapshot_writer_whole(out, SNAPSHOT_EDGE_AT, w->edge_count - held);
    struct snapshot_edge_into *into = snapshot_writer_whole(out, SNAPSHOT_EDGE_INTO, intos);
    for (u32 i = 0; i < w->edge_count; i++) {
        const struct world_edge *x = &w->edges[i];
        if (i < held) {
            root_edges[i] = (struct snapshot_root_edge){x->root, x->word, x->target, x->into};
            continue;
        }
        target[i - held] = x->target;
        at[i - held] = (u16)x->word;
        row[x->source] = i - held + 1;
        if (x->into)
            *into++ = (struct snapshot_edge_into){i - held, x->into};
    }
    for (u32 b = 1; b <= w->block_count; b++)
        row[b] = row[b] > row[b - 1] ? row[b] : row[b - 1];
    memcpy(snapshot_writer_whole(out, SNAPSHOT_TAILS, w->tail_count), w->tails,
           w->tail_count * sizeof *w->tails);
}

static inline void world_lines(const struct world *w, struct snapshot_writer *out, char *names,
                               u32 *name_bytes)
{
    struct snapshot_line *lines = snapshot_writer_whole(out, SNAPSHOT_LINES, w->line_count);
    u32 *first = snapshot_writer_whole(out, SNAPSHOT_FRAME_LINES, (u64)w->frame_count + 1);
    for (u32 i = 0, frame = 0; frame <= w->frame_count; frame++) {
        for (; i < w->line_count && w->lines[i].frame == frame; i++)
            lines[i] = (struct snapshot_line){world_text(names, name_bytes, w->lines[i].function),
                                              world_text(names, name_bytes, w->lines[i].file),
                                              w->lines[i].line};
        first[frame] = i;
    }
}

/* The snapshot of the world as it is now. */
static inline void world_open(const struct world *w, struct snapshot *s)
{
    struct snapshot_writer out;
    struct err e = {0};
    char *text = calloc(1, 1 << 16), *names = calloc(1, 1 << 16);
    u32 text_bytes_used = 1, name_bytes = 1;
    assert_true(snapshot_writer_begin(&out, 1ull << 30));
    struct snapshot_meta *meta = snapshot_writer_whole(&out, SNAPSHOT_META, 1);
    *meta = (struct snapshot_meta){
        .realtime_ns = 1700000000500000000,
        .monotonic_ns = w->monotonic_ns,
        .pause_ns = 1500000,
        .build_ns = 2500000,
        .pid = WORLD_PID,
        .process_start = w->process_start,
        .flags = w->flags | (w->sample_bytes ? SNAPSHOT_FLAG_SAMPLED : 0),
        .sample_bytes = w->sample_bytes,
        .stop = w->stop,
        .notes = world_text(text, &text_bytes_used, "made up"),
    };
    struct snapshot_module *m = snapshot_writer_whole(&out, SNAPSHOT_MODULES, 2);
    m[0] = (struct snapshot_module){.lo = 0x400000, .hi = 0x500000, .bias = 0x400000};
    m[0].path = world_text(text, &text_bytes_used, "/usr/bin/server");
    m[1] = (struct snapshot_module){.lo = 0x700000, .hi = 0x800000, .bias = 0x700000};
    m[1].path = world_text(text, &text_bytes_used, "/lib/libc.so.6");

    struct snapshot_thread *t =
        snapshot_writer_whole(&out, SNAPSHOT_THREADS, w->thread_count ? w->thread_count : 1);
    t[0] = (struct snapshot_thread){1, WORLD_PID, world_text(text, &text_bytes_used, "main"), 1};
    for (u32 i = 0; i < w->thread_count; i++)
        t[i] = (struct snapshot_thread){w->threads[i].number, w->threads[i].tid,
                                        world_text(text, &text_bytes_used, w->threads[i].name), 1};

    struct snapshot_missed *missed =
        snapshot_writer_whole(&out, SNAPSHOT_MISSED, w->stop == SNAPSHOT_STOP_SIGNALS);
    if (w->stop == SNAPSHOT_STOP_SIGNALS)
        *missed = (struct snapshot_missed){4713, world_text(text, &text_bytes_used, "deaf"),
                                           world_text(text, &text_bytes_used, "blocks it"), 0};

    struct snapshot_standing *standing =
        snapshot_writer_whole(&out, SNAPSHOT_STANDING, w->standing_count);
    memcpy(standing, w->standing, w->standing_count * sizeof *standing);
    for (u32 i = 0; i < w->standing_count; i++)
        standing[i].name = world_text(text, &text_bytes_used, w->standing_names[i]);
    memcpy(snapshot_writer_whole(&out, SNAPSHOT_CALLS, w->call_count), w->calls,
           w->call_count * sizeof *w->calls);

    struct snapshot_frame *f = snapshot_writer_whole(&out, SNAPSHOT_FRAMES, w->frame_count);
    u32 *frame_names = snapshot_writer_whole(&out, SNAPSHOT_FRAME_NAMES, w->frame_count);
    for (u32 i = 0; i < w->frame_count; i++) {
        u64 base = w->frames[i].module == WORLD_LIBC ? 0x700000 : 0x400000;
        f[i] = (struct snapshot_frame){base + 0x100 + i, w->frames[i].module, 0};
        if (w->frames[i].name)
            frame_names[i] = world_text(names, &name_bytes, w->frames[i].name);
    }
    if (w->line_count)
        world_lines(w, &out, names, &name_bytes);
    struct snapshot_stack *stacks =
        snapshot_writer_whole(&out, SNAPSHOT_STACKS, w->stack_count);
    memcpy(stacks, w->stacks, w->stack_count * sizeof *stacks);
    u64 *epochs = snapshot_writer_whole(&out, SNAPSHOT_EPOCHS, WORLD_EPOCHS);
    for (u32 i = 0; i < WORLD_EPOCHS; i++)
        epochs[i] = (WORLD_EPOCHS - i) * 1000000000ull;
    struct snapshot_vtable *v = snapshot_writer_whole(&out, SNAPSHOT_VTABLES, w->vtable_count);
    for (u32 i = 0; i < w->vtable_count; i++)
        v[i] = (struct snapshot_vtable){0x410000 + 16 * i, w->vtables[i].to_top,
                                        world_text(text, &text_bytes_used, w->vtables[i].name), 1};
    world_blocks(w, &out);
    if (w->flags & SNAPSHOT_FLAG_GRAPH)
        world_references(w, &out);
    memcpy(snapshot_writer_whole(&out, SNAPSHOT_STRINGS, text_bytes_used), text, text_bytes_used);
    memcpy(snapshot_writer_whole(&out, SNAPSHOT_NAMES, name_bytes), names, name_bytes);
    if (!snapshot_writer_finish(&out, s, &e))
        fail_msg("%s", e.text);
    free(text);
    free(names);
}

/* Memory for types and queries that is freed all at once. */
struct world_memory {
    struct types_memory memory;
    void **pieces;
    u32 count;
};

static inline void *world_take(void *context, size_t bytes)
{
    struct world_memory *m = context;
    m->pieces = realloc(m->pieces, (m->count + 1) * sizeof *m->pieces);
    assert_non_null(m->pieces);
    m->pieces[m->count] = malloc(bytes);
    assert_non_null(m->pieces[m->count]);
    memset(m->pieces[m->count], 0xa5, bytes);
    return m->pieces[m->count++];
}

static inline const struct types_memory *world_memory(struct world_memory *m)
{
    *m = (struct world_memory){{world_take, m}, NULL, 0};
    return &m->memory;
}

static inline void world_forget(struct world_memory *m)
{
    for (u32 i = 0; i < m->count; i++)
        free(m->pieces[i]);
    free(m->pieces);
}

#endif
