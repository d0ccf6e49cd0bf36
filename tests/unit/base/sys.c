/* SPDX-License-Identifier: MIT
 *
 * The raw calls are compared with the C library's wrappers; none of them touches errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"

static void failures_leave_errno_alone(void **state)
{
    (void)state;
    errno = 1234;
    assert_int_equal(sys_open("/nowhere/at/all", O_RDONLY, 0), -ENOENT);
    char c;
    assert_int_equal(sys_read(-1, &c, 1), -EBADF);
    assert_false(sys_write_all(-1, "x", 1, 10));
    sys_close(-1);
    assert_int_equal(errno, 1234);
}

static void files_read_back(void **state)
{
    (void)state;
    char path[] = "/tmp/moonheap-unit-XXXXXX";
    close(mkstemp(path));
    int fd = sys_open(path, O_RDWR | O_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_true(sys_write_all(fd, "hello world", 11, 0));
    char out[16] = "";
    assert_int_equal(sys_pread(fd, out, sizeof out, 6), 5);
    assert_string_equal(out, "world");
    sys_close(fd);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    unlink(path);
}

struct reader {
    int fd;
    size_t total;
};

static void *drain(void *argument)
{
    static char buffer[8192];
    struct reader *reader = argument;
    long got;
    usleep(20000);
    while ((got = sys_read(reader->fd, buffer, sizeof buffer)) > 0)
        reader->total += (size_t)got;
    return NULL;
}

static void writes_wait_for_a_slow_reader(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    fcntl(ends[0], F_SETFL, 0);
    struct reader reader = {.fd = ends[0]};
    pthread_t thread;
    pthread_create(&thread, NULL, drain, &reader);
    size_t bytes = 1 << 20;
    char *data = calloc(1, bytes);
    assert_true(sys_write_all(ends[1], data, bytes, 60000));
    sys_close(ends[1]);
    pthread_join(thread, NULL);
    assert_int_equal(reader.total, bytes);
    sys_close(ends[0]);
    free(data);
}

static void writes_give_up_on_a_dead_reader(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    size_t bytes = 1 << 20;
    char *data = calloc(1, bytes);
    u64 before = sys_monotonic_ns();
    assert_false(sys_write_all(ends[1], data, bytes, 30));
    u64 waited = sys_monotonic_ns() - before;
    assert_true(waited > 25000000 && waited < 30000000000);
    free(data);
    sys_close(ends[0]);
    sys_close(ends[1]);
}

static void memory_comes_and_goes(void **state)
{
    (void)state;
    size_t bytes = 4 * PAGE_BYTES;
    char *p = sys_map(bytes);
    assert_non_null(p);
    memset(p, 7, bytes);
    sys_discard(p + PAGE_BYTES, PAGE_BYTES);
    assert_int_equal(p[0], 7);
    assert_int_equal(p[PAGE_BYTES], 0);
    assert_int_equal(p[2 * PAGE_BYTES], 7);
    sys_unmap(p, bytes);
    assert_int_equal(msync(p, bytes, MS_ASYNC), -1);

    char *r = sys_reserve(1UL << 36);
    assert_non_null(r);
    char out;
    assert_int_equal(sys_read_memory((u64)r, &out, 1), 0);
    assert_true(sys_commit(r + PAGE_BYTES, PAGE_BYTES));
    r[PAGE_BYTES] = 1;
    sys_unmap(r, 1UL << 36);
    assert_null(sys_map((size_t)1 << 60));
}

/* The flags of the mapping that begins at `p`, proc(5): smaps. */
static void flags_of(const void *p, char flags[256])
{
    char line[256], begin[32];
    FILE *f = fopen("/proc/self/smaps", "r");
    bool found = false;
    assert_non_null(f);
    snprintf(begin, sizeof begin, "%lx-", (unsigned long)p);
    while (fgets(line, sizeof line, f)) {
        found |= strncmp(line, begin, strlen(begin)) == 0;
        if (found && strncmp(line, "VmFlags:", 8) == 0)
            break;
    }
    fclose(f);
    assert_true(found);
    strcpy(flags, line);
}

static void sparse_memory_has_small_pages(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
        skip();
    enum { BYTES = 8 << 20 };
    char flags[256], *p = sys_map_sparse(BYTES);
    assert_non_null(p);
    flags_of(p, flags);
    assert_non_null(strstr(flags, " nh"));
    sys_unmap(p, BYTES);
    p = sys_map(BYTES);
    assert_non_null(p);
    sys_small_pages(p + 1, BYTES - 2); /* not the pages that are others' as well */
    flags_of(p, flags);
    assert_null(strstr(flags, " nh"));
    flags_of(p + PAGE_BYTES, flags);
    assert_non_null(strstr(flags, " nh"));
    sys_unmap(p, BYTES);
}

static void shared_memory_is_shared(void **state)
{
    (void)state;
    u32 *word = sys_map_shared(PAGE_BYTES);
    assert_non_null(word);
    pid_t child = fork();
    if (child == 0) {
        *word = 99;
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(*word, 99);
    sys_unmap(word, PAGE_BYTES);
}

static void memory_that_is_not_there_reads_short(void **state)
{
    (void)state;
    char *p = sys_map(3 * PAGE_BYTES);
    memset(p, 5, 3 * PAGE_BYTES);
    mprotect(p + PAGE_BYTES, PAGE_BYTES, PROT_NONE);
    char out[3 * PAGE_BYTES];
    assert_int_equal(sys_read_memory((u64)p, out, sizeof out), PAGE_BYTES);
    assert_int_equal(sys_read_memory((u64)p + 100, out, 200), 200);
    assert_memory_equal(out, p + 100, 200);
    assert_int_equal(sys_read_memory((u64)p + PAGE_BYTES - 3, out, 10), 3);
    assert_int_equal(sys_read_memory((u64)p + PAGE_BYTES, out, 10), 0);
    assert_int_equal(sys_read_memory(0, out, 10), 0);
    assert_int_equal(sys_read_memory(UINT64_MAX - 4, out, 10), 0);
    char more[8];
    u64 there = (u64)p + 2 * PAGE_BYTES, ends = (u64)p + PAGE_BYTES - 3;
    memset((char *)there, 6, 8);
    assert_true(sys_read_memory_pair((u64)p, out, 10, there, more, 8));
    assert_memory_equal(more, (char *)there, 8);
    assert_true(sys_read_memory_pair((u64)p, out, 10, 0, more, 0));
    assert_false(sys_read_memory_pair(ends, out, 10, there, more, 8));
    assert_false(sys_read_memory_pair(there, more, 8, ends, out, 10));
    assert_false(sys_read_memory_pair(there, more, 8, 0, out, 1));
    sys_unmap(p, 3 * PAGE_BYTES);
}

static void clocks_agree_with_libc(void **state)
{
    (void)state;
    static const struct {
        clockid_t id;
        u64 (*read)(void);
    } clocks[] = {{CLOCK_MONOTONIC, sys_monotonic_ns},
                  {CLOCK_MONOTONIC_COARSE, sys_coarse_ns},
                  {CLOCK_REALTIME, sys_realtime_ns}};
    for (size_t i = 0; i < COUNT_OF(clocks); i++) {
        struct timespec before, after;
        clock_gettime(clocks[i].id, &before);
        u64 ns = clocks[i].read();
        clock_gettime(clocks[i].id, &after);
        assert_true(ns >= (u64)before.tv_sec * 1000000000 + (u64)before.tv_nsec);
        assert_true(ns <= (u64)after.tv_sec * 1000000000 + (u64)after.tv_nsec);
    }
}

static void *sleep_until_told(void *argument)
{
    u32 *word = argument;
    while (ACQUIRE(word) == 0)
        sys_futex_wait(word, 0, 0);
    return (void *)(long)sys_gettid();
}

static void clocks_agree_through_the_vdso_too(void **state)
{
    sys_use_vdso();
    clocks_agree_with_libc(state);
}

static void futexes_sleep_and_wake(void **state)
{
    (void)state;
    u32 word = 0;
    u64 before = sys_monotonic_ns();
    sys_futex_wait(&word, 0, 20000000);
    assert_true(sys_monotonic_ns() - before >= 20000000);
    sys_futex_wait(&word, 1, 0); /* differs: comes back at once */

    pthread_t thread;
    pthread_create(&thread, NULL, sleep_until_told, &word);
    usleep(10000);
    RELEASE(&word, 1);
    sys_futex_wake(&word, 1);
    void *tid;
    pthread_join(thread, &tid);
    assert_int_not_equal((long)tid, sys_gettid());
}

static void knows_who_we_are(void **state)
{
    (void)state;
    assert_int_equal(sys_getpid(), getpid());
    assert_int_equal(sys_gettid(), getpid());
    assert_true(sys_thread_alive(sys_getpid(), sys_gettid()));
    assert_false(sys_thread_alive(sys_getpid(), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_leave_errno_alone),
        cmocka_unit_test(files_read_back),
        cmocka_unit_test(writes_wait_for_a_slow_reader),
        cmocka_unit_test(writes_give_up_on_a_dead_reader),
        cmocka_unit_test(memory_comes_and_goes),
        cmocka_unit_test(sparse_memory_has_small_pages),
        cmocka_unit_test(shared_memory_is_shared),
        cmocka_unit_test(memory_that_is_not_there_reads_short),
        cmocka_unit_test(clocks_agree_with_libc),
        cmocka_unit_test(clocks_agree_through_the_vdso_too),
        cmocka_unit_test(futexes_sleep_and_wake),
        cmocka_unit_test(knows_who_we_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
