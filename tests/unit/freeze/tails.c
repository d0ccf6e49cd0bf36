/* SPDX-License-Identifier: MIT
 *
 * Which blocks are said to have an unused tail: those whose owner is as std::vector, and no others.
 */
#include "image.h"

enum { AREA = 1 << 16, SIZE = 80 };

static u8 *area;
static u64 *owner, *elements; /* block 1 and block 2, which has ten words */
static u64 *in_bss[3];
static struct snapshot shot;

static int begin(void **state)
{
    (void)state;
    area = image_pages(AREA);
    fake.block_count = 0;
    owner = (u64 *)(area + 64);
    elements = (u64 *)(area + 512);
    image_block(owner, 96);
    image_block(elements, SIZE);
    image_block(area + 1024, 16); /* what the elements point to */
    for (u32 i = 0; i < SIZE / 8; i++)
        elements[i] = (u64)(area + 1024);
    return 0;
}

static int end(void **state)
{
    (void)state;
    snapshot_close(&shot);
    memset(in_bss, 0, sizeof in_bss);
    return munmap(area, AREA);
}

static void own(u64 *place, u32 used, u32 room)
{
    place[0] = (u64)elements;
    place[1] = (u64)(elements + used);
    place[2] = (u64)(elements + room);
}

/* Bytes in use of the elements' block; SIZE = it has no tail. */
static u64 used(void)
{
    image_take(&shot, NULL);
    assert_true(shot.tail_count <= 1);
    if (shot.tail_count == 0)
        return SIZE;
    assert_int_equal(shot.tails[0].block, 2);
    return shot.tails[0].used;
}

static void behind_the_last_element(void **state)
{
    (void)state;
    own(owner + 3, 4, 10);
    assert_int_equal(used(), 32);
}

static void none_when_full(void **state)
{
    (void)state;
    own(owner, 10, 10);
    assert_int_equal(used(), SIZE);
}

static void all_of_it_when_empty(void **state)
{
    (void)state;
    own(owner, 0, 10);
    assert_int_equal(used(), 0);
}

static void owners_in_roots_count(void **state)
{
    (void)state;
    own((u64 *)in_bss, 7, 10);
    assert_int_equal(used(), 56);
}

static void who_says_most_is_believed(void **state)
{
    (void)state;
    own(owner, 2, 10);
    own(owner + 4, 6, 10);
    own((u64 *)in_bss, 3, 10);
    assert_int_equal(used(), 48);
}

/* A place to read from and one to write to. */
static void not_when_the_third_is_not_the_end(void **state)
{
    (void)state;
    own(owner, 2, 9);
    assert_int_equal(used(), SIZE);
}

static void not_when_the_block_begins_elsewhere(void **state)
{
    (void)state;
    owner[0] = (u64)(elements + 1);
    owner[1] = (u64)(elements + 4);
    owner[2] = (u64)(elements + 10);
    assert_int_equal(used(), SIZE);
}

static void not_when_a_word_lies_between(void **state)
{
    (void)state;
    owner[0] = (u64)elements;
    owner[2] = (u64)(elements + 4);
    owner[3] = (u64)(elements + 10);
    assert_int_equal(used(), SIZE);
}

/* The third word would lie outside. */
static void not_beyond_the_owner(void **state)
{
    (void)state;
    own(owner + 10, 4, 10);
    assert_int_equal(used(), SIZE);
}

/* An iterator of std::deque at a node's first element: current, first, last, place of the node. */
static void a_deque_is_no_vector(void **state)
{
    (void)state;
    own(owner, 0, 10);
    owner[3] = (u64)(owner + 8);
    owner[8] = (u64)elements;
    assert_int_equal(used(), SIZE);
}

static void nothing_is_said_of_a_tail_without_references(void **state)
{
    (void)state;
    memset(elements + 4, 0, SIZE - 32);
    own(owner, 4, 10);
    assert_int_equal(used(), SIZE);
}

static void many_in_order(void **state)
{
    (void)state;
    enum { VECTORS = 1500, APART = 256, LARGE = VECTORS * APART + PAGE_BYTES };
    u8 *large = image_pages(LARGE);
    u64 *owners = (u64 *)image_pages(VECTORS * 24 + 8);
    fake.block_count = 0;
    u32 expected = 0;
    for (u32 i = 0; i < VECTORS; i++) {
        elements = (u64 *)(large + i * APART);
        image_block(elements, SIZE);
        elements[5] = (u64)large;
        if (i % 700 < 30) {
            own(owners + 3ul * (VECTORS - 1 - i), 5, 10);
            expected += i > 0; /* of a block's references to itself none is kept */
        }
    }
    image_take(&shot, NULL);
    assert_int_equal(shot.tail_count, expected);
    for (u32 i = 0; i < shot.tail_count; i++)
        assert_int_equal(shot.tails[i].used, 40);
    munmap(large, LARGE);
    munmap(owners, VECTORS * 24 + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(behind_the_last_element, begin, end),
        cmocka_unit_test_setup_teardown(none_when_full, begin, end),
        cmocka_unit_test_setup_teardown(all_of_it_when_empty, begin, end),
        cmocka_unit_test_setup_teardown(owners_in_roots_count, begin, end),
        cmocka_unit_test_setup_teardown(who_says_most_is_believed, begin, end),
        cmocka_unit_test_setup_teardown(not_when_the_third_is_not_the_end, begin, end),
        cmocka_unit_test_setup_teardown(not_when_the_block_begins_elsewhere, begin, end),
        cmocka_unit_test_setup_teardown(not_when_a_word_lies_between, begin, end),
        cmocka_unit_test_setup_teardown(not_beyond_the_owner, begin, end),
        cmocka_unit_test_setup_teardown(a_deque_is_no_vector, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_said_of_a_tail_without_references, begin, end),
        cmocka_unit_test_setup_teardown(many_in_order, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
