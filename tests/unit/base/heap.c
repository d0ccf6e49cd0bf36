/* SPDX-License-Identifier: MIT
 *
 * Random series of calls against a model that knows what each block must hold; the limits; what
 * goes back to the kernel; threads; fork.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/sys.h"

struct model_block {
    u8 *at;
    size_t bytes;
    u8 fill;
};

static void check_fill(const struct model_block *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (b->at[i] != b->fill)
            fail_msg("byte %zu of %zu at %p is %u, not %u", i, b->bytes, (void *)b->at, b->at[i],
                     b->fill);
}

/* Mostly small, sometimes around a class border or large. */
static size_t random_size(unsigned *seed)
{
    switch ((u32)rand_r(seed) % 8) {
    case 0:
        return (size_t)rand_r(seed) % 300000;
    case 1:
        return (1UL << ((u32)rand_r(seed) % 17)) + (size_t)rand_r(seed) % 3 - 1;
    default:
        return (size_t)rand_r(seed) % 600;
    }
}

static void one_step(struct heap *h, struct model_block *b, unsigned *seed)
{
    if (b->at && rand_r(seed) % 3 == 0) {
        size_t bytes = random_size(seed), kept = b->bytes < bytes ? b->bytes : bytes;
        u8 *moved = heap_realloc(h, b->at, bytes);
        assert_non_null(moved);
        b->at = moved;
        b->bytes = bytes;
        check_fill(b, kept);
    } else if (b->at) {
        check_fill(b, b->bytes);
        heap_free(h, b->at);
        b->at = NULL;
        return;
    } else {
        size_t align = rand_r(seed) % 4 ? 16 : 1UL << ((u32)rand_r(seed) % 19);
        b->bytes = random_size(seed);
        b->at = align == 16 ? heap_alloc(h, b->bytes) : heap_alloc_aligned(h, align, b->bytes);
        assert_non_null(b->at);
        assert_true((u64)b->at % align == 0 && (u64)b->at % 16 == 0);
    }
    assert_true(heap_owns(h, b->at));
    assert_true(heap_block_bytes(h, b->at) >= b->bytes);
    b->fill = (u8)rand_r(seed);
    memset(b->at, b->fill, heap_block_bytes(h, b->at));
}

static void run_series(struct heap *h, unsigned seed, int steps)
{
    enum { BLOCKS = 500 };
    struct model_block *blocks = calloc(BLOCKS, sizeof *blocks);
    for (int i = 0; i < steps; i++)
        one_step(h, &blocks[(u32)rand_r(&seed) % BLOCKS], &seed);
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].at)
            check_fill(&blocks[i], blocks[i].bytes);
        heap_free(h, blocks[i].at);
    }
    free(blocks);
}

static void random_series_keep_every_byte(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    struct heap *h = heap_create(1UL << 32, 0);
    assert_non_null(h);
    u64 fresh = heap_mapped_bytes(h);
    run_series(h, seed, 60000);
    assert_true(heap_used_bytes(h) == 0);
    /* one span a class may stay behind */
    assert_true(heap_mapped_bytes(h) < fresh + (6UL << 20));
    heap_destroy(h);
}

static void *series_thread(void *argument)
{
    run_series(argument, (unsigned)sys_gettid(), 20000);
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 32, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, series_thread, h);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(heap_used_bytes(h) == 0);
    heap_destroy(h);
}

static void the_cap_holds(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 30, 1 << 20);
    void *blocks[2000];
    u32 count = 0;
    while (count < COUNT_OF(blocks) && (blocks[count] = heap_alloc(h, 1000)))
        count++;
    assert_true(count > 1000 && count <= 1048);
    assert_true(heap_used_bytes(h) <= 1 << 20);
    assert_null(heap_alloc(h, 1 << 19));
    for (u32 i = 0; i < count; i++)
        heap_free(h, blocks[i]);
    void *big = heap_alloc(h, 1 << 20);
    assert_non_null(big);
    assert_null(heap_alloc(h, 1));
    assert_null(heap_realloc(h, big, (1 << 20) + 1));
    assert_non_null(heap_realloc(h, big, 1 << 18));
    assert_non_null(heap_alloc(h, 1));
    heap_destroy(h);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 30, 0);
    assert_null(heap_alloc(h, SIZE_MAX));
    assert_null(heap_alloc(h, SIZE_MAX - 4096));
    assert_null(heap_alloc(h, 1UL << 40));
    assert_null(heap_alloc(h, 1UL << 30));
    assert_null(heap_alloc_aligned(h, 1UL << 62, 16));
    void *p = heap_alloc(h, 100);
    assert_null(heap_realloc(h, p, SIZE_MAX));
    assert_non_null(heap_alloc(h, 900UL << 20));
    assert_null(heap_alloc(h, 200UL << 20));
    heap_destroy(h);
}

static void nothing_is_where_it_should_not_be(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 30, 0);
    char *p = heap_alloc(h, 0);
    assert_non_null(p);
    assert_false(heap_owns(h, NULL));
    assert_false(heap_owns(h, &h));
    assert_false(heap_owns(h, (char *)h - 1));
    u64 used = heap_used_bytes(h);
    heap_free(h, NULL);
    heap_free(h, &h); /* not ours: left alone */
    heap_free(h, p + 1);
    assert_true(heap_used_bytes(h) == used);
    heap_free(h, p);
    assert_true(heap_used_bytes(h) == 0);
    heap_destroy(h);
}

static void freed_memory_goes_back(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 32, 0);
    u64 fresh = heap_mapped_bytes(h);
    u8 *p = heap_alloc(h, 64 << 20);
    memset(p, 1, 64 << 20);
    assert_true(heap_mapped_bytes(h) >= fresh + (64 << 20));
    p = heap_realloc(h, p, 80 << 20); /* room behind it: grows in place */
    assert_int_equal(p[(64 << 20) - 1], 1);
    assert_int_equal(p[64 << 20], 0);
    heap_free(h, p);
    assert_true(heap_mapped_bytes(h) <= fresh + (1 << 16));
    u8 *q = heap_alloc(h, 64 << 20);
    assert_ptr_equal(p, q); /* first fit */
    assert_int_equal(q[12345], 0);
    heap_destroy(h);
}

static void reserving_too_much_gives_less(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 48, 0); /* all of the address space */
    assert_non_null(h);
    void *p = heap_alloc(h, 1000);
    assert_true(heap_owns(h, p));
    heap_destroy(h);
    h = heap_create(1, 0); /* less than the least */
    assert_non_null(heap_alloc(h, 1 << 20));
    heap_destroy(h);
    heap_destroy(NULL);
}

static void *use_forever(void *argument)
{
    unsigned seed = 1;
    for (;;)
        heap_free(argument, heap_alloc(argument, random_size(&seed)));
    return NULL;
}

static void a_forked_child_makes_its_own(void **state)
{
    (void)state;
    struct heap *h = heap_create(1UL << 32, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, use_forever, h);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) { /* h's lock may be held for good here */
            alarm(20);
            struct heap *own = heap_create(1UL << 32, 0);
            char *p = own ? heap_alloc(own, 100000) : NULL;
            _exit(p && heap_owns(own, p) && !heap_owns(h, p) ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pthread_cancel(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_series_keep_every_byte),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(nothing_is_where_it_should_not_be),
        cmocka_unit_test(freed_memory_goes_back),
        cmocka_unit_test(reserving_too_much_gives_less),
        cmocka_unit_test(a_forked_child_makes_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
