/* SPDX-License-Identifier: MIT
 *
 * Tests of the module heap: what it asks of its host, live and offline.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    world_block(&f.world, 0x1000, 100, world_calls(&f.world, "main", "make", NULL));
    return 0;
}

static void snapshots(void **state)
{
    (void)state;
    fake_prints(&f, "print(#heap.snapshot(), #heap.snapshot{graph = false})", "1\t1\n");
    assert_int_equal(f.snapshots, 2);
    fake_fails(&f, "heap.snapshot{graf = true}", "unknown option 'graf'");
    f.refuse = true;
    fake_prints(&f, "print(heap.snapshot())", "nil\tno address space\n");
}

static void stats(void **state)
{
    (void)state;
    f.stats = (struct host_stats){1, 2,  3,  4,  5,  6,  7,  8, 9,
                                  10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 1500000000};
    fake_prints(&f, "local s = heap.stats() print(s.live_blocks, s.live_bytes, s.peak_bytes, "
                    "s.peak_blocks, s.allocations, s.frees, s.untracked_frees, s.lost, s.rss_bytes, "
                    "s.allocator_bytes, s.overhead_bytes, s.custom_blocks, s.custom_bytes, "
                    "s.custom_allocations, s.custom_frees, s.misuses, s.started)",
                "1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\t13\t14\t15\t16\t1.5\n");
    fake_prints(&f, "print(heap.reset_peak())", "true\n");
    assert_int_equal(f.peaks_reset, 1);
}

static void threads(void **state)
{
    (void)state;
    static const char list[] =
        "for _, t in ipairs(heap.threads()) do print(t.tid, t.number, t.name, t.stack, t.why) end";
    fake_prints(&f, list, "4711\t1\tmain\tnil\tnil\n"); /* nobody was stopped */
    world_stands(&f.world, 4711, 1, "main");
    u32 inner = world_frame(&f.world, "take", WORLD_SERVER);
    world_line(&f.world, "inlined", "/src/take.h", 3);
    world_line(&f.world, "take", "/src/take.c", 7);
    world_stands_in(&f.world, 0x1000, 0x1100, inner);
    world_stands_in(&f.world, 0x1100, 0x1200, world_frame(&f.world, "main", WORLD_SERVER));
    world_stands_in(&f.world, 0x1200, 0x1300, inner);
    f.world.calls[2].flags = SNAPSHOT_CALL_SIGNAL;
    world_stands(&f.world, 4712, 0, "never allocated");
    f.world.stop = SNAPSHOT_STOP_SIGNALS;
    fake_prints(&f, list,
                "4711\t1\tmain\tinlined (take.h:3) < take (take.c:7) < main < "
                "<signal handler called>\tnil\n"
                "4712\tnil\tnever allocated\t\tnil\n"
                "4713\tnil\tdeaf\tnil\tblocks it\n");
    fake_prints(&f, "print(heap.snapshot():threads()[1].stack == heap.threads()[1].stack)",
                "true\n");
    f.refuse = true;
    fake_prints(&f, "print(heap.threads())", "nil\tno address space\n");
}

static void recording(void **state)
{
    (void)state;
    fake_prints(&f, "heap.start() print(heap.tracking())", "true\tfull\n");
    assert_int_equal(f.stack_limit, 64);
    fake_prints(&f, "heap.start{stack = 8, sample = 512 * 1024} print(heap.tracking())",
                "true\tsample:524288\n");
    assert_int_equal(f.stack_limit, 8);
    fake_prints(&f, "print(heap.stop()) print(heap.tracking())", "true\nfalse\toff\n");
    fake_prints(&f, "print(heap.peak())", "nil\tthe peak is not kept\n");
    fake_prints(&f, "heap.start{peak = true} local s = heap.peak() print(s.peak, #s)\n"
                    "print(heap.snapshot{graph = false}.peak)", "true\t1\nfalse\n");
    assert_true(f.peak_kept);
    fake_prints(&f, "heap.start() print(heap.peak())", "nil\tthe peak is not kept\n");
    fake_fails(&f, "heap.start{stack = 0}", "must be 1 to 256");
    fake_fails(&f, "heap.start{sample = 0}", "1 or more");
    fake_fails(&f, "heap.start{simple = 1}", "unknown option");
}

static void marks_split_ages(void **state)
{
    (void)state;
    /* All blocks were born 19 s before the snapshot. */
    f.world.monotonic_ns = sys_monotonic_ns() + 10000000000;
    fake_prints(&f, "print(heap.mark 'warm') print(heap.snapshot():by('age')[1].key)",
                "true\n<1m\n");
    f.world.monotonic_ns = sys_monotonic_ns() + 100000000000;
    fake_prints(&f, "print(heap.snapshot():by('age')[1].key)", "<1m, since warm\n");
    fake_prints(&f, "for i = 1, 100 do heap.mark('m' .. i) end "
                    "print(heap.snapshot():by('age')[1].key)", "<1m, since m100\n");
}

static void offline(void **state)
{
    (void)state;
    fake_offline(&f);
    f.stats.live_blocks = 12;
    fake_prints(&f, "for _, name in ipairs{'threads', 'peak', 'reset_peak', 'start', 'stop', 'tracking', "
                    "'every', 'pressure', 'mark'} do\n"
                    "  local a, b = heap[name](name == 'mark' and 'x' or nil)\n"
                    "  if a ~= nil or b ~= 'not available offline' then print(name, a, b) end\n"
                    "end\n"
                    "print(heap.stats().live_blocks, #heap.snapshot())", "12\t1\n");
    assert_int_equal(f.outcome.pause_ns, 0);
}

static void texts(void **state)
{
    (void)state;
    fake_prints(&f, "print(heap.text_count(18099), heap.text_bytes(2 << 20))", "18 099\t2.0 MiB\n");
    fake_fails(&f, "heap.text_count('x')", "number expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(snapshots, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(stats, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(threads, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(recording, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(marks_split_ages, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(offline, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(texts, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
