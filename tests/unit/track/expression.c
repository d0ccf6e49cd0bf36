/* SPDX-License-Identifier: MIT
 *
 * expression.c - DWARF expressions give what the standard says (DWARF 5, section 2.5), and those
 * that make no sense are refused.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "track/expression.h"

static bool read_memory(void *context, u64 address, u64 *value)
{
    (void)context;
    *value = 0x8877665544332211 + address;
    return address % 8 == 0;
}

/* One expression: its bytes, the first how many; its result. rax is 100, rsp 1000. */
struct sample {
    u8 bytes[24];
    u64 result;
};

static bool evaluate(const u8 *bytes, u64 *result)
{
    u64 registers[CFI_REGISTERS] = {100, [CFI_RSP] = 1000};
    const struct expression_memory memory = {NULL, read_memory};
    return expression_evaluate((u64)bytes, registers, NULL, &memory, result);
}

static void operations_give_what_the_standard_says(void **unused)
{
    (void)unused;
    static const struct sample samples[] = {
        {{2, 0x77, 8}, 1008},                            /* breg7 8 */
        {{3, 0x92, 7, 0x78}, 992},                       /* bregx 7 -8 */
        {{3, 0x77, 0, 0x06}, 0x8877665544332211 + 1000}, /* deref */
        {{4, 0x77, 0, 0x94, 8}, 0x8877665544332211 + 1000},
        {{4, 0x30, 0x94, 1, 0x96}, 0x11}, /* deref_size 1 of address 0; nop */
        {{3, 0x30, 0x94, 2}, 0x2211},
        {{3, 0x30, 0x94, 4}, 0x44332211},
        {{9, 0x0e, 1, 2, 3, 4, 5, 6, 7, 8}, 0x0807060504030201},
        {{2, 0x08, 200}, 200},
        {{2, 0x09, 0xff}, ~0ul},
        {{3, 0x0a, 1, 2}, 0x201},
        {{3, 0x0b, 0xfe, 0xff}, ~1ul},
        {{5, 0x0c, 1, 2, 3, 4}, 0x04030201},
        {{3, 0x10, 0x80, 1}, 128},
        {{2, 0x11, 0x7f}, ~0ul},
        {{4, 0x35, 0x36, 0x12, 0x22}, 12},   /* dup plus */
        {{3, 0x35, 0x36, 0x13}, 5},          /* drop */
        {{4, 0x35, 0x36, 0x14, 0x22}, 11},   /* over */
        {{5, 0x35, 0x36, 0x37, 0x15, 2}, 5}, /* pick 2 */
        {{4, 0x35, 0x36, 0x16, 0x1c}, 1},    /* swap minus */
        {{4, 0x31, 0x32, 0x33, 0x17}, 2},    /* rot: 3 1 2 */
        {{5, 0x31, 0x32, 0x33, 0x17, 0x13}, 1},
        {{6, 0x31, 0x32, 0x33, 0x17, 0x13, 0x13}, 3},
        {{3, 0x09, 0xfb, 0x19}, 5},          /* abs */
        {{4, 0x09, 0xf4, 0x34, 0x1b}, -3ul}, /* div */
        {{3, 0x3e, 0x34, 0x1d}, 2},          /* mod */
        {{3, 0x3e, 0x34, 0x1e}, 56},
        {{6, 0x35, 0x31, 0x28, 1, 0, 0x1f}, 5},    /* bra over neg */
        {{6, 0x35, 0x30, 0x28, 1, 0, 0x1f}, -5ul}, /* not taken */
        {{5, 0x35, 0x2f, 1, 0, 0x1f}, 5},          /* skip */
        {{4, 0x35, 0x23, 0x80, 1}, 133},           /* plus_uconst */
        {{3, 0x35, 0x36, 0x2d}, 1},                /* lt */
    };
    for (u32 i = 0; i < COUNT_OF(samples); i++) {
        u64 result = 0;
        bool good = evaluate(samples[i].bytes, &result);
        if (!good || result != samples[i].result)
            fail_msg("expression %u: %d, %lx", i, good, result);
    }
}

static void what_makes_no_sense_is_refused(void **unused)
{
    (void)unused;
    static const u8 bad[][12] = {
        {0},             /* nothing */
        {1, 0x22},       /* plus of nothing */
        {2, 0x31, 0x14}, /* over, swap of one; rot of two */
        {2, 0x31, 0x16},
        {3, 0x31, 0x32, 0x17},
        {3, 0x31, 0x15, 1},          /* pick of one that is not there */
        {2, 0x31, 0x15},             /* its number is missing */
        {4, 0x31, 0x2f, 0xfd, 0xff}, /* back, for ever */
        {4, 0x31, 0x2f, 9, 0},       /* beyond the end */
        {3, 0x31, 0x30, 0x1b},       /* by zero */
        {3, 0x31, 0x30, 0x1d},
        {2, 0x31, 0x06}, /* no word there */
        {3, 0x30, 0x94, 3},
        {3, 0x92, 60, 0},      /* no such register */
        {4, 0x31, 0x28, 0, 0}, /* nothing is left */
        {1, 0xff},
    };
    for (u32 i = 0; i < COUNT_OF(bad); i++) {
        u64 result;
        if (evaluate(bad[i], &result))
            fail_msg("expression %u is taken: %lx", i, result);
    }
    u8 deep[1 + 40] = {40};
    u64 result;
    for (u32 i = 1; i <= 40; i++)
        deep[i] = 0x31;
    assert_false(evaluate(deep, &result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_give_what_the_standard_says),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
