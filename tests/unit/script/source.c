/* SPDX-License-Identifier: MIT
 *
 * Tests of how source text comes in.
 */
#include "fake.h"

static void beginnings(void **state)
{
    (void)state;
    fake_prints(&f, "", "");
    fake_prints(&f, "#!/usr/bin/lua\nprint 'x'", "x\n");
    fake_prints(&f, "\xEF\xBB\xBFprint 'x'", "x\n");
    fake_prints(&f, "\xEF\xBB\xBF# a line\nprint 'x'", "x\n");
    fake_fails(&f, "#!/usr/bin/lua\n\nerror 'e'", "debug_script.lua:3: e");
}

static void long_files(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    char *text = malloc(LINES * 10 + 100), *at = text;
    for (u32 i = 0; i < LINES; i++)
        at += sprintf(at, "x = %u\n", i % 1000);
    strcpy(at, "print(x) error 'here'");
    const char *output = fake_run(&f, text);
    assert_non_null(strstr(output, "999\ndebug_script.lua:20001: here"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(beginnings),
        fake_test(long_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
