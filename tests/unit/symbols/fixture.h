/* SPDX-License-Identifier: MIT
 *
 * fixture.h - a small C++ program with inlined functions, compiled by a test as it likes.
 */
#ifndef TESTS_UNIT_SYMBOLS_FIXTURE_H
#define TESTS_UNIT_SYMBOLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols/symbols.h"

enum { FIXTURE_ADDRESSES = 2000 };

static const char fixture_header[] =
    "static inline __attribute__((always_inline)) int helper(int x)\n"
    "{\n"
    "    volatile int y = x;\n"
    "    return y * 7 + 3;\n"
    "}\n";

static const char fixture_source[] =
    "#include \"fixture.h\"\n"
    "namespace ns {\n"
    "template <class T> struct box {\n"
    "    T v;\n"
    "    __attribute__((always_inline)) inline T twice(T a)\n"
    "    {\n"
    "        volatile T k = a;\n"
    "        return k + helper(v);\n"
    "    }\n"
    "    __attribute__((noinline)) T get(T a)\n"
    "    {\n"
    "        return twice(a) + twice(a + 1);\n"
    "    }\n"
    "};\n"
    "}\n"
    "namespace {\n"
    "__attribute__((noinline)) int hidden(int a)\n"
    "{\n"
    "    ns::box<int> b{a};\n"
    "    auto f = [&](int q) { return b.get(q) + helper(q); };\n"
    "    return f(a) +\n"
    "           f(a + 1);\n"
    "}\n"
    "}\n"
    "extern \"C\" __attribute__((noinline)) int plain(int a)\n"
    "{\n"
    "    return hidden(a) + helper(a);\n"
    "}\n"
    "int main(int n, char **)\n"
    "{\n"
    "    return plain(n);\n"
    "}\n";

static char fixture_folder[64];

static inline void fixture_write(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture_folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static inline int fixture_begin(void **state)
{
    (void)state;
    strcpy(fixture_folder, "/tmp/moonheap-symbols.XXXXXX");
    if (!mkdtemp(fixture_folder))
        return -1;
    fixture_write("fixture.h", fixture_header);
    fixture_write("fixture.cpp", fixture_source);
    return 0;
}

/* Runs a command of the shell in the folder. */
static inline void fixture_shell(const char *format, ...)
{
    char command[2000];
    size_t used = (size_t)snprintf(command, sizeof command, "cd %s && { ", fixture_folder);
    va_list args;
    va_start(args, format);
    used += (size_t)vsnprintf(command + used, sizeof command - used, format, args);
    va_end(args);
    snprintf(command + used, sizeof command - used, "; } </dev/null");
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static inline int fixture_end(void **state)
{
    (void)state;
    fixture_shell("rm -rf %s", fixture_folder);
    return 0;
}

/* Every address of the functions of a file that the compiler did not make by itself. */
static inline u32 fixture_addresses(const char *name, u64 addresses[FIXTURE_ADDRESSES])
{
    char command[200], line[400], type, symbol[300];
    unsigned long long start, bytes;
    u32 count = 0;
    snprintf(command, sizeof command, "nm -S --defined-only %s/%s", fixture_folder, name);
    FILE *nm = popen(command, "r");
    assert_non_null(nm);
    while (fgets(line, sizeof line, nm)) {
        if (sscanf(line, "%llx %llx %c %299s", &start, &bytes, &type, symbol) != 4 ||
            !strchr("tTwW", type) || !strcmp(symbol, "_start"))
            continue;
        for (u64 i = 0; i < bytes && count < FIXTURE_ADDRESSES; i++)
            addresses[count++] = start + i;
    }
    assert_int_equal(pclose(nm), 0);
    return count;
}

#endif
