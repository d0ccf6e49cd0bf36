/* SPDX-License-Identifier: MIT
 *
 * Formatting is compared with the C library's, over the subset that text_format takes.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"

#define SAME_AS_LIBC(...)                                                                          \
    do {                                                                                           \
        char ours[200], theirs[200];                                                               \
        int length = snprintf(theirs, sizeof theirs, __VA_ARGS__);                                 \
        assert_int_equal(text_format(ours, sizeof ours, __VA_ARGS__), length);                     \
        assert_string_equal(ours, theirs);                                                         \
    } while (0)

static void formats_as_libc(void **state)
{
    (void)state;
    SAME_AS_LIBC("plain");
    SAME_AS_LIBC("%d %i %u %x", INT_MIN, -1, UINT_MAX, 0xdeadbeefU);
    SAME_AS_LIBC("%ld %lu %lx %lld %llu", LONG_MIN, ULONG_MAX, ULONG_MAX, LLONG_MIN, 7ULL);
    SAME_AS_LIBC("%zu %zd %jd %ju", (size_t)-1, (ssize_t)-5, INTMAX_MIN, UINTMAX_MAX);
    SAME_AS_LIBC("%hd %hu %hhd %hhu", (short)-2, (unsigned short)65535, (signed char)-3,
                 (unsigned char)255);
    SAME_AS_LIBC("[%5d][%-5d][%05d][%2d]", -42, -42, -42, 12345);
    SAME_AS_LIBC("[%8s][%-8s][%.3s][%.*s][%8.2s]", "abc", "abc", "abcdef", 2, "xyz", "pqr");
    SAME_AS_LIBC("[%016lx][%*d][%-*d]", 0xabcUL, 6, 1, 6, 2);
    SAME_AS_LIBC("%c%%%c", 'a', 'z');
    SAME_AS_LIBC("%p", (void *)0x1234);
    SAME_AS_LIBC("[%20p][%-20p]", (void *)0x1234, (void *)&state);
}

static void random_numbers_as_libc(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int i = 0; i < 20000; i++) {
        u64 n = ((u64)random() << 33 ^ (u64)random()) >> (random() % 64);
        int width = (int)(random() % 24);
        SAME_AS_LIBC("%*ju|%-*jd|%jx|%x|%d", width, n, width, (i64)-n, n, (u32)n, (i32)n);
    }
}

static void never_writes_past_the_end(void **state)
{
    (void)state;
    for (size_t size = 1; size < 24; size++) {
        char out[32];
        memset(out, '#', sizeof out);
        size_t length = text_format(out, size, "%s %d %5d", "abcdefgh", 123456, 7);
        assert_int_equal(length, strlen(out));
        assert_true(length <= size - 1);
        assert_memory_equal(out, "abcdefgh 123456     7", length);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], '#');
    }
    char untouched = '#';
    assert_int_equal(text_format(&untouched, 0, "x"), 0);
    assert_int_equal(text_count(&untouched, 0, 5), 0);
    assert_int_equal(untouched, '#');
}

static void counts_in_groups_of_three(void **state)
{
    (void)state;
    static const struct {
        u64 n;
        const char *text;
    } cases[] = {{0, "0"}, {999, "999"}, {1000, "1 000"}, {18099, "18 099"},
                 {123456, "123 456"}, {1234567, "1 234 567"},
                 {UINT64_MAX, "18 446 744 073 709 551 615"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[40];
        assert_int_equal(text_count(out, sizeof out, cases[i].n), strlen(cases[i].text));
        assert_string_equal(out, cases[i].text);
    }
}

static void bytes_for_people(void **state)
{
    (void)state;
    static const struct {
        u64 n;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {512, "512 B"},
                 {999, "999 B"},
                 {1000, "1.0 KiB"},
                 {1024, "1.0 KiB"},
                 {1536, "1.5 KiB"},
                 {100 * 1024, "100 KiB"},
                 {1023 * 1024, "1.0 MiB"},
                 {2306867, "2.2 MiB"},
                 {48000000000, "44.7 GiB"},
                 {UINT64_MAX, "16.0 EiB"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[40];
        text_bytes(out, sizeof out, cases[i].n);
        assert_string_equal(out, cases[i].text);
    }
}

static void bytes_are_near_the_truth(void **state)
{
    (void)state;
    static const char units[] = "BKMGTPE";
    for (u64 n = 1; n < UINT64_MAX / 3; n = n * 3 + 1) {
        char out[40], unit;
        double value;
        text_bytes(out, sizeof out, n);
        assert_int_equal(sscanf(out, "%lf %c", &value, &unit), 2);
        double factor = (double)(1UL << 10 * (strchr(units, unit) - units));
        double off = value * factor / (double)n;
        assert_true(off > 0.94 && off < 1.06);
    }
}

static void parses_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        u64 n;
    } good[] = {{"0", 0},           {"512", 512},        {"512B", 512},      {"64K", 65536},
                {"64KB", 65536},    {"64KiB", 65536},    {"256M", 256 << 20}, {"2g", 2UL << 30},
                {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",    "K",  "-1",   "1.5M", "5Q", "5Ki", "5iB", "5MBx", " 5",
                                      "18446744073709551616", "17179869184G"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        u64 n = 77;
        assert_true(text_parse_bytes(good[i].text, &n));
        assert_true(n == good[i].n);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        u64 n = 77;
        assert_false(text_parse_bytes(bad[i], &n));
        assert_true(n == 77);
    }
}

static void parses_numbers(void **state)
{
    (void)state;
    u64 n = 0;
    assert_true(text_parse_u64("0", &n) && n == 0);
    assert_true(text_parse_u64("0x1F", &n) && n == 31);
    assert_true(text_parse_u64("18446744073709551615", &n) && n == UINT64_MAX);
    assert_true(text_parse_u64("0xffffffffffffffff", &n) && n == UINT64_MAX);
    static const char *const bad[] = {"", "x", "0x", "-1", "+1", "1 ", "12a", "18446744073709551616",
                                      "0x10000000000000000"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(text_parse_u64(bad[i], &n));
}

static void parses_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        u64 ns;
    } good[] = {{"0", 0},
                {"30", 30000000000},
                {"1.5", 1500000000},
                {"0.001", 1000000},
                {"250ms", 250000000},
                {"1.5ms", 1500000},
                {"30s", 30000000000},
                {"10m", 600000000000},
                {"0.5m", 30000000000},
                {"2h", 7200000000000}};
    static const char *const bad[] = {"", "s", "-1", "1.", ".5", "1x", "5 s", "1msx", "99999999999999h"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        u64 ns = 77;
        assert_true(text_parse_span(good[i].text, &ns));
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        u64 ns = 77;
        assert_false(text_parse_span(bad[i], &ns));
        assert_true(ns == 77);
    }
}

static void reads_hexadecimal(void **state)
{
    (void)state;
    const char *at = "7fA9-zz";
    assert_true(text_hex(&at) == 0x7fa9);
    assert_string_equal(at, "-zz");
    assert_true(text_hex(&at) == 0);
    assert_string_equal(at, "-zz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_as_libc),
        cmocka_unit_test(random_numbers_as_libc),
        cmocka_unit_test(never_writes_past_the_end),
        cmocka_unit_test(counts_in_groups_of_three),
        cmocka_unit_test(bytes_for_people),
        cmocka_unit_test(bytes_are_near_the_truth),
        cmocka_unit_test(parses_bytes),
        cmocka_unit_test(parses_numbers),
        cmocka_unit_test(parses_spans),
        cmocka_unit_test(reads_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
