/* SPDX-License-Identifier: MIT
 *
 * Tests of the names of many addresses: right, remembered, one string for equal names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf/elf.h"

__attribute__((noinline)) static u64 a_function_of_this_test(u64 x)
{
    return x * 3 + 1;
}

static u64 file_address(const void *code, const char **path)
{
    Dl_info info;
    struct link_map *map;
    assert_true(dladdr1(code, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
    *path = *map->l_name ? map->l_name : "/proc/self/exe";
    return (u64)(uintptr_t)code - map->l_addr;
}

static void names_functions_of_several_files(void **state)
{
    (void)state;
    struct elf_names *n = elf_names_create();
    assert_non_null(n);
    const char *path;
    u64 address = file_address((const void *)a_function_of_this_test, &path);
    const char *name = elf_names_find(n, path, NULL, 0, address + 1);
    assert_string_equal(name, "a_function_of_this_test");
    assert_int_equal(a_function_of_this_test(1), 4);

    void *library = dlopen("libstdc++.so.6", RTLD_NOW);
    assert_non_null(library);
    u64 terminate = file_address(dlsym(library, "_ZSt9terminatev"), &path);
    name = elf_names_find(n, path, NULL, 0, terminate);
    assert_string_equal(name, "std::terminate");
    /* Asked again, and asked for another address of the function: the same string. */
    assert_ptr_equal(elf_names_find(n, path, NULL, 0, terminate), name);
    assert_ptr_equal(elf_names_find(n, path, NULL, 0, terminate + 1), name);
    elf_names_destroy(n);
}

static void names_stay_valid(void **state)
{
    (void)state;
    struct elf_names *n = elf_names_create();
    const char *path;
    void *library = dlopen("libstdc++.so.6", RTLD_NOW);
    u64 first = file_address(dlsym(library, "_ZSt9terminatev"), &path);
    const char *name = elf_names_find(n, path, NULL, 0, first);
    for (u64 i = 0; i < 20000; i++)
        elf_names_find(n, path, NULL, 0, first + i * 16);
    assert_string_equal(name, "std::terminate");
    elf_names_destroy(n);
}

static void what_is_unknown_is_empty(void **state)
{
    (void)state;
    struct elf_names *n = elf_names_create();
    const char *path;
    u64 address = file_address((const void *)a_function_of_this_test, &path);
    static const u8 other_id[20] = {1, 2, 3};
    assert_string_equal(elf_names_find(n, "/nowhere", NULL, 0, 1), "");
    assert_string_equal(elf_names_find(n, "/nowhere", NULL, 0, 1), "");
    assert_string_equal(elf_names_find(n, path, NULL, 0, 0), "");
    assert_string_equal(elf_names_find(n, path, other_id, sizeof other_id, address), "");
    assert_string_equal(elf_names_find(n, path, NULL, 0, address), "a_function_of_this_test");
    char long_path[5000];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_string_equal(elf_names_find(n, long_path, NULL, 0, 1), "");
    elf_names_destroy(n);
    elf_names_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_functions_of_several_files),
        cmocka_unit_test(names_stay_valid),
        cmocka_unit_test(what_is_unknown_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
