/* SPDX-License-Identifier: MIT
 *
 * demangle.c - symbol names as people read and type them.
 *
 * Context: pure.
 * Invariant: the answer is at most NAME_LIMIT bytes; a name that would be longer, or that libiberty
 * does not understand, is given as it is.
 *
 * What is kept: "ns::Class::method", template arguments included, without parameters and return
 * type: that is what people read at a site and write in a pattern; overloads share it. Left out are
 * symbol versions (malloc@@GLIBC_2.2.5) and the suffixes of compiler-made parts of a function
 * (.isra.0, .part.1, .constprop.0, .cold, .lto_priv.0, .llvm.123), since they are that function.
 *
 * Only libiberty's callback entries are used: the others may end the process when memory is out
 * (xmalloc). They keep everything on the stack, so leaving through longjmp loses nothing; without
 * that, a few hundred bytes of hostile name can print gigabytes through nested substitutions.
 */
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"

enum {
    NAME_LIMIT = 16384,   /* of an answer */
    MANGLED_LIMIT = 8192, /* of a name that is tried */
};

struct output {
    jmp_buf too_long;
    size_t used;
    char text[NAME_LIMIT];
};

static void collect(const char *piece, size_t length, void *opaque)
{
    struct output *o = opaque;
    if (length >= sizeof o->text - o->used)
        longjmp(o->too_long, 1);
    if (length == 0) /* the piece may be NULL then */
        return;
    memcpy(o->text + o->used, piece, length);
    o->used += length;
}

/* Length of the name without version and compiler suffix. */
static size_t plain_length(const char *name)
{
    static const char *const suffixes[] = {".isra.", ".part.",     ".constprop.",
                                           ".cold",  ".lto_priv.", ".llvm."};
    size_t length = strcspn(name, "@");
    if (length == 0)
        return strlen(name);
    for (u32 i = 0; i < COUNT_OF(suffixes); i++) {
        const char *at = strstr(name + 1, suffixes[i]);
        if (at && (size_t)(at - name) < length)
            length = (size_t)(at - name);
    }
    return length;
}

static bool demangle_into(struct output *o, const char *name)
{
    o->used = 0;
    if (setjmp(o->too_long))
        return false;
    if (rust_demangle_callback(name, DMGL_NO_OPTS, collect, o))
        return true;
    o->used = 0;
    return cplus_demangle_v3_callback(name, DMGL_NO_OPTS, collect, o) != 0;
}

char *elf_demangle(const char *name)
{
    size_t length = plain_length(name);
    char *plain = strndup(name, length);
    bool mangled = strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0 ||
                   strncmp(name, "_GLOBAL_", 8) == 0;
    if (!plain || !mangled || length > MANGLED_LIMIT)
        return plain;
    struct output *o = malloc(sizeof *o);
    if (!o) {
        free(plain);
        return NULL;
    }
    if (demangle_into(o, plain) && o->used > 0) {
        free(plain);
        plain = strndup(o->text, o->used);
    }
    free(o);
    return plain;
}
