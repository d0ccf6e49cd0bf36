/* SPDX-License-Identifier: MIT
 *
 * collapse.c - huge pages where the index is full, none where it is not, and the same blocks in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "track/index.h"

enum { HUGE_BYTES = 2 << 20, GAP = 32, BLOCKS = 4 * HUGE_BYTES / 8, SPARSE = 64 };

static const u64 full_at = 0x550000000000, sparse_at = 0x560000000000;

static u64 kilobytes(const char *key)
{
    char line[200];
    u64 found = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    if (!f)
        skip();
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            found = strtoul(line + strlen(key), NULL, 10);
    fclose(f);
    return found;
}

/* Can it, and does it have as many huge pages now as are needed here? */
static bool kernel_collapses(void)
{
    enum { BYTES = 4 * HUGE_BYTES };
    u8 *at = mmap(NULL, BYTES + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    u8 *huge = (u8 *)ROUND_UP((u64)at, (u64)HUGE_BYTES);
    memset(huge, 1, BYTES);
    bool can = madvise(huge, BYTES, 25 /* MADV_COLLAPSE */) == 0;
    munmap(at, BYTES + HUGE_BYTES);
    return can;
}

static void put(u64 address, u32 stack)
{
    assert_true(index_put(&index_main, address,
                          (struct index_record){index_word(address, 24, stack, 1, 1), 24}));
}

static void collapses_what_is_full(void **unused)
{
    static struct track_block listed[1 << 12];
    struct track_cursor c = {0};
    u32 n, seen = 0;
    (void)unused;
    if (!kernel_collapses())
        skip();
    for (u32 i = 0; i < BLOCKS; i++)
        put(full_at + (u64)i * GAP, i);
    for (u32 i = 0; i < SPARSE; i++) /* a page of each 32 KiB of the index */
        put(sparse_at + (u64)i * (GAP * 4096), i);

    u64 huge = kilobytes("AnonHugePages:"), resident = kilobytes("Rss:");
    track_collapse();
    if (kilobytes("AnonHugePages:") < huge + 3 * HUGE_BYTES / 1024)
        assert_false(kernel_collapses()); /* unless other programs have them all */
    assert_true(kilobytes("AnonHugePages:") <= huge + 4 * HUGE_BYTES / 1024);
    assert_true(kilobytes("Rss:") < resident + HUGE_BYTES / 1024);

    while ((n = track_list(&c, listed, 1 << 12)) > 0)
        for (u32 i = 0; i < n; i++, seen++) {
            u32 k = seen < BLOCKS ? seen : seen - BLOCKS;
            u64 at = seen < BLOCKS ? full_at + (u64)k * GAP : sparse_at + (u64)k * (GAP * 4096);
            assert_int_equal(listed[i].addr, at);
            assert_int_equal(listed[i].stack, k);
        }
    assert_int_equal(seen, BLOCKS + SPARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collapses_what_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
