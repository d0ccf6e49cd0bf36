/* SPDX-License-Identifier: MIT
 *
 * Search by halving, against looking at one after the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/base.h"

enum { MOST = 70 };

static void as_one_after_the_other(void **unused)
{
    (void)unused;
    const u32 seed = 20261121;
    srand(seed);
    print_message("seed %u\n", seed);
    u64 list[MOST];
    for (u32 count = 0; count <= MOST; count++) {
        for (u32 i = 0; i < count; i++) /* ascending, some of them alike */
            list[i] = (i ? list[i - 1] : 0) + (u64)(rand() % 3);
        for (u64 wanted = 0; wanted <= 2 * MOST + 1; wanted++) {
            u32 below = 0, to = 0;
            while (below < count && list[below] < wanted)
                below++;
            while (to < count && list[to] <= wanted)
                to++;
            assert_int_equal(BISECT(i, count, list[i] < wanted), below);
            assert_int_equal(BISECT(i, count, list[i] <= wanted), to);
        }
    }
}

static void counts_of_any_width(void **unused)
{
    (void)unused;
    const u64 many = (1ull << 62) + 5, from = 1ull << 61;
    assert_true(BISECT(i, many, i < from) == from);
    assert_true(BISECT(i, UINT32_MAX, i < UINT32_MAX - 1) == UINT32_MAX - 1);
    u32 asked = 0, none = 0;
    assert_int_equal(BISECT(i, none, asked++ > i), 0);
    assert_int_equal(asked, 0); /* of nothing nothing is asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_one_after_the_other),
        cmocka_unit_test(counts_of_any_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
