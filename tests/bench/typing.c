/* SPDX-License-Identifier: MIT
 *
 * typing.c - how long it takes to type the blocks of a made-up snapshot: of each five a session
 * that a function returns, its name, two items of a list that hangs on it, and what only a void *
 * holds.
 *
 * usage: typing [BLOCKS]; prints milliseconds that passed, those of the processor, and how many
 * blocks got a type.
 */
#include <time.h>

#include "../unit/catalog/made.h"
#include "snapshot/snapshot.h"
#include "types/types.h"

enum { BIAS = 0x400000, STACKS = 1000, STEP = 64 };

static double now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* session { item *items; char *name; void *user; long id }, item { item *next; long value } */
static void make_catalog(struct made *m, struct catalog *c)
{
    made_begin(m);
    u32 number = made_base(m, "long", 8), text = made_pointer(m, made_base(m, "char", 1));
    u32 item_pointer = made_pointer(m, 0), item = made_struct(m, "item", 16);
    made_member(m, item, "next", 0, item_pointer);
    made_member(m, item, "value", 8, number);
    made_aim(m, item_pointer, item);
    u32 session = made_struct(m, "session", 32);
    made_member(m, session, "items", 0, item_pointer);
    made_member(m, session, "name", 8, text);
    made_member(m, session, "user", 16, made_pointer(m, 0));
    made_member(m, session, "id", 24, number);
    made_range(m, made_function(m, "make_session", session, 0), 0x1000, 1);
    made_finish(m, c);
}

static void fill_places(struct snapshot_writer *w)
{
    *(struct snapshot_meta *)snapshot_writer_whole(w, SNAPSHOT_META, 1) =
        (struct snapshot_meta){.flags = SNAPSHOT_FLAG_GRAPH | SNAPSHOT_FLAG_STOPPED};
    snapshot_writer_whole(w, SNAPSHOT_STRINGS, 8);
    *(struct snapshot_module *)snapshot_writer_whole(w, SNAPSHOT_MODULES, 1) =
        (struct snapshot_module){.lo = BIAS, .hi = BIAS + 0x100000, .bias = BIAS};
    struct snapshot_frame *frames = snapshot_writer_whole(w, SNAPSHOT_FRAMES, STACKS);
    struct snapshot_stack *stacks = snapshot_writer_whole(w, SNAPSHOT_STACKS, STACKS);
    for (u32 i = 0; i < STACKS; i++) {
        /* The first one is in make_session, the others are in nothing that is known. */
        frames[i] = (struct snapshot_frame){BIAS + 0x1001 + 16 * i, 1, 0};
        stacks[i] = (struct snapshot_stack){0, i + 1};
    }
    *(u64 *)snapshot_writer_whole(w, SNAPSHOT_EPOCHS, 1) = 0;
}

static void make_snapshot(struct snapshot *s, u32 blocks)
{
    struct snapshot_writer w;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, 60ull * blocks + (1 << 24)));
    fill_places(&w);
    u64 *addr = snapshot_writer_whole(&w, SNAPSHOT_BLOCK_ADDR, blocks);
    u32 *size = snapshot_writer_whole(&w, SNAPSHOT_BLOCK_SIZE, blocks);
    u32 *stack = snapshot_writer_whole(&w, SNAPSHOT_BLOCK_STACK, blocks);
    snapshot_writer_whole(&w, SNAPSHOT_BLOCK_BIRTH, blocks);
    snapshot_writer_whole(&w, SNAPSHOT_BLOCK_THREAD, blocks);
    u32 *row = snapshot_writer_whole(&w, SNAPSHOT_EDGE_ROW, (u64)blocks + 1);
    u32 *target = snapshot_writer_whole(&w, SNAPSHOT_EDGE_TARGET, blocks);
    u16 *at = snapshot_writer_whole(&w, SNAPSHOT_EDGE_AT, blocks);
    u32 edges = 0, groups = blocks / 5;
    for (u32 i = 0; i < blocks; i++) {
        /* Blocks of a kind lie together, so those of a session lie far from each other. */
        u32 kind = i / groups, n = i % groups;
        addr[i] = 0x10000000 + (u64)STEP * i;
        size[i] = kind == 0 ? 32 : kind == 1 ? 10 + n % 20 : kind == 4 ? 48 : 16;
        stack[i] = kind == 0 ? 1 : 1 + (kind * 199 + n % 97) % (STACKS - 1) + 1;
        row[i] = edges;
        for (u32 k = 0; kind == 0 && k < 3; k++) {
            u32 to = k == 0 ? 2 : k == 1 ? 1 : 4;
            target[edges] = to * groups + (u32)(n * 2654435761u % groups) + 1;
            at[edges++] = (u16)k;
        }
        if (kind == 2) {
            target[edges] = 3 * groups + n + 1;
            at[edges++] = 0;
        }
    }
    row[blocks] = edges;
    snapshot_writer_trim(&w, SNAPSHOT_EDGE_TARGET, edges);
    snapshot_writer_trim(&w, SNAPSHOT_EDGE_AT, edges);
    if (!snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

static void *take(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

int main(int argc, char **argv)
{
    static struct made made;
    struct catalog catalog;
    struct snapshot s;
    struct types t;
    struct types_memory memory = {take, NULL};
    struct err e = {0};
    u32 blocks = argc > 1 ? (u32)strtoul(argv[1], NULL, 10) : 10000000;
    blocks -= blocks % 5;
    make_catalog(&made, &catalog);
    make_snapshot(&s, blocks);
    types_build(&t, &s, &memory);
    const struct catalog *of_module[] = {NULL, &catalog};
    struct types_ask ask = {.catalogs = of_module, .memory_limit = UINT64_MAX};
    double began = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (!types_solve(&t, &ask, &e))
        fail_msg("%s", e.text);
    double took = now_ms(CLOCK_MONOTONIC) - began;
    cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    u32 typed = 0;
    for (u32 b = 1; b <= blocks; b++)
        typed += types_source_of_block(&t, (block_id){b}) > TYPES_SOURCE_SITE;
    printf("blocks=%u\nms=%.0f\ncpu_ms=%.0f\ntyped=%u\n", blocks, took, cpu, typed);
    types_free(&t);
    made_end(&made);
    snapshot_close(&s);
    return 0;
}
