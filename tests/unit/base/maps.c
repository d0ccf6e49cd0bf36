/* SPDX-License-Identifier: MIT
 *
 * The reader is compared with stdio's reading of the same file, and must find mappings made here.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/maps.h"
#include "base/sys.h"

static char buffer[MAPS_BUFFER_BYTES];

static bool find(u64 address, struct maps_region *found)
{
    struct maps_reader r;
    assert_true(maps_open(&r, buffer));
    bool there = false;
    while (!there && maps_next(&r, found))
        there = address >= found->lo && address < found->hi;
    maps_close(&r);
    return there;
}

static void agrees_with_stdio(void **state)
{
    (void)state;
    /* The file is read by both at about the same moment; nothing is mapped in between. */
    FILE *file = fopen("/proc/self/maps", "r");
    static char lines[4000][700];
    size_t count = 0;
    while (count < COUNT_OF(lines) && fgets(lines[count], sizeof lines[0], file))
        count++;
    struct maps_reader r;
    assert_true(maps_open(&r, buffer));
    struct maps_region region;
    size_t at = 0;
    for (; maps_next(&r, &region); at++) {
        unsigned long lo, hi, offset;
        char perms[8], path[600] = "";
        assert_true(sscanf(lines[at], "%lx-%lx %4s %lx %*s %*s %599[^\n]", &lo, &hi, perms, &offset,
                           path) >= 4);
        assert_true(region.lo == lo && region.hi == hi && region.offset == offset);
        assert_int_equal(region.read, perms[0] == 'r');
        assert_int_equal(region.write, perms[1] == 'w');
        assert_int_equal(region.exec, perms[2] == 'x');
        assert_int_equal(region.shared, perms[3] == 's');
        assert_string_equal(region.path, path);
    }
    assert_int_equal(at, count);
    maps_close(&r);
    fclose(file);
}

static void finds_code_stack_and_own_mappings(void **state)
{
    (void)state;
    struct maps_region region;
    assert_true(find((u64)&agrees_with_stdio, &region));
    assert_true(region.exec && !region.write);
    assert_non_null(strstr(region.path, "unit_base_maps"));
    assert_true(find((u64)&region, &region));
    assert_string_equal(region.path, "[stack]");

    char *shared = sys_map_shared(3 * PAGE_BYTES);
    assert_true(find((u64)shared + PAGE_BYTES, &region));
    assert_true(region.shared && region.read && region.write && !region.exec);
    sys_unmap(shared, 3 * PAGE_BYTES);
}

static void many_mappings_cross_the_buffer(void **state)
{
    (void)state;
    enum { PAGES = 1000 };
    char *p = sys_map(PAGES * PAGE_BYTES);
    for (int i = 0; i < PAGES; i += 2)
        mprotect(p + (u64)i * PAGE_BYTES, PAGE_BYTES, PROT_READ);
    struct maps_reader r;
    assert_true(maps_open(&r, buffer));
    struct maps_region region;
    u64 last = 0;
    int inside = 0;
    while (maps_next(&r, &region)) {
        assert_true(region.lo >= last && region.hi > region.lo);
        last = region.hi;
        if (region.lo >= (u64)p && region.hi <= (u64)p + PAGES * PAGE_BYTES) {
            assert_true(region.hi - region.lo == PAGE_BYTES);
            assert_int_equal(region.write, (region.lo - (u64)p) / PAGE_BYTES % 2);
            inside++;
        }
    }
    assert_true(inside >= PAGES - 1); /* the last may have merged with a neighbour */
    maps_close(&r);
    sys_unmap(p, PAGES * PAGE_BYTES);
}

static void long_paths_are_cut(void **state)
{
    (void)state;
    char start[] = "/tmp/moonheap-maps-XXXXXX", old[4096];
    assert_non_null(mkdtemp(start));
    assert_non_null(getcwd(old, sizeof old));
    assert_int_equal(chdir(start), 0);
    char name[201];
    memset(name, 'd', 200);
    name[200] = '\0';
    int depth = 0;
    for (; depth < 12 && mkdir(name, 0700) == 0 && chdir(name) == 0; depth++)
        ;
    assert_int_equal(depth, 12);
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 4096), 0);
    void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    close(fd);
    struct maps_region region;
    assert_true(find((u64)p, &region));
    assert_int_equal(strlen(region.path), sizeof region.path - 1);
    assert_memory_equal(region.path, start, strlen(start));
    /* what comes after it is still found */
    assert_true(find((u64)&region, &region));
    assert_string_equal(region.path, "[stack]");
    munmap(p, 4096);
    unlink("file");
    for (; depth; depth--) {
        assert_int_equal(chdir(".."), 0);
        assert_int_equal(rmdir(name), 0);
    }
    assert_int_equal(chdir(old), 0);
    rmdir(start);
}

static void the_library_is_known_by_name(void **state)
{
    (void)state;
    assert_true(maps_names_library("/libmoonheap.so"));
    assert_true(maps_names_library("/libmoonheap.so.0.1\n"));
    assert_true(maps_names_library("/libmoonheap.so (deleted)"));
    assert_false(maps_names_library("/libmoonheap_stack_check.so"));
    assert_false(maps_names_library("/libmoon"));
    assert_false(maps_names_library("/mylibmoonheap.so"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_stdio),
        cmocka_unit_test(finds_code_stack_and_own_mappings),
        cmocka_unit_test(many_mappings_cross_the_buffer),
        cmocka_unit_test(long_paths_are_cut),
        cmocka_unit_test(the_library_is_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
