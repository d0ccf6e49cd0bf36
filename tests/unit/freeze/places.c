/* SPDX-License-Identifier: MIT
 *
 * Tests of modules and threads: found by address and incarnation, also when unloaded ones overlap.
 */
#include "fake_track.h"
#include "freeze/job.h"

static struct snapshot_writer writer;
static struct freeze_job job;

static void begin(void)
{
    memset(&job, 0, sizeof job);
    assert_true(snapshot_writer_begin(&writer, 128 << 20));
    job.w = &writer;
    assert_true(freeze_strings_begin(&job.strings, &writer));
    assert_true(freeze_modules_begin(&job));
}

static void end(void)
{
    freeze_modules_end(&job.modules);
    snapshot_writer_abandon(&writer);
}

static void finds_modules_like_a_plain_search(void **state)
{
    (void)state;
    fake_seed();
    for (u32 round = 0; round < 200; round++) {
        fake.module_count = (u32)rand() % 40;
        for (u32 i = 0; i < fake.module_count; i++) {
            u64 lo = 1 + (u64)rand() % 200;
            fake.modules[i] = (struct track_module){
                .lo = lo,
                .hi = lo + (u64)rand() % 50, /* an empty one is a place not used */
                .incarnation = (u32)rand() % 4,
                .gone = rand() % 2,
            };
        }
        begin();
        for (u64 pc = 0; pc < 300; pc++) {
            for (u32 incarnation = 0; incarnation < 4; incarnation++) {
                u32 found = freeze_modules_find(&job.modules, pc, incarnation);
                const struct snapshot_module *m = &job.modules.records[found - 1];
                bool there = false;
                for (u32 i = 0; i < fake.module_count; i++)
                    there |= fake.modules[i].lo <= pc && pc < fake.modules[i].hi &&
                             fake.modules[i].incarnation == incarnation;
                assert_int_equal(found != 0, there);
                if (found)
                    assert_true(m->lo <= pc && pc < m->hi && m->incarnation == incarnation);
            }
            u32 now = freeze_modules_now(&job.modules, pc);
            bool there = false;
            for (u32 i = 0; i < fake.module_count; i++)
                there |=
                    fake.modules[i].lo <= pc && pc < fake.modules[i].hi && !fake.modules[i].gone;
            assert_int_equal(now != 0, there);
            if (now)
                assert_false(job.modules.records[now - 1].gone);
        }
        end();
    }
}

static void modules_and_threads_reach_the_snapshot(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.allocator = "";
    fake.module_count = 3;
    fake.modules[1] = (struct track_module){.lo = 0x1000,
                                            .hi = 0x2000,
                                            .bias = 0x500,
                                            .incarnation = 2,
                                            .gone = true,
                                            .build_id_bytes = 3,
                                            .build_id = {7, 8, 9},
                                            .path = "/lib/libplugin.so"};
    fake.thread_count = 4;
    fake.threads[0] = (struct track_thread){.number = 1, .tid = 100, .alive = true, .name = "main"};
    fake.threads[1] = (struct track_thread){.number = 4, .tid = 101, .name = "pool"};
    fake.threads[2] = (struct track_thread){.number = 4, .tid = 102, .name = "pool"};
    fake.threads[3] = (struct track_thread){.number = 9, .tid = 103, .alive = true, .name = ""};
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.module_count, 1);
    const struct snapshot_module *m = &s.modules[0];
    assert_int_equal(m->lo, 0x1000);
    assert_int_equal(m->hi, 0x2000);
    assert_int_equal(m->bias, 0x500);
    assert_int_equal(m->incarnation, 2);
    assert_int_equal(m->gone, 1);
    assert_int_equal(m->build_id_bytes, 3);
    assert_int_equal(m->build_id[2], 9);
    assert_string_equal(s.strings + m->path, "/lib/libplugin.so");
    assert_int_equal(s.thread_count, 3);
    assert_int_equal(snapshot_thread_of(&s, 4)->tid, 101);
    assert_int_equal(snapshot_thread_of(&s, 4)->alive, 0);
    assert_int_equal(snapshot_thread_of(&s, 1)->alive, 1);
    assert_string_equal(s.strings + snapshot_thread_of(&s, 1)->name, "main");
    snapshot_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_modules_like_a_plain_search),
        cmocka_unit_test(modules_and_threads_reach_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
