/* SPDX-License-Identifier: MIT
 *
 * Tests of class names from typeinfo names.
 */
#include "world.h"

static void class_names(void **state)
{
    (void)state;
    static const struct {
        const char *mangled, *name;
    } cases[] = {
        {"7session", "session"},
        {"*7session", "session"},
        {"N2ns7sessionE", "ns::session"},
        {"*N2ns7sessionE", "ns::session"},
        {"3boxIiE", "box<int>"},
        {"N12_GLOBAL__N_14nodeE", "(anonymous namespace)::node"},
        {"1i", "i"},
        {"A12_7session", "session[12]"},
        {"A3_N2ns3boxIiEE", "ns::box<int>[3]"},
        {"not mangled", "not mangled"},
        {"", ""},
        {"*", ""},
        {"9short", "9short"},
    };
    char out[200];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        types_rtti_name(cases[i].mangled, out, sizeof out);
        assert_string_equal(out, cases[i].name);
    }
}

static void long_names_are_cut(void **state)
{
    (void)state;
    char mangled[9000], out[16];
    types_rtti_name("N2ns7sessionE", out, 6);
    assert_true(strlen(out) < 6);
    memset(mangled, 'a', sizeof mangled);
    mangled[sizeof mangled - 1] = 0;
    types_rtti_name(mangled, out, sizeof out);
    assert_string_equal(out, "aaaaaaaaaaaaaaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_names),
        cmocka_unit_test(long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
