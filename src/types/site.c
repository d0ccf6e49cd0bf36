/* SPDX-License-Identifier: MIT
 *
 * site.c - which frames are passed over in search of the place that wanted a block.
 *
 * Context: pure.
 * Invariant: one table says it all; a frame without a symbol is judged by its file alone.
 * Why by name: debug information is not there in production, and programs wrap malloc under names
 * that say so (zmalloc, xmalloc, g_malloc0, PyMem_RawMalloc). Judged is the function's own name,
 * not its parameters, template arguments or return type: `void add<Malloc>(std::string)` is no
 * wrapper. Rust compiles its library into programs, under names (core, alloc) that people give their
 * own namespaces too: it is told by where its sources were.
 */
#include <ctype.h>
#include <string.h>

#include "types.h"

/* X(where it is looked for, pattern) */
#define SITE_PASSED_OVER(X)                                                                        \
    X(FILE_BEGINS, "libc.so")                                                                      \
    X(FILE_BEGINS, "libc-2.")                                                                      \
    X(FILE_BEGINS, "libpthread")                                                                   \
    X(FILE_BEGINS, "ld-linux")                                                                     \
    X(FILE_BEGINS, "ld-2.")                                                                        \
    X(FILE_BEGINS, "ld-musl")                                                                      \
    X(FILE_BEGINS, "ld.so")                                                                        \
    X(FILE_BEGINS, "libstdc++")                                                                    \
    X(FILE_BEGINS, "libc++")                                                                       \
    X(FILE_BEGINS, "libjemalloc")                                                                  \
    X(FILE_BEGINS, "libtcmalloc")                                                                  \
    X(FILE_BEGINS, "libmimalloc")                                                                  \
    X(FILE_BEGINS, "libmoonheap")                                                                  \
    X(PATH_BEGINS, "std::")                                                                        \
    X(PATH_BEGINS, "__gnu_cxx::")                                                                  \
    X(NAME_BEGINS, "moonheap_")                                                                    \
    X(NAME_BEGINS, "__rust_")                                                                      \
    X(NAME_BEGINS, "__rdl_")                                                                       \
    X(NAME_BEGINS, "operator new")                                                                 \
    X(NAME_IS, "allocate")                                                                         \
    X(NAME_IS, "l_alloc")                                                                          \
    X(NAME_IS, "ngx_alloc")                                                                        \
    X(NAME_IS, "ngx_palloc")                                                                       \
    X(NAME_IS, "ngx_pnalloc")                                                                      \
    X(NAME_IS, "ngx_palloc_large")                                                                 \
    X(NAME_IS, "ngx_palloc_block")                                                                 \
    X(NAME_IS, "apr_palloc")                                                                       \
    X(NAME_IS, "g_slice_alloc")                                                                    \
    X(NAME_IS, "g_slice_alloc0")                                                                   \
    X(NAME_HAS, "malloc")                                                                          \
    X(NAME_HAS, "calloc")                                                                          \
    X(NAME_HAS, "realloc")                                                                         \
    X(NAME_HAS, "memalign")                                                                        \
    X(NAME_HAS, "aligned_alloc")                                                                   \
    X(NAME_HAS, "strdup")                                                                          \
    X(NAME_HAS, "strndup")

enum place { FILE_BEGINS, PATH_BEGINS, NAME_BEGINS, NAME_IS, NAME_HAS };

static const struct {
    enum place place;
    const char *pattern;
} passed_over[] = {
#define X(place, pattern) {place, pattern},
    SITE_PASSED_OVER(X)
#undef X
};

/* A demangled function taken apart: "int* ns::box<int>::get<char>(long) const" has the path
 * "ns::box<int>::get" and the name "get". */
struct function_name {
    const char *path;
    const char *name;
    size_t name_bytes;
};

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static struct function_name take_apart(const char *text)
{
    static const char anonymous[] = "(anonymous namespace)";
    struct function_name f = {text, text, 0};
    u32 depth = 0;
    const char *p = text;
    for (; *p; p++) {
        if (!depth && begins(p, anonymous)) {
            p += sizeof anonymous - 2;
        } else if (!depth && begins(p, "operator") && !is_word(p[8]) &&
                   (p == text || !is_word(p[-1]))) {
            f.name = p;
            p += begins(p + 8, "()") ? 10 : 8;
            p += strcspn(p, "(");
            f.name_bytes = (size_t)(p - f.name);
            return f;
        } else if (*p == '(' && !depth) {
            break;
        } else if (strchr("<([{", *p)) {
            depth++;
        } else if (strchr(">)]}", *p) && depth) {
            depth--;
        } else if (!depth && *p == ' ') {
            f.path = f.name = p + 1;
        } else if (!depth && p[0] == ':' && p[1] == ':') {
            f.name = p + 2;
            p++;
        }
    }
    size_t whole = (size_t)(p - f.name), plain = strcspn(f.name, "<");
    f.name_bytes = plain && plain < whole ? plain : whole;
    return f;
}

static bool has(const char *text, size_t bytes, const char *pattern)
{
    size_t length = strlen(pattern);
    for (size_t i = 0; i + length <= bytes; i++)
        if (!strncasecmp(text + i, pattern, length))
            return true;
    return false;
}

bool types_site_passes_over(const char *module_file, const char *function)
{
    const char *slash = strrchr(module_file, '/');
    const char *file = slash ? slash + 1 : module_file;
    struct function_name f = take_apart(function ? function : "");
    for (size_t i = 0; i < COUNT_OF(passed_over); i++) {
        const char *pattern = passed_over[i].pattern;
        size_t length = strlen(pattern);
        bool match = false;
        switch (passed_over[i].place) {
        case FILE_BEGINS:
            match = begins(file, pattern);
            break;
        case PATH_BEGINS:
            match = begins(f.path, pattern);
            break;
        case NAME_BEGINS:
            match = f.name_bytes >= length && begins(f.name, pattern);
            break;
        case NAME_IS:
            match = f.name_bytes == length && begins(f.name, pattern);
            break;
        case NAME_HAS:
            match = has(f.name, f.name_bytes, pattern);
            break;
        }
        if (match)
            return true;
    }
    return false;
}

bool types_site_is_library(const char *source_file)
{
    static const char *const places[] = {"/rustc/", "library/alloc/src/", "library/core/src/",
                                         "library/std/src/", "/hashbrown-"};
    for (size_t i = 0; i < COUNT_OF(places); i++)
        if (strstr(source_file, places[i]))
            return true;
    return false;
}
