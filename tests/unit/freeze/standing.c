/* SPDX-License-Identifier: MIT
 *
 * Tests of what is written of threads that stand: who has which part of which stack. The walk is
 * fake_track's: frames of 64 bytes, each with its return address in the last word.
 */
#include <unistd.h>

#include "freeze/standing.h"
#include "image.h"

enum { FRAME = 64, PC = 0x400100 };

static struct snapshot shot;

static void take(const struct stop *stop)
{
#ifdef IMAGE_SHADOWED
    skip();
#endif
    struct snapshot_writer w;
    struct freeze_job j;
    struct err e = {0};
    struct track_counters c = {0};
    assert_true(snapshot_writer_begin(&w, 1ull << 32));
    assert_true(freeze_job_begin(&j, &w));
    struct regions *regions = regions_read(&j.strings);
    assert_non_null(regions);
    assert_true(standing_walk(&j, regions, stop) && freeze_stacks(&j));
    regions_free(regions);
    freeze_job_finish(&j, &image_request, &c);
    freeze_job_end(&j);
    if (!snapshot_writer_finish(&w, &shot, &e))
        fail_msg("%s", e.text);
}

/* A stack of so many frames at the end of the memory; its stack pointer. */
static u64 lay_frames(u8 *end, u32 frames)
{
    u8 *sp = end - frames * FRAME;
    for (u32 i = 0; i < frames; i++) {
        u64 pc = i + 1 == frames ? 0 : PC + i;
        memcpy(sp + i * FRAME + FRAME - 8, &pc, sizeof pc);
    }
    return (u64)sp;
}

static struct stop_thread thread_at(int tid, u64 pc, u64 sp)
{
    struct stop_thread t = {.tid = tid, .state = STOP_STOPPED};
    t.regs.rip = pc;
    t.regs.rsp = sp;
    return t;
}

static u64 pc_of(const struct snapshot_call *c)
{
    return shot.frames[c->frame - 1].pc;
}

static void frames_and_their_parts(void **state)
{
    (void)state;
    u8 *pages = image_pages(4 * PAGE_BYTES);
    u8 *one = pages + PAGE_BYTES, *other = pages + 3 * PAGE_BYTES;
    u64 sp = lay_frames(one, 3), touching = lay_frames(other, 2 * PAGE_BYTES / FRAME);
    fake.threads[0] = (struct track_thread){.number = 7, .tid = 900, .alive = true, .name = "old"};
    fake.thread_count = 1;
    fake.modules[0] = (struct track_module){.lo = 0x400000, .hi = 0x500000};
    fake.module_count = 1;
    struct stop_thread threads[] = {
        thread_at(gettid(), PC + 50, sp),
        {.tid = 3, .state = STOP_GONE},
        thread_at(900, PC + 50, touching),
        thread_at(5, PC, 0xdead00000000), /* no such memory */
    };
    struct stop stop = {.pid = getpid(), .count = COUNT_OF(threads), .threads = threads};
    take(&stop);

    assert_int_equal(shot.standing_count, 3);
    const struct snapshot_standing *none = snapshot_standing_of(&shot, 5),
                                   *self = snapshot_standing_of(&shot, (u32)gettid()),
                                   *old = snapshot_standing_of(&shot, 900);
    assert_null(snapshot_standing_of(&shot, 3));
    assert_true(none && self && old);
    assert_int_equal(none->call_count, 1);
    assert_int_equal(none->flags, SNAPSHOT_STANDING_CUT);
    assert_int_equal(shot.calls[none->first_call].lo, shot.calls[none->first_call].hi);

    assert_int_equal(self->thread, 0);
    char name[32];
    assert_true(freeze_process_text("/proc/thread-self/comm", name, sizeof name));
    name[strcspn(name, "\n")] = '\0';
    assert_string_equal(shot.strings + self->name, name);
    assert_int_equal(self->flags, 0);
    assert_int_equal(self->call_count, 3);
    const struct snapshot_call *c = &shot.calls[self->first_call];
    assert_int_equal(c[0].lo, sp - 128);
    assert_int_equal(c[0].hi, sp + FRAME);
    assert_int_equal(c[0].flags, SNAPSHOT_CALL_EXACT);
    assert_int_equal(pc_of(&c[0]), PC + 51); /* as if it had called there */
    assert_int_equal(shot.frames[c[0].frame - 1].module, 1);
    for (u32 i = 1; i < 3; i++) {
        assert_int_equal(c[i].lo, sp + i * FRAME);
        assert_int_equal(c[i].hi, sp + (i + 1) * FRAME);
        assert_int_equal(c[i].flags, 0);
        assert_int_equal(pc_of(&c[i]), PC + i - 1);
    }

    assert_int_equal(old->thread, 7);
    assert_string_equal(shot.strings + old->name, "old");
    assert_int_equal(old->call_count, 2 * PAGE_BYTES / FRAME);
    /* the same code address is the same frame, whoever stands there */
    assert_int_equal(shot.calls[old->first_call].frame, c[0].frame);
    assert_int_equal(shot.calls[old->first_call + 1].frame, c[1].frame);
    snapshot_close(&shot);
    munmap(pages, 4 * PAGE_BYTES);
    fake.thread_count = fake.module_count = 0;
}

static void ends_with_the_memory_and_at_the_limit(void **state)
{
    (void)state;
    enum { PAGES = 8, MANY = 256 };
    u8 *pages = image_pages(PAGES * PAGE_BYTES);
    lay_frames(pages + 2 * PAGE_BYTES, 8);
    u64 wild = (u64)pages + 2 * PAGE_BYTES - FRAME - 8, pc = PC; /* its caller's is out of reach */
    memcpy(pages + 2 * PAGE_BYTES - 16, &pc, sizeof pc);
    mprotect(pages + 2 * PAGE_BYTES, PAGE_BYTES, PROT_NONE);
    u64 deep = lay_frames(pages + 8 * PAGE_BYTES, 5 * PAGE_BYTES / FRAME);
    struct stop_thread threads[] = {thread_at(1, PC, wild), thread_at(2, PC, deep)};
    struct stop stop = {.pid = getpid(), .count = COUNT_OF(threads), .threads = threads};
    take(&stop);
    assert_int_equal(shot.standing[0].call_count, 2);
    assert_int_equal(shot.standing[0].flags, SNAPSHOT_STANDING_CUT);
    assert_int_equal(shot.calls[1].lo, wild + FRAME);
    assert_int_equal(shot.calls[1].hi, wild + FRAME); /* it would reach out of its mapping */
    assert_int_equal(shot.standing[1].call_count, MANY);
    assert_int_equal(shot.standing[1].flags, SNAPSHOT_STANDING_CUT);
    snapshot_close(&shot);
    munmap(pages, PAGES * PAGE_BYTES);
}

/* A register may point anywhere: to a page of a file, say, that the file has no more. */
static void shared_memory_is_not_read(void **state)
{
    (void)state;
    int fd = memfd_create("gone", 0);
    assert_true(fd >= 0 && ftruncate(fd, PAGE_BYTES) == 0);
    u8 *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(page != MAP_FAILED && ftruncate(fd, 0) == 0);
    struct stop_thread thread = thread_at(1, PC, (u64)page + 512);
    struct stop stop = {.pid = getpid(), .count = 1, .threads = &thread};
    take(&stop);
    assert_int_equal(shot.standing[0].call_count, 1);
    assert_int_equal(shot.standing[0].flags, SNAPSHOT_STANDING_CUT);
    snapshot_close(&shot);
    munmap(page, PAGE_BYTES);
    close(fd);
}

static void nobody_stands(void **state)
{
    (void)state;
    struct stop stop = {.pid = getpid()};
    take(&stop);
    assert_int_equal(shot.standing_count, 0);
    assert_int_equal(shot.call_count, 0);
    snapshot_close(&shot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_and_their_parts),
        cmocka_unit_test(ends_with_the_memory_and_at_the_limit),
        cmocka_unit_test(shared_memory_is_not_read),
        cmocka_unit_test(nobody_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
