/* SPDX-License-Identifier: MIT
 *
 * vdso.c - what is found in the kernel's part of the process, against the loader's view of it.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include <cmocka.h>

#include "base/vdso.h"

static void finds_what_the_loader_finds(void **unused)
{
    (void)unused;
    static const char *const names[] = {"__vdso_clock_gettime", "__vdso_gettimeofday",
                                        "__vdso_time", "__vdso_getcpu"};
    void *loaded = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!loaded)
        skip();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_ptr_equal(vdso_find(names[i]), dlsym(loaded, names[i]));
    dlclose(loaded);
}

static void what_is_not_there_is_not_found(void **unused)
{
    (void)unused;
    assert_null(vdso_find("__vdso_clock_gettim"));
    assert_null(vdso_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_loader_finds),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
