/* SPDX-License-Identifier: MIT
 *
 * Clones of this process keep its memory while it goes on writing to its own.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../busy.h"
#include "fake_track.h"
#include "freeze/clone.h"
#include "freeze/held.h"

enum { BIG_BYTES = 1 << 20 };

static int last_pid;

static struct freeze_held *hold(u64 ns, u64 bytes)
{
    struct freeze_request r = {.hold_ns = ns, .hold_bytes = bytes};
    struct freeze_held *h = held_create(&r, 1ull << 30);
    assert_non_null(h);
    last_pid = clone_begin(NULL);
    if (last_pid == 0)
        held_serve(h);
    assert_true(last_pid > 0);
    held_began(h, last_pid);
    return h;
}

static bool reads(struct freeze_held *h, const void *at, size_t bytes, const void *wanted)
{
    static u8 got[BIG_BYTES];
    struct err e = {0};
    memset(got, 0xaa, bytes);
    if (!freeze_held_read(h, (u64)at, got, bytes, &e))
        fail_msg("%s", e.text);
    return memcmp(got, wanted, bytes) == 0;
}

static void refuses(struct freeze_held *h, u64 at, size_t bytes, enum status why)
{
    static u8 got[BIG_BYTES];
    struct err e = {0};
    assert_false(freeze_held_read(h, at, got, bytes, &e));
    assert_int_equal(e.status, why);
    assert_true(e.text[0]);
}

static void ends_by_itself(struct freeze_held *h)
{
    u64 cost;
    BUSY_AWAIT(!freeze_held_alive(h, &cost));
    assert_int_equal(cost, 0);
}

static void has_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(kill(last_pid, 0), -1);
}

static void moments_stay(void **state)
{
    (void)state;
    u8 *big = malloc(BIG_BYTES), *as_it_was = malloc(BIG_BYTES);
    volatile u64 word = 1; /* nobody but the clone reads the first values */
    unsigned seed = fake_seed();
    for (u32 i = 0; i < BIG_BYTES; i++)
        as_it_was[i] = big[i] = (u8)(rand_r(&seed) >> 8);
    struct freeze_held *first = hold(0, 0);
    word = 2;
    struct freeze_held *second = hold(0, 0);
    word = 3;
    memset(big, 0, BIG_BYTES);
    assert_true(reads(first, (const u64 *)&word, sizeof word, &(u64){1}));
    assert_true(reads(second, (const u64 *)&word, sizeof word, &(u64){2}));
    assert_true(reads(first, big, BIG_BYTES, as_it_was));
    for (u32 i = 0; i < 300; i++) {
        u32 at = (u32)rand_r(&seed) % BIG_BYTES, most = BIG_BYTES - at;
        u32 bytes = (u32)rand_r(&seed) % (most < 100000 ? most : 100000);
        assert_true(reads(second, big + at, bytes, as_it_was + at));
    }
    freeze_held_end(first);
    free(big);
    assert_true(reads(second, (const u64 *)&word, sizeof word, &(u64){2}));
    freeze_held_end(second);
    has_no_child();
    free(as_it_was);
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    u8 *pages = mmap(NULL, 3 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 'p', 3 * PAGE_BYTES);
    mprotect(pages + PAGE_BYTES, PAGE_BYTES, PROT_NONE);
    FILE *file = tmpfile();
    assert_int_equal(ftruncate(fileno(file), 2 * PAGE_BYTES), 0);
    u8 *mapped = mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, fileno(file), 0);
    u8 *ours = sys_map(PAGE_BYTES);
    ours[0] = 1;
    struct freeze_held *h = hold(0, 0);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    refuses(h, 0, 1, STATUS_NOT_FOUND);
    refuses(h, 1ull << 63, 8, STATUS_NOT_FOUND);
    refuses(h, UINT64_MAX - 3, 4, STATUS_NOT_FOUND);
    refuses(h, (u64)pages + PAGE_BYTES, 1, STATUS_NOT_FOUND);
    refuses(h, (u64)pages + PAGE_BYTES - 1, 2, STATUS_NOT_FOUND);
    refuses(h, (u64)pages, 3 * PAGE_BYTES, STATUS_NOT_FOUND);
    refuses(h, (u64)mapped, 10, STATUS_NOT_FOUND);
    refuses(h, (u64)ours, 1, STATUS_NOT_FOUND); /* it does not keep what is Moonheap's */
    assert_true(reads(h, pages + PAGE_BYTES - 3, 3, "ppp"));
    assert_true(reads(h, pages + 2 * PAGE_BYTES, 3, "ppp"));
    assert_true(reads(h, pages, 0, ""));
    freeze_held_end(h);
    has_no_child();
    munmap(pages, 3 * PAGE_BYTES);
    munmap(mapped, 2 * PAGE_BYTES);
    sys_unmap(ours, PAGE_BYTES);
    fclose(file);
}

static void a_killed_one_says_so(void **state)
{
    (void)state;
    u64 word = 5;
    struct freeze_held *h = hold(0, 0);
    assert_true(reads(h, &word, sizeof word, &(u64){5}));
    kill(last_pid, SIGKILL);
    ends_by_itself(h);
    refuses(h, (u64)&word, sizeof word, STATUS_IO);
    freeze_held_end(h);
    has_no_child();
    h = hold(0, 0);
    kill(last_pid, SIGKILL);
    freeze_held_end(h);
    has_no_child();
}

/* Is it used for twice as long as an unused one is kept? Not when this thread itself did not get its
 * turn in time. */
static bool used_for_longer(struct freeze_held *h, const u64 *word)
{
    u64 used_ns = sys_monotonic_ns();
    for (u32 i = 0; i < 8; i++) {
        u8 got[8];
        struct err e = {0};
        usleep(250000);
        bool good = freeze_held_read(h, (u64)word, got, sizeof got, &e);
        if (sys_monotonic_ns() - used_ns > 900000000)
            return false;
        assert_true(good && memcmp(got, word, sizeof got) == 0);
        used_ns = sys_monotonic_ns();
    }
    return true;
}

static void an_unused_one_ends(void **state)
{
    (void)state;
    enum { TRIES = 20 };
    u64 word = 6;
    struct freeze_held *h = hold(1000000000, 0);
    bool used = used_for_longer(h, &word);
    for (u32 i = 1; !used && i < TRIES; i++) {
        freeze_held_end(h);
        h = hold(1000000000, 0);
        used = used_for_longer(h, &word);
    }
    assert_true(used);
    ends_by_itself(h);
    refuses(h, (u64)&word, sizeof word, STATUS_TIMEOUT);
    freeze_held_end(h);
    has_no_child();
}

static void a_costly_one_ends(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    u8 *much = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(much, 1, BYTES);
    u64 cost, least = BYTES / 8;
    struct freeze_held *h = hold(0, BYTES / 2);
    memset(much, 2, least);
    BUSY_AWAIT(!freeze_held_alive(h, &cost) || cost >= least);
    assert_true(freeze_held_alive(h, &cost));
    assert_in_range(cost, least, BYTES / 2);
    assert_true(reads(h, much, 1, "\1"));
    memset(much, 3, BYTES);
    ends_by_itself(h);
    refuses(h, (u64)much, 1, STATUS_LIMIT);
    freeze_held_end(h);
    has_no_child();
    munmap(much, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_stay),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(a_killed_one_says_so),
        cmocka_unit_test(an_unused_one_ends),
        cmocka_unit_test(a_costly_one_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
