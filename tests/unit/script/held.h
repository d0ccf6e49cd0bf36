/* SPDX-License-Identifier: MIT
 *
 * held.h - a made-up heap with references, for the tests of what scripts ask about them:
 *
 *   global server+0x40 -> table 1 -+0x0-> node 2 -+0x8-> node 3 -+0x8-> node 4 -+0x0-> leaf 5
 *                         table 1 -+0x8-> leaf 5
 *   stack of main      -> 0x10 into leaf 6 (interior)      dead stack of main -> leaf 7
 *   lost 8 -> lost 9 -> lost 8 (a cycle that nobody holds)
 *   register rbx of main -> table 10, whose word 1, past its end, -> leaf 11
 *   leaf 12: referred to by nobody
 *
 * Block i is at 0x1000 * i and of 64 bytes, but table 1 of 256.
 */
#ifndef TESTS_UNIT_SCRIPT_HELD_H
#define TESTS_UNIT_SCRIPT_HELD_H

#include "fake.h"

enum { HELD_BLOCKS = 12 };

static inline void held_begin(void)
{
    static const char *const makers[HELD_BLOCKS] = {"table", "node",  "node", "node",
                                                    "leaf",  "leaf",  "leaf", "lost",
                                                    "lost",  "table", "leaf", "leaf"};
    fake_begin(&f);
    struct world *w = &f.world;
    u32 stacks[HELD_BLOCKS];
    for (u32 i = 0; i < HELD_BLOCKS; i++) {
        stacks[i] = 0;
        for (u32 j = 0; j < i; j++)
            if (!strcmp(makers[j], makers[i]))
                stacks[i] = stacks[j];
        if (!stacks[i])
            stacks[i] = world_calls(w, "main", makers[i], NULL);
        world_block(w, 0x1000 * (i + 1), i ? 64 : 256, stacks[i]);
    }
    w->flags = SNAPSHOT_FLAG_GRAPH | SNAPSHOT_FLAG_STOPPED;
    world_thread(w, 1, 4711, "main");
    u32 reg =
        world_root(w, (struct snapshot_root){
                          .hi = 136, .kind = SNAPSHOT_ROOT_REGISTER, .thread = 1, .tid = 4711});
    u32 stack = world_root(
        w,
        (struct snapshot_root){
            .lo = 0x7f0000, .hi = 0x7f8000, .kind = SNAPSHOT_ROOT_STACK, .thread = 1, .tid = 4711});
    u32 dead = world_root(w, (struct snapshot_root){.lo = 0x7e0000,
                                                    .hi = 0x7f0000,
                                                    .kind = SNAPSHOT_ROOT_DEAD_STACK,
                                                    .thread = 1,
                                                    .tid = 4711});
    u32 data =
        world_root(w, (struct snapshot_root){
                          .lo = 0x400000, .hi = 0x401000, .kind = SNAPSHOT_ROOT_DATA, .module = 1});
    world_edge(w, (struct world_edge){0, reg, 3, 10, 0});
    world_edge(w, (struct world_edge){0, stack, 16, 6, 16});
    world_edge(w, (struct world_edge){0, dead, 2, 7, 0});
    world_edge(w, (struct world_edge){0, data, 8, 1, 0});
    world_edge(w, (struct world_edge){1, 0, 0, 2, 0});
    world_edge(w, (struct world_edge){1, 0, 1, 5, 0});
    world_edge(w, (struct world_edge){2, 0, 1, 3, 0});
    world_edge(w, (struct world_edge){3, 0, 1, 4, 0});
    world_edge(w, (struct world_edge){4, 0, 0, 5, 0});
    world_edge(w, (struct world_edge){8, 0, 0, 9, 0});
    world_edge(w, (struct world_edge){9, 0, 2, 8, 0});
    world_edge(w, (struct world_edge){10, 0, 1, 11, 0});
    w->tails[w->tail_count++] = (struct snapshot_tail){.block = 10, .used = 8};
}

/* In scripts: s the snapshot, block(i), list(set) the numbers of its blocks. */
#define HELD                                                                                       \
    "local s = heap.snapshot() local function block(i) return s:at(0x1000 * i) end "               \
    "local function list(set) local t = {} for b in set:each() do t[#t + 1] = b.addr // 0x1000 "   \
    "end return table.concat(t, ' ') end\n"

static inline int held_setup(void **state)
{
    (void)state;
    held_begin();
    return 0;
}

#define held_test(test) cmocka_unit_test_setup_teardown(test, held_setup, fake_teardown)

#endif
