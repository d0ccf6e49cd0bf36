/* SPDX-License-Identifier: MIT
 *
 * exported.c - what is found in libraries, against the loader's view of them.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/exported.h"

/* Every name that libc exports, as its own table has them. */
static void finds_what_the_loader_finds(void **unused)
{
    (void)unused;
    struct link_map *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    struct exported e = exported_by_library("libc.so.6");
    assert_non_null(libc);
    assert_non_null(e.gnu_hash);
    /* the string table lies behind the symbols in what linkers write */
    u64 count = ((u64)e.strings - (u64)e.symbols) / sizeof *e.symbols, functions = 0;
    assert_in_range(count, 1000, 100000);
    for (u64 i = 1; i < count; i++) {
        if (ELF64_ST_TYPE(e.symbols[i].st_info) != STT_FUNC || e.symbols[i].st_shndx == SHN_UNDEF)
            continue;
        const char *name = e.strings + e.symbols[i].st_name;
        void *found = exported_find(&e, name), *loaders = dlsym(libc, name);
        if (found && found != loaders) /* of some names all versions are old ones */
            fail_msg("%s is at %p, the loader says %p", name, found, loaders);
        functions += found != NULL;
    }
    assert_in_range(functions, 1000, count);
    dlclose(libc);
}

static void finds_by_the_older_table(void **unused)
{
    (void)unused;
    static const char path[] = "libm.so.6";
    struct link_map *m = dlopen(path, RTLD_LAZY);
    assert_non_null(m);
    struct exported e = exported_by_library(path);
    /* a table as the older format has it: one bucket, with all in one chain */
    u64 count = ((u64)e.strings - (u64)e.symbols) / sizeof *e.symbols;
    u32 *hash = calloc(3 + count, sizeof *hash);
    hash[0] = 1;
    hash[1] = (u32)count;
    hash[2] = (u32)count - 1;
    for (u64 i = 1; i < count; i++)
        hash[3 + i] = (u32)i - 1;
    struct exported older = e;
    older.gnu_hash = NULL;
    older.hash = hash;
    assert_non_null(exported_find(&older, "frexp"));
    assert_ptr_equal(exported_find(&older, "frexp"), exported_find(&e, "frexp"));
    assert_ptr_equal(exported_find(&older, "erf"), dlsym(m, "erf"));
    assert_null(exported_find(&older, "no_such_function"));
    free(hash);
    dlclose(m);
}

static void what_is_not_there_is_not_found(void **unused)
{
    (void)unused;
    struct exported e = exported_by_library("libc.so.6"), none = {0};
    assert_null(exported_find(&e, "pthread_creat"));
    assert_null(exported_find(&e, ""));
    assert_null(exported_find(&none, "pthread_create"));
    assert_null(exported_by_library("libc.so").symbols);
    /* chosen at run time: an address of the function that chooses would be wrong */
    assert_null(exported_find(&e, "memcpy"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_loader_finds),
        cmocka_unit_test(finds_by_the_older_table),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
