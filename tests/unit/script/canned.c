/* SPDX-License-Identifier: MIT
 *
 * Tests of the canned scripts that ask about references, over a made-up heap.
 */
#include "held.h"

static void runs(const char *name, const char *args, const char *output)
{
    f.args = args;
    assert_string_equal(fake_run_path(&f, name), output);
    assert_true(f.outcome.ok);
}

static void why(void **state)
{
    (void)state;
    runs("why", "0x2010",
         "0x2000  64 B  site:node  from node  19.0 s old\nglobal server+0x40\n"
         "  → site:table+0x0  0x1000  256 B  from table\n  → site:node  0x2000  64 B  from node\n"
         "retains 3 blocks, 192 B\n");
    runs("why", "0x5000 2",
         "0x5000  64 B  site:leaf  from leaf  19.0 s old\nglobal server+0x40\n"
         "  → site:table+0x8  0x1000  256 B  from table\n  → site:leaf  0x5000  64 B  from leaf\n"
         "retains 1 blocks, 64 B\n");
    runs("why", "0x8000",
         "0x8000  64 B  site:lost  from lost  19.0 s old\nnothing holds it: it is unreachable\n"
         "retains 2 blocks, 128 B\n");
    runs("why", "8", "0x8 is in no live block: unmapped\n");
    runs("why", "x",
         "usage: why ADDRESS [PATHS]   (an address in the block, such as 0x55d0c8a0)\n");
}

static void unreachable(void **state)
{
    (void)state;
    runs("unreachable", "1",
         "4 blocks, 256 B are unreachable; by stack, oldest first (run me again to confirm):\n"
         "  2 blocks, 128 B, oldest 19.0 s: leaf < main\n  ... and 1 more stacks\n");
    assert_true(f.outcome.waiting);
    f.world.blocks[7].birth++;
    runs("unreachable", "1",
         "3 blocks, 192 B are unreachable in both snapshots; by stack, oldest first:\n"
         "  2 blocks, 128 B, oldest 19.0 s: leaf < main\n  ... and 1 more stacks\n");
    assert_false(f.outcome.waiting);
}

static void holders(void **state)
{
    (void)state;
    runs("holders", "2",
         "512 B in 5 blocks by 0x1000  256 B  site:table  from table  19.0 s old\n"
         "  global server+0x40 → site:table\n"
         "192 B in 3 blocks by 0x2000  64 B  site:node  from node  19.0 s old\n"
         "  global server+0x40 → site:table+0x0 → site:node\n");
}

static void hunt(void **state)
{
    (void)state;
    runs("hunt", "", "12 blocks, 960 B; run me again after some load\n");
    struct world *w = &f.world;
    world_block(w, 0x100000, 1000, w->blocks[1].stack);
    world_edge(w, (struct world_edge){12, 0, 0, 13, 0});
    runs("hunt", "",
         "site:node grew by 1 blocks, 1.0 KiB in 0.0 s; 1 of it are new\n"
         "1 unreachable\n"
         "  0x100000  1.0 KiB  site:node  from node  19.0 s old\n");
    runs("hunt", "", "13 blocks, 1.9 KiB; run me again after some load\n");
    runs("hunt", "", "nothing grew\n");
}

static void threads(void **state)
{
    (void)state;
    struct world *w = &f.world;
    u32 wait = world_frame(w, "wait", WORLD_LIBC), serve = world_frame(w, "serve", WORLD_SERVER);
    runs("threads", "", "1 thread stands in 1 place\n\n1 thread: main 4711\n  not stopped\n");
    world_stands(w, 4711, 1, "main");
    world_stands_in(w, 0x1000, 0x1100, world_frame(w, "read", WORLD_LIBC));
    for (u32 i = 0; i < 9; i++) {
        world_stands(w, 4720 + i, 0, "worker");
        world_stands_in(w, 0x2000, 0x2100, wait);
        world_stands_in(w, 0x2100, 0x2200, serve);
    }
    w->stop = SNAPSHOT_STOP_SIGNALS;
    runs("threads", "",
         "11 threads stand in 3 places\n\n"
         "9 threads: worker 4720, worker 4721, worker 4722, worker 4723, worker 4724, worker 4725, "
         "worker 4726, worker 4727 and 1 more\n  wait < serve\n"
         "1 thread: deaf 4713\n  not stopped: blocks it\n"
         "1 thread: main 4711\n  read\n");
    runs("threads", "^read", "1 thread stands in 1 place\n\n1 thread: main 4711\n  read\n");
}

static void without_references(void **state)
{
    (void)state;
    f.world.flags = 0;
    const char *none = "this snapshot has no references: made up\n";
    runs("unreachable", "", none);
    runs("holders", "", none);
    runs("hunt", "", none);
    runs("why", "0x8000",
         "0x8000  64 B  site:lost  from lost  19.0 s old\n"
         "this snapshot has no references: made up\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(why),
        held_test(unreachable),
        held_test(holders),
        held_test(hunt),
        held_test(threads),
        held_test(without_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
