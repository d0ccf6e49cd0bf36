#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""can_fail.py - each check of scripts/ accepts a small clean tree and refuses a spoilt one.

A check that cannot fail protects nothing; each case below spoils one thing and names the words
that the complaint must contain.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import unittest

OPTIONS = argparse.Namespace()
LAYERS = "base hot :\ntrack hot : base\nquery pure : base\n"


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def compile(self, name, text, *flags):
        source = self.write(f"made/{name}", text)
        out = source.with_name(source.name + ".o")
        subprocess.run([OPTIONS.cc, "-fPIC", "-O1", "-c", source, "-o", out, *flags], check=True)
        return out

    def run_check(self, name, *args):
        done = subprocess.run([sys.executable, f"{OPTIONS.scripts}/{name}", *map(str, args)],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    def passes(self, name, *args):
        status, complaint = self.run_check(name, *args)
        self.assertEqual((status, complaint), (0, ""))

    def refuses(self, words, name, *args):
        status, complaint = self.run_check(name, *args)
        self.assertEqual(status, 1, complaint)
        self.assertIn(words, complaint)


class Layers(Check):
    def setUp(self):
        super().setUp()
        self.write("src/layers.txt", LAYERS)
        self.write("src/base/base.h", "")
        self.write("src/base/text.h", "")
        self.write("src/track/track.h", '#include "base/base.h"\n')
        self.write("src/query/query.c", '#include "base/base.h"\n#include <stdio.h>\n')

    def check(self, words=None, *objects):
        if words:
            self.refuses(words, "check_layers", "--root", self.root, *objects)
        else:
            self.passes("check_layers", "--root", self.root, *objects)

    def test_clean(self):
        self.check()

    def test_edge_that_is_not_written_down(self):
        self.write("src/query/rows.c", '#include "track/track.h"\n')
        self.check("does not let query use track")

    def test_behind_the_door(self):
        self.write("src/query/rows.c", '#include "base/text.h"\n')
        self.check('its door is "base/base.h"')

    def test_file_of_nobody(self):
        self.write("src/query/rows.c", '#include "text.h"\n')
        self.check('"text.h" is not a file of query')

    def test_room_without_a_line(self):
        self.write("src/attic/attic.c", "")
        self.check("src/attic: is not in")

    def test_cycle(self):
        self.write("src/layers.txt", "base hot : query\ntrack hot : base\nquery pure : base\n")
        self.check("a cycle: base -> query -> base")

    def test_clean_object(self):
        self.check(None, self.compile("query/a.c", "static const char *const w[] = {\"a\"};"
                                      "const char *query_w(int i) { return w[i]; }"))

    def test_mutable_global(self):
        self.check("'calls' is a mutable global",
                   self.compile("query/a.c", "static int calls;"
                                "int query_call(void) { return ++calls; }"))

    def test_state_is_allowed_where_it_has_an_owner(self):
        self.check(None, self.compile("track/a.c", "static int calls;"
                                      "int track_call(void) { return ++calls; }"))

    def test_name_without_its_room(self):
        self.check("'sort_rows' has linkage",
                   self.compile("query/a.c", "void sort_rows(void) {}"))

    def test_name_of_a_file_of_the_room(self):
        self.check(None, self.compile("query/rows.c", "void rows_sort(void) {}"),
                   self.compile("query/a.c", "void query_a(void) {}"))


class HotPath(Check):
    def setUp(self):
        super().setUp()
        self.allow = self.write("allow", "* memcpy : pure\n")
        self.exports = self.write("exports", "malloc free\n")

    def arguments(self, text, *flags):
        return ("check_hot_path", "--allow", self.allow, "--exports", self.exports,
                self.compile("track/a.c", text, *flags))

    def test_clean(self):
        self.passes(*self.arguments("#include <string.h>\nvoid malloc(void) {}"
                                    "void f(void *a, void *b, long n) { memcpy(a, b, n); }",
                                    "-fno-builtin"))

    def test_calls(self):
        for call in ("malloc(1)", "printf(\"\")", "pthread_mutex_lock(0)", "dl_iterate_phdr(0, 0)",
                     "fputs(0, 0)"):
            name = call.split("(")[0]
            with self.subTest(name):
                self.refuses(f"track/a refers to {name}",
                             *self.arguments(f"int {name}(); int f(void) {{ return {call}; }}",
                                             "-fno-builtin", "-w"))

    def test_calls_without_a_plt(self):
        self.refuses("refers to free", *self.arguments(
            "#include <stdlib.h>\nvoid f(void *p) { free(p); }", "-fno-plt"))

    def test_calls_bound_late(self):
        text = "#include <string.h>\nvoid f(void *a, void *b, long n) { memcpy(a, b, n); }"
        for flags, refused in (["-fno-plt"], False), (["-fplt"], True):
            arguments = self.arguments(text, "-fno-builtin", *flags)
            library = self.root / "late.so"
            subprocess.run([OPTIONS.cc, "-shared", "-Wl,-z,lazy", "-o", library, arguments[-1]], check=True)
            arguments = (*arguments[:-1], "--library", library, arguments[-1])
            if refused:
                self.refuses("memcpy, which late.so looks up at its first call", *arguments)
            else:
                self.passes(*arguments)

    def test_own_hook_is_not_for_us(self):
        self.refuses("refers to malloc", *self.arguments(
            "__attribute__((noinline)) void *malloc(unsigned long n) { return (void *)(n + 8); }"
            "void *f(unsigned long n) { return malloc(n); }", "-fno-builtin"))

    def test_address_in_data(self):
        self.refuses("refers to malloc", *self.arguments(
            "void *malloc(unsigned long); void *(*const table[])(unsigned long) = {malloc};"))

    def test_dynamic_tls(self):
        self.refuses("dynamic TLS", *self.arguments(
            "extern __thread int depth; int f(void) { return ++depth; }"))

    def test_initial_exec_tls(self):
        self.passes(*self.arguments("__thread int depth; int f(void) { return ++depth; }",
                                    "-ftls-model=initial-exec"))

    def test_allowance_that_is_no_longer_used(self):
        self.allow = self.write("allow", "track/a dlsym : the next allocator, once\n")
        self.refuses("no longer uses dlsym", *self.arguments("int f(void) { return 1; }"))

    def test_allowance_without_a_reason(self):
        self.allow = self.write("allow", "track/a dlsym\n")
        self.refuses("not 'object symbol... : reason'", *self.arguments("void f(void) {}"))


class Exports(Check):
    def check(self, words, code, listing, *flags):
        library = self.root / "lib.so"
        source = self.write("lib.c", code)
        subprocess.run([OPTIONS.cc, "-fPIC", "-shared", "-w", source, "-o", library, *flags],
                       check=True)
        args = ("check_exports", library, "--list", self.write("list", listing))
        if words:
            self.refuses(words, *args)
        else:
            self.passes(*args)

    def test_clean(self):
        self.check(None, "void malloc(void) {}", "malloc ?free_sized # c\n")

    def test_one_too_many(self):
        self.check("exports lua_open", "void malloc(void) {} void lua_open(void) {}", "malloc")

    def test_one_missing(self):
        self.check("does not export free", "void malloc(void) {}", "malloc free")

    def test_lua_left_open(self):
        self.check("leaves lua_gc undefined",
                   "void malloc(void) { extern int lua_gc(); lua_gc(); }", "malloc")

    def test_another_library(self):
        self.check("needs libpthread-like.so",
                   "void malloc(void) { extern int other(); other(); }", "malloc",
                   self.other_library())

    def other_library(self):
        source, library = self.write("o.c", "int other(void) { return 1; }"), self.root / "o.so"
        subprocess.run([OPTIONS.cc, "-fPIC", "-shared", "-Wl,-soname,libpthread-like.so", source,
                        "-o", library], check=True)
        return library


class Licenses(Check):
    def test_clean(self):
        self.write("a.c", "/* SPDX-License-Identifier: MIT */\n")
        self.write("data.json", "{}\n")
        self.passes("check_licenses", "--root", self.root)

    def test_missing(self):
        self.write("a.c", "/* SPDX-License-Identifier: MIT */\n")
        self.write("b.sh", "#!/bin/sh\n")
        self.refuses("b.sh: no 'SPDX", "check_licenses", "--root", self.root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", default="cc")
    parser.add_argument("scripts")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
