/* SPDX-License-Identifier: MIT
 *
 * The finder against plain halving, over heaps made by chance.
 */
#include "fake_track.h"
#include "freeze/finder.h"

enum { MOST = 200000 };
static u64 addresses[MOST], sizes[MOST];
static u32 count;

static u64 size_of(const void *context, u32 block)
{
    assert_ptr_equal(context, sizes);
    return sizes[block];
}

/* The block that begins last at or below the address, if it reaches it. */
static u32 expected(u64 address)
{
    u32 lo = 0, hi = count;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (addresses[mid] <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return 0;
    u64 offset = address - addresses[lo - 1];
    return offset == 0 || offset < sizes[lo - 1] ? lo : 0;
}

static u32 found(const struct finder *f, u64 address)
{
    struct finder_place place;
    u64 into = 0;
    u32 block = finder_near(f, address, &place) ? finder_block(f, place, address, &into) : 0;
    if (block)
        assert_int_equal(into, address - addresses[block - 1]);
    return block;
}

static u64 chance(u64 below)
{
    u64 r = (u64)rand() << 42 ^ (u64)rand() << 21 ^ (u64)rand();
    return r % below;
}

static void add(u64 *at, u64 size)
{
    addresses[count] = *at;
    sizes[count++] = size;
    *at += (size + 8 + 15) / 16 * 16 + (size < 24 ? 16 : 0);
}

static void heap_by_chance(void)
{
    u64 at = 0x550000000000 + chance(1 << 30) / 16 * 16;
    u32 blocks = 1 + (u32)chance(4000);
    for (count = 0; count < blocks;) {
        u64 dice = chance(1000);
        if (dice < 2)
            at += chance(5ul << 30) / 16 * 16;
        if (dice == 5 && at < 0x600000000000)
            at = 0x7f0000000000 + chance(1ul << 36) / 16 * 16;
        u64 size = dice < 900 ? chance(200) : dice < 998 ? chance(100000) : chance(20ul << 30);
        add(&at, dice < 20 ? 0 : size);
    }
}

static void ask_around(const struct finder *f, u64 address)
{
    for (u64 a = address - 9; a != address + 9; a++)
        if (expected(a) != found(f, a))
            fail_msg("address %lx: expected %u, found %u", (unsigned long)a, expected(a),
                     found(f, a));
}

static void it_finds_what_halving_finds(void **state)
{
    (void)state;
    fake_seed();
    for (u32 round = 0; round < 12; round++) {
        heap_by_chance();
        struct finder f;
        assert_true(finder_begin(&f, addresses, NULL, count, size_of, sizes));
        for (u32 i = 0; i < count; i++) {
            ask_around(&f, addresses[i]);
            ask_around(&f, addresses[i] + sizes[i]);
            ask_around(&f, addresses[i] + sizes[i] / 2);
            ask_around(&f, addresses[i] + chance(1 << 20));
        }
        for (u32 i = 0; i < 20000; i++)
            ask_around(&f, chance(UINT64_MAX >> chance(30)));
        ask_around(&f, 0);
        ask_around(&f, 1ul << 47);
        finder_end(&f);
    }
}

static void no_blocks_no_answer(void **state)
{
    (void)state;
    struct finder f;
    count = 0;
    assert_true(finder_begin(&f, addresses, NULL, 0, size_of, sizes));
    ask_around(&f, 0x7f0000001000);
    finder_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_what_halving_finds),
        cmocka_unit_test(no_blocks_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
