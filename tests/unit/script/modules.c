/* SPDX-License-Identifier: MIT
 *
 * Tests of require: where modules are found, when they are read again.
 */
#include "fake.h"

static const char *const counter = "local n = 0 return {next = function() n = n + 1 return n end}";

static void modules_stay_until_their_file_changes(void **state)
{
    (void)state;
    static const char *const script = "local c = require 'counter' c.next()\n"
                                      "print(require('counter').next())";
    fake_write(&f, "counter.lua", counter);
    fake_prints(&f, script, "2\n");
    assert_string_equal(fake_again(&f), "4\n");
    fake_write(&f, "counter.lua", counter);
    assert_string_equal(fake_again(&f), "2\n");
    fake_write(&f, "counter.lua", "return {next = function() return 'new' end}");
    assert_string_equal(fake_again(&f), "new\n");
}

static void what_they_require_counts_too(void **state)
{
    (void)state;
    fake_write(&f, "inner.lua", "return 1");
    fake_write(&f, "outer.lua", "local i = require 'inner' return function() return i end");
    fake_prints(&f, "print(require 'outer'())", "1\n");
    fake_write(&f, "inner.lua", "return 2");
    assert_string_equal(fake_again(&f), "2\n");
}

static void modules_see_the_run(void **state)
{
    (void)state;
    fake_write(&f, "mod.lua", "own = (own or 0) + 1\n"
                              "return function() print(run.n, own, x, data ~= nil) end");
    fake_prints(&f, "x = 'a' require 'mod' () print(own)", "1\t1\ta\ttrue\nnil\n");
    fake_prints(&f, "x = 'b' require 'mod' ()", "2\t1\tb\ttrue\n");
}

static void places(void **state)
{
    (void)state;
    char folder[100], script[300];
    snprintf(folder, sizeof folder, "%s/pkg", f.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    fake_write(&f, "pkg/part.lua", "return 'a part'");
    fake_write(&f, "pkg/init.lua", "return 'all of it'");
    fake_prints(&f, "print((require 'pkg.part'), (require 'pkg'))", "a part\tall of it\n");
    fake_prints(&f, "package.preload.p = function(n) return n .. '!' end print((require 'p'))",
                "p!\n");
    snprintf(script, sizeof script,
             "package.path = '%s/pkg/?.lua' print((require 'part'), package.searchpath('part', "
             "package.path) == '%s/pkg/part.lua')", f.folder, f.folder);
    fake_prints(&f, script, "a part\ttrue\n");
    fake_prints(&f, "print(require 'heap' == heap, require 'string' == string)", "true\ttrue\n");
    fake_prints(&f, "package.loaded.y = 5 print(require 'y')", "5\n");
}

static void what_goes_wrong(void **state)
{
    (void)state;
    fake_fails(&f, "require 'nowhere'", "debug_script.lua:1: module 'nowhere' not found:\n\tno file '");
    fake_fails(&f, "require(5)", "string expected");
    fake_write(&f, "bad.lua", "x = = 1");
    fake_fails(&f, "require 'bad'", "bad.lua:1: unexpected symbol");
    fake_write(&f, "fails.lua", "\nerror 'oh'");
    fake_fails(&f, "require 'fails'", "fails.lua:2: oh");
    fake_fails(&f, "require 'fails'", "fails.lua:2: oh");
    fake_write(&f, "a.lua", "require 'b'");
    fake_write(&f, "b.lua", "require 'a'");
    fake_fails(&f, "require 'a'", "module 'a' requires itself");
    fake_fails(&f, "require 'modules'", "not found");
    fake_fails(&f, "require 'growth'", "not found");
    char path[200];
    snprintf(path, sizeof path, "%s/open.lua", f.folder);
    fake_write(&f, "open.lua", "return 1");
    chmod(path, 0666);
    fake_fails(&f, "require 'open'", "other users can write it");
    fake_write(&f, "byte.lua", "\x1bLua");
    fake_fails(&f, "require 'byte'", "bytecode");
}

static void folders(void **state)
{
    (void)state;
    char out[100];
    script_folder("./x.lua", out, sizeof out);
    assert_string_equal(out, ".");
    script_folder("x.lua", out, sizeof out);
    assert_string_equal(out, ".");
    script_folder("/x.lua", out, sizeof out);
    assert_string_equal(out, "/");
    script_folder("/a/b/x.lua", out, sizeof out);
    assert_string_equal(out, "/a/b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(modules_stay_until_their_file_changes),
        fake_test(what_they_require_counts_too),
        fake_test(modules_see_the_run),
        fake_test(places),
        fake_test(what_goes_wrong),
        fake_test(folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
