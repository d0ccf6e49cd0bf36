/* SPDX-License-Identifier: MIT
 *
 * rtti.c - C++ class names from the names that typeinfo objects carry.
 *
 * Context: pure. Allocates nothing: the demangler hands out its text in pieces.
 * Invariant: the result is NUL-terminated and never longer than its buffer, whatever the file said.
 * Why through "_ZTI": a typeinfo's name is the mangled type without prefix (Itanium C++ ABI, 2.9.5
 * and 5.1.4); with the prefix it is a whole symbol, which keeps the demangler from reading a class
 * named `i` as `int`.
 */
#include <string.h>

#include <libiberty/demangle.h>

#include "types.h"

enum { MANGLED_LIMIT = 4000 };

struct sink {
    char *out;
    size_t used, size;
};

static void collect(const char *text, size_t bytes, void *context)
{
    struct sink *k = context;
    size_t room = k->size - 1 - k->used;
    if (bytes > room)
        bytes = room;
    memcpy(k->out + k->used, text, bytes);
    k->used += bytes;
}

static void close_up(char *text)
{
    char *bracket = strrchr(text, '[');
    if (bracket && bracket > text && bracket[-1] == ' ')
        memmove(bracket - 1, bracket, strlen(bracket) + 1);
}

void types_rtti_name(const char *mangled, char *out, size_t size)
{
    static const char prefix[] = "typeinfo for ";
    char symbol[MANGLED_LIMIT + 8];
    if (*mangled == '*') /* a name that is compared by address; not part of the type */
        mangled++;
    size_t bytes = strlen(mangled);
    if (bytes <= MANGLED_LIMIT) {
        memcpy(symbol, "_ZTI", 4);
        memcpy(symbol + 4, mangled, bytes + 1);
        struct sink k = {out, 0, size};
        if (cplus_demangle_v3_callback(symbol, DMGL_PARAMS | DMGL_ANSI, collect, &k)) {
            out[k.used] = 0;
            if (!strncmp(out, prefix, sizeof prefix - 1)) {
                memmove(out, out + sizeof prefix - 1, k.used + 1 - (sizeof prefix - 1));
                if (*mangled == 'A') /* an array: "T [4]", but all others here are "T[4]" */
                    close_up(out);
                return;
            }
        }
    }
    text_format(out, size, "%s", mangled);
}
