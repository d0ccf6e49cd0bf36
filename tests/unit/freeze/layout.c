/* SPDX-License-Identifier: MIT
 *
 * The C library's memory, recognised in the C library that the test runs on.
 */
#include <pthread.h>
#include <unistd.h>

#include "image.h"

/* The library's own, whatever stands in front of malloc (a sanitizer's). */
void *__libc_malloc(size_t size);
void __libc_free(void *p);

static char string_room[1 << 20];
static struct freeze_strings strings = {.bytes = string_room, .used = 1, .room = sizeof string_room};

static struct regions *read_regions(void)
{
    struct regions *r = regions_read(&strings);
    assert_non_null(r);
    return r;
}

/* A free chunk in a list points at the list's end, which is in the bins. */
static void bins_are_where_free_chunks_point_to(void **state)
{
    (void)state;
    u64 *chunk = __libc_malloc(5000);
    void *after = __libc_malloc(100); /* so that it does not join the top */
    assert_true(chunk && after);
    __libc_free(chunk);
    u64 list = *(volatile u64 *)chunk;
    struct regions *r = read_regions();
    const struct region *data = regions_find(r, list);
    assert_non_null(data);
    struct own_range bins;
    assert_true(layout_find_bins(r, data->lo, data->hi, &bins));
    assert_in_range(list, bins.lo, bins.hi - 1);
    assert_in_range(bins.hi - bins.lo, 127 * 16, 127 * 16 + 200);
    regions_free(r);
    __libc_free(after);
}

static void other_data_has_no_bins(void **state)
{
    (void)state;
    u64 *area = (u64 *)image_pages(1 << 16);
    for (u32 i = 0; i < 7; i++) /* too few of what looks like empty lists */
        area[300 + 2 * i] = area[301 + 2 * i] = (u64)&area[298 + 2 * i];
    struct regions *r = read_regions();
    struct own_range bins;
    assert_false(layout_find_bins(r, (u64)area, (u64)area + (1 << 16), &bins));
    regions_free(r);
    munmap(area, 1 << 16);
}

/* --- threads ------------------------------------------------------------------------------- */

static pthread_barrier_t turn;
static struct {
    void *block;
    u64 self;
    u64 stack_lo, stack_hi;
    struct layout_thread how;
} seen;

static void *look_at_itself(void *unused)
{
    struct regions *r = read_regions();
    const struct region *stack = regions_find(r, (u64)__builtin_frame_address(0));
    seen.block = __libc_malloc(100);
    seen.self = (u64)pthread_self();
    seen.stack_lo = stack->lo;
    seen.stack_hi = stack->hi;
    seen.how = layout_learn((int)gettid(), stack->hi);
    regions_free(r);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    return unused;
}

static void threads(void **state)
{
    (void)state;
    pthread_t t;
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(pthread_create(&t, NULL, look_at_itself, NULL), 0);
    pthread_barrier_wait(&turn);
    assert_true(seen.how.from_end > 0 && seen.how.tid > 0);

    struct regions *r = read_regions();
    u64 arena = ROUND_DOWN((u64)seen.block, 64ul << 20);
    assert_in_range((u64)seen.block, arena, layout_arena_end(r, arena) - 1);
    assert_int_equal(layout_arena_end(r, seen.stack_hi - PAGE_BYTES), 0);
    assert_int_equal(layout_arena_end(r, 64ul << 20), 0);
    assert_int_equal(layout_dead_stack(r, &seen.how, seen.stack_lo, seen.stack_hi), 0);
    regions_free(r);

    pthread_barrier_wait(&turn);
    pthread_join(t, NULL);
    r = read_regions();
    assert_int_equal(layout_dead_stack(r, &seen.how, seen.stack_lo, seen.stack_hi), seen.self);
    assert_int_equal(layout_dead_stack(r, &seen.how, seen.stack_lo, seen.stack_hi - PAGE_BYTES), 0);
    struct layout_thread unknown = {0};
    assert_int_equal(layout_dead_stack(r, &unknown, seen.stack_lo, seen.stack_hi), 0);
    regions_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bins_are_where_free_chunks_point_to),
        cmocka_unit_test(other_data_has_no_bins),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
