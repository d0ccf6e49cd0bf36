/* SPDX-License-Identifier: MIT
 *
 * The book of our mappings: against a plain list of what a random course of events should leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/sys.h"

static struct own_range listed[OWN_MAX];

static bool is_listed(u64 lo, u64 hi)
{
    u32 n = own_list(listed, OWN_MAX);
    for (u32 i = 0; i < n; i++)
        if (listed[i].lo == lo && listed[i].hi == hi)
            return true;
    return false;
}

static bool holds(u64 address)
{
    u32 n = own_list(listed, OWN_MAX);
    for (u32 i = 0; i < n; i++)
        if (address >= listed[i].lo && address < listed[i].hi)
            return true;
    return false;
}

static void mappings_enter_and_leave_the_book(void **state)
{
    (void)state;
    u32 before = own_list(listed, OWN_MAX);
    char *at = sys_map(8 * PAGE_BYTES);
    u64 lo = (u64)at;
    assert_true(is_listed(lo, lo + 8 * PAGE_BYTES));
    sys_unmap(at + 6 * PAGE_BYTES, 2 * PAGE_BYTES);
    assert_true(is_listed(lo, lo + 6 * PAGE_BYTES));
    sys_unmap(at, PAGE_BYTES);
    assert_true(is_listed(lo + PAGE_BYTES, lo + 6 * PAGE_BYTES));
    sys_unmap(at + 3 * PAGE_BYTES, PAGE_BYTES);
    assert_true(is_listed(lo + PAGE_BYTES, lo + 3 * PAGE_BYTES));
    assert_true(is_listed(lo + 4 * PAGE_BYTES, lo + 6 * PAGE_BYTES));
    sys_unmap(at + PAGE_BYTES, 2 * PAGE_BYTES);
    sys_unmap(at + 4 * PAGE_BYTES, 2 * PAGE_BYTES);
    assert_int_equal(own_list(listed, OWN_MAX), before);
    for (u64 page = 0; page < 8; page++)
        assert_false(holds(lo + page * PAGE_BYTES));
}

static void what_is_not_ours_may_be_unmapped(void **state)
{
    (void)state;
    u32 before = own_list(listed, OWN_MAX);
    own_remove(0x1000, PAGE_BYTES);
    assert_int_equal(own_list(listed, OWN_MAX), before);
}

/* A fake address space of pages, each ours or not. */
static void a_random_course_leaves_what_it_should(void **state)
{
    (void)state;
    enum { PAGES = 512, BASE = 1 << 20 };
    static u8 ours[PAGES];
    const char *given = getenv("OWN_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    printf("seed %u (OWN_SEED)\n", seed);
    srand(seed);
    for (u32 step = 0; step < 20000; step++) {
        u32 at = (u32)rand() % PAGES, run = 1 + (u32)rand() % 8, end = at;
        u8 id = ours[at]; /* pages of one mapping have one id */
        while (end < PAGES && end < at + run && ours[end] == id)
            end++;
        u64 lo = BASE + at * PAGE_BYTES, bytes = (end - at) * PAGE_BYTES;
        u8 fresh = id ? 0 : (u8)(1 + step % 255);
        /* Neighbours must differ, or the next run would cross from one mapping to another. */
        if (fresh && ((at > 0 && ours[at - 1] == fresh) || (end < PAGES && ours[end] == fresh)))
            continue;
        if (id)
            own_remove(lo, bytes);
        else
            own_add(lo, bytes);
        for (; at < end; at++)
            ours[at] = fresh;
    }
    u32 n = own_list(listed, OWN_MAX);
    for (u32 page = 0; page < PAGES; page++) {
        u64 address = BASE + page * PAGE_BYTES;
        u32 found = 0;
        for (u32 i = 0; i < n; i++)
            found += address >= listed[i].lo && address < listed[i].hi;
        assert_int_equal(found, ours[page] != 0);
    }
    for (u32 i = 0; i < n; i++)
        if (listed[i].lo >= BASE && listed[i].lo < BASE + PAGES * PAGE_BYTES)
            own_remove(listed[i].lo, listed[i].hi - listed[i].lo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_enter_and_leave_the_book),
        cmocka_unit_test(what_is_not_ours_may_be_unmapped),
        cmocka_unit_test(a_random_course_leaves_what_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
