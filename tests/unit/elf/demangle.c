/* SPDX-License-Identifier: MIT
 *
 * Tests of demangling: known answers, and c++filt's answers for every function of libstdc++.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "elf/elf.h"

static void reads(const char *mangled, const char *expected)
{
    char *name = elf_demangle(mangled);
    assert_non_null(name);
    assert_string_equal(name, expected);
    free(name);
}

static void known_names(void **state)
{
    (void)state;
    reads("_ZN2ns5Class6methodEi", "ns::Class::method");
    reads("_Z3maxIiET_S0_S0_", "max<int>");
    reads("_ZNSt6vectorIiSaIiEE9push_backERKi",
          "std::vector<int, std::allocator<int> >::push_back");
    reads("_ZN7sessionC1Ev", "session::session");
    reads("_Znwm", "operator new");
    reads("_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()");
    reads("_ZN5alloc5alloc8exchange17h0123456789abcdefE", "alloc::alloc::exchange");
    reads("_RNvC6_123foo3bar", "123foo::bar");
}

static void names_that_are_not_mangled(void **state)
{
    (void)state;
    reads("make_session", "make_session");
    reads("", "");
    reads("main.main", "main.main");
    reads("_Z", "_Z");
    reads("_ZN", "_ZN");
    reads("_Zebra", "_Zebra");
    reads("@", "@");
}

static void versions_and_parts_are_left_out(void **state)
{
    (void)state;
    reads("malloc@@GLIBC_2.2.5", "malloc");
    reads("make_session.isra.0", "make_session");
    reads("make_session.part.0.cold", "make_session");
    reads("make_session.constprop.1", "make_session");
    reads("_ZN2ns5Class6methodEi.cold", "ns::Class::method");
    reads("_ZN2ns5Class6methodEi@@LIB_1", "ns::Class::method");
}

/* f<a, b<a, a>, b<b<a, a>, b<a, a> >, ...>: each argument is twice as long as the one before, and
 * some hundred bytes ask for 2^60. */
static void a_name_that_explodes_is_left_as_it_is(void **state)
{
    (void)state;
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char name[2000];
    size_t n = strlen(strcpy(name, "_Z1fI1a1bIS0_S0_E")); /* S0_ is a, S1_ is b, S2_ is b<a, a> */
    for (u32 i = 1; i < 60; i++) {
        char reference[8];
        if (i < 35)
            snprintf(reference, sizeof reference, "S%c_", digits[i + 1]);
        else
            snprintf(reference, sizeof reference, "S%c%c_", digits[1], digits[i - 35]);
        n += (size_t)snprintf(name + n, sizeof name - n, "S1_I%s%sE", reference, reference);
        if (i == 2) {
            char small[2010];
            snprintf(small, sizeof small, "%sEvv", name);
            reads(small, "f<a, b<a, a>, b<b<a, a>, b<a, a> >, b<b<b<a, a>, b<a, a> >, "
                         "b<b<a, a>, b<a, a> > > >");
        }
    }
    snprintf(name + n, sizeof name - n, "Evv");
    clock_t before = clock();
    reads(name, name);
    assert_true((clock() - before) / CLOCKS_PER_SEC < 5);
}

static void agrees_with_cxxfilt(void **state)
{
    (void)state;
    FILE *pairs =
        popen("lib=$(ldconfig -p 2>/dev/null | sed -n 's/.*libstdc++.so.6.*x86-64.*=> //p' |"
              " head -1); lib=${lib:-/usr/lib/x86_64-linux-gnu/libstdc++.so.6};"
              " nm -D --defined-only --without-symbol-versions \"$lib\" | awk '$2 ~ /[TWi]/"
              " {print $3}' > /tmp/moonheap-names.$$;"
              " c++filt -p -i < /tmp/moonheap-names.$$ | paste -d '\\t' /tmp/moonheap-names.$$ -;"
              " rm -f /tmp/moonheap-names.$$",
              "r");
    assert_non_null(pairs);
    static char line[65536];
    u32 compared = 0;
    while (fgets(line, sizeof line, pairs)) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        tab[1 + strcspn(tab + 1, "\n")] = '\0';
        reads(line, tab + 1);
        compared++;
    }
    assert_int_equal(pclose(pairs), 0);
    printf("%u names compared\n", compared);
    assert_true(compared > 1000);
}

static void random_names_do_no_harm(void **state)
{
    (void)state;
    const char *given = getenv("ELF_SEED");
    u32 seed = given ? (u32)strtoul(given, NULL, 0) : (u32)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    static const char letters[] = "ZNSTKRILEPO_0123456789abcdvinmstCDUl$.";
    for (u32 i = 0; i < 20000; i++) {
        char name[80] = "_Z";
        size_t length = 2 + (size_t)rand() % 70;
        if (rand() % 4 == 0)
            name[1] = 'R';
        for (size_t k = 2; k < length; k++)
            name[k] = letters[(size_t)rand() % (sizeof letters - 1)];
        char *answer = elf_demangle(name);
        assert_non_null(answer);
        free(answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_names),
        cmocka_unit_test(names_that_are_not_mangled),
        cmocka_unit_test(versions_and_parts_are_left_out),
        cmocka_unit_test(a_name_that_explodes_is_left_as_it_is),
        cmocka_unit_test(agrees_with_cxxfilt),
        cmocka_unit_test(random_names_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
