/* SPDX-License-Identifier: MIT
 *
 * blocks.c - the indices of live blocks against a sorted array that does the same the slow way. All
 * of it runs twice, in a process each: for blocks as glibc places them, and as others may.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "track/blocks.h"

enum { SLOTS = 20000, STEPS = 400000 };

static u64 seed;

static bool take(u64 address, struct index_record *r)
{
    *r = blocks_take(address);
    return r->word != 0;
}

static bool glibc;

static u64 roll(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct model {
    bool live;
    struct track_block b;
};

/* Places of blocks: some crowded, some spread over the address space, some at the ends of leaves. */
static u64 place(u32 i, u64 gap)
{
    static const u64 bases[] = {0x10000, 0x555500000000, 0x7f0000000000, 0x3ffffff0 - 0x4000,
                                0x7fffc0000000 - 0x40000, 0x1234567890000, 0xffffff0000000ul << 4};
    return (bases[i % 7] & ~(gap - 1)) + (u64)(i / 7) * gap;
}

static void assert_same(const struct track_block *a, const struct track_block *b)
{
    assert_int_equal(a->addr, b->addr);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->stack, b->stack);
    assert_int_equal(a->thread, b->thread);
    assert_int_equal(a->birth, b->birth);
}

static void hold_against(const struct model *m, const u32 *order)
{
    static struct track_block listed[SLOTS + 1];
    struct track_cursor c = {0};
    u32 n = 0, got, expected = 0, batch = 777;
    while ((got = track_list(&c, listed + n, n + batch < SLOTS ? batch : SLOTS + 1 - n)) > 0)
        n += got;
    for (u32 k = 0; k < SLOTS; k++) {
        const struct model *want = &m[order[k]];
        struct track_block b;
        bool there = track_at(want->b.addr, false, &b);
        assert_int_equal(there, want->live);
        if (!want->live)
            continue;
        assert_true(expected < n);
        assert_same(&listed[expected], &want->b);
        assert_same(&b, &want->b);
        expected++;
    }
    assert_int_equal(n, expected);
}

static struct model *sorted_by;
static int by_address(const void *a, const void *b)
{
    u64 x = sorted_by[*(const u32 *)a].b.addr, y = sorted_by[*(const u32 *)b].b.addr;
    return x < y ? -1 : x > y;
}

static void random_steps(void **unused)
{
    (void)unused;
    u64 state = seed | 1, gap = glibc ? 128 : 64;
    struct model *m = calloc(SLOTS, sizeof *m);
    u32 *order = calloc(SLOTS, sizeof *order);
    for (u32 i = 0; i < SLOTS; i++) {
        m[i].b.addr = place(i, gap) + (glibc ? roll(&state) % 2 * 16 : roll(&state) % 2 * 8);
        order[i] = i;
    }
    sorted_by = m;
    qsort(order, SLOTS, sizeof *order, by_address);
    for (u32 step = 0; step < STEPS; step++) {
        struct model *x = &m[roll(&state) % SLOTS];
        struct index_record r;
        if (x->live) {
            assert_true(take(x->b.addr, &r));
            assert_int_equal(r.size, x->b.size);
            assert_int_equal(index_stack(r.word), x->b.stack);
            assert_false(take(x->b.addr, &r));
        } else {
            u64 kind = roll(&state) % 8;
            x->b.size = kind == 0 ? roll(&state) >> 20 : roll(&state) % (gap - 16);
            x->b.stack = (u32)roll(&state) & 0x3ffffff;
            x->b.thread = (u32)roll(&state) & 0xfff;
            x->b.birth = (u32)(roll(&state) % INDEX_EPOCH_MAX) + 1;
            r = (struct index_record){
                index_word(x->b.addr, x->b.size, x->b.stack, x->b.thread, x->b.birth), x->b.size};
            assert_true(blocks_put(x->b.addr, r));
        }
        x->live = !x->live;
        if (step % (STEPS / 4) == STEPS / 8)
            hold_against(m, order);
    }
    hold_against(m, order);
    blocks_clear();
    for (u32 i = 0; i < SLOTS; i++)
        m[i].live = false;
    hold_against(m, order);
    free(order);
    free(m);
}

/* The smallest blocks there are, side by side. */
static void neighbours_do_not_touch_each_other(void **unused)
{
    (void)unused;
    u64 step = glibc ? 32 : 8, size = glibc ? 24 : 8, base = 0x600000000000;
    struct track_block b;
    struct index_record r;
    for (u64 i = 0; i < 1000; i++)
        assert_true(blocks_put(base + i * step,
            (struct index_record){index_word(base + i * step, size, 7, 1, 1), size}));
    for (u64 i = 0; i < 1000; i += 2)
        assert_true(take(base + i * step, &r));
    for (u64 i = 0; i < 1000; i++)
        assert_int_equal(track_at(base + i * step, false, &b), i % 2);
    /* an address inside a block is not its beginning */
    assert_false(track_at(base + step + (glibc ? 16 : 4), false, &b));
    blocks_clear();
}

static u64 some_size(u64 *state)
{
    switch (roll(state) % 8) {
    case 0:
        return roll(state) % 18;
    case 1:
        return (64 << 10) + roll(state) % 9000;
    case 2:
        return 4000 + roll(state) % 200;
    default:
        return roll(state) % 100;
    }
}

/* Blocks of all sizes with nothing between them: no allocator can place them closer. */
static void packed_blocks_are_told_apart(void **unused)
{
    (void)unused;
    u64 state = seed | 1, at = 0x510000000000;
    struct model *m = calloc(SLOTS, sizeof *m);
    u32 *order = calloc(SLOTS, sizeof *order);
    struct index_record r;
    for (u32 i = 0; i < SLOTS; i++) {
        u64 size = some_size(&state), unit = glibc ? 16 : size > 8 && roll(&state) % 4 ? 16 : 8;
        if (size >= 64 << 10 && roll(&state) % 2)
            at = ROUND_UP(at, PAGE_BYTES) + roll(&state) % 2 * 16;
        at = ROUND_UP(at, unit);
        m[i].live = true;
        m[i].b = (struct track_block){.addr = at, .size = size, .stack = i, .birth = 1, .thread = 7};
        order[i] = i;
        at += size + !size;
        if (glibc) /* its header, and what it needs to keep the block when it is free */
            at = ROUND_UP(m[i].b.addr + (size < 24 ? 24 : size) + 8, 16);
    }
    for (u32 i = SLOTS; i > 1; i--) {
        u32 k = (u32)(roll(&state) % i), other = order[i - 1];
        order[i - 1] = order[k];
        order[k] = other;
    }
    for (u32 i = 0; i < SLOTS; i++) {
        const struct track_block *b = &m[order[i]].b;
        r = (struct index_record){index_word(b->addr, b->size, b->stack, 7, 1), b->size};
        assert_true(blocks_put(b->addr, r));
    }
    for (u32 i = 0; i < SLOTS; i += 2) {
        struct model *x = &m[order[i]];
        assert_true(take(x->b.addr, &r));
        assert_int_equal(r.size, x->b.size);
        assert_int_equal(index_stack(r.word), x->b.stack);
        assert_false(take(x->b.addr, &r));
        x->live = false;
    }
    for (u32 i = 0; i < SLOTS; i++)
        order[i] = i;
    hold_against(m, order);
    blocks_clear();
    free(order);
    free(m);
}

static u64 own_pages(void)
{
    return blocks_own_bytes() / PAGE_BYTES;
}

static void what_is_mapped_singly_costs_what_it_holds(void **unused)
{
    (void)unused;
    enum { MAPPED = 100000, GAP = 132 << 10 };
    struct index_record r;
    u64 base = 0x7e0000000000, before = own_pages();
    for (u64 i = 0; i < MAPPED; i++) {
        u64 a = base + i * GAP + 16, size = (128 << 10) + i % 1000;
        assert_true(blocks_put(a, (struct index_record){index_word(a, size, 5, 1, 1), size}));
    }
    assert_in_range(own_pages() - before, MAPPED / 8, MAPPED / 7);
    for (u64 i = 0; i < MAPPED; i++) {
        assert_true(take(base + i * GAP + 16, &r));
        assert_int_equal(r.size, (128 << 10) + i % 1000);
    }
    assert_true(own_pages() - before < MAPPED / 7);
    blocks_clear();
}

/* Many small heaps far apart, as malloc makes them for threads: 64 MiB of addresses for each. */
static void many_arenas_cost_what_they_hold(void **unused)
{
    (void)unused;
    enum { ARENAS = 200, EACH = 100 };
    u64 before = own_pages();
    for (u64 i = 0; i < ARENAS * EACH; i++) {
        u64 a = 0x7a0000000000 + i / EACH * (64 << 20) + i % EACH * 80 + 0x8b0;
        assert_true(blocks_put(a, (struct index_record){index_word(a, 72, 5, 1, 1), 72}));
    }
    assert_in_range(own_pages() - before, ARENAS, 2 * ARENAS);
    blocks_clear();
}

static void addresses_beyond_user_space_are_refused(void **unused)
{
    (void)unused;
    volatile u64 last = (1ul << 57) - 64, beyond = 1ul << 57;
    struct index_record r = {index_word(last, 60, 1, 1, 1), 60};
    assert_true(blocks_put(last, r));
    assert_true(take(last, &r));
    assert_false(blocks_put(beyond, r));
    assert_false(take(beyond, &r));
    assert_false(blocks_put(1ul << 63, r));
}

/* Threads write while one lists: blocks that stay must be in every listing, once, with their size. */
enum { CHURNERS = 3, STAY = 2000 };
static bool stop;

static void *churn(void *argument)
{
    u64 lane = (u64)argument, base = 0x700000000000 + lane * 0x10000000, state = seed + lane;
    struct index_record r;
    while (!PEEK(&stop)) {
        u64 a = base + (roll(&state) % 5000) * 64 + 32; /* between blocks that stay */
        u64 size = roll(&state) % 2 ? 8 : 24;
        if (!take(a, &r))
            blocks_put(a, (struct index_record){index_word(a, size, 1, 1, 1), size});
    }
    return NULL;
}

static void a_listing_is_right_while_blocks_come_and_go(void **unused)
{
    (void)unused;
    pthread_t threads[CHURNERS];
    for (u64 lane = 0; lane < CHURNERS; lane++)
        for (u64 i = 0; i < STAY; i++) {
            u64 a = 0x700000000000 + lane * 0x10000000 + i * 64;
            blocks_put(a, (struct index_record){index_word(a, 20 + i % 4, 2, 1, 1), 20 + i % 4});
        }
    stop = false;
    for (u64 lane = 0; lane < CHURNERS; lane++)
        pthread_create(&threads[lane], NULL, churn, (void *)lane);
    for (u32 turn = 0; turn < 100; turn++) {
        struct track_cursor c = {0};
        static struct track_block b[512];
        u32 n, stay = 0;
        u64 last = 0;
        while ((n = track_list(&c, b, COUNT_OF(b))) > 0)
            for (u32 i = 0; i < n; i++) {
                assert_true(b[i].addr > last);
                last = b[i].addr;
                if (b[i].stack == 2) {
                    assert_int_equal(b[i].size, 20 + (b[i].addr & 0xfffffff) / 64 % 4);
                    stay++;
                } else {
                    assert_true(b[i].size == 8 || b[i].size == 24);
                }
            }
        assert_int_equal(stay, CHURNERS * STAY);
    }
    POKE(&stop, true);
    for (u32 lane = 0; lane < CHURNERS; lane++)
        pthread_join(threads[lane], NULL);
    blocks_clear();
}

int main(void)
{
    const char *given = getenv("MOONHEAP_SEED");
    seed = given ? strtoul(given, NULL, 0) : (u64)time(NULL);
    printf("seed %lu (MOONHEAP_SEED)\n", seed);
    pid_t other = fork();
    if (other < 0)
        return 1;
    glibc = other > 0;
    blocks_start(glibc);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listing_is_right_while_blocks_come_and_go),
        cmocka_unit_test(random_steps),
        cmocka_unit_test(neighbours_do_not_touch_each_other),
        cmocka_unit_test(packed_blocks_are_told_apart),
        cmocka_unit_test(what_is_mapped_singly_costs_what_it_holds),
        cmocka_unit_test(many_arenas_cost_what_they_hold),
        cmocka_unit_test(addresses_beyond_user_space_are_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL), status = 0;
    if (glibc && (waitpid(other, &status, 0) != other || status != 0))
        failed++;
    return failed;
}
