/* SPDX-License-Identifier: MIT
 *
 * hooks.c - lets the static Lua archive into a shared library: stdin, stdout and stderr of our own.
 *
 * Context: agent; in the injected library only.
 * Invariant: the three are filled before any Lua state exists.
 * Why: the archive is not position-independent in one respect only, that it names these variables
 * directly; hidden variables of the same assembler names bind those references inside the library,
 * and the text stays free of relocations (-z text).
 */
#include <dlfcn.h>
#include <stddef.h>

#include "base/base.h"

/* X(standard stream) */
#define STREAMS(X) X(stdin) X(stdout) X(stderr)

#define X(stream)                                                                                  \
    extern void *own_##stream __asm__(#stream);                                                    \
    HIDDEN void *own_##stream;
STREAMS(X)
#undef X

static void fill(const char *name, void **stream)
{
    void **libc = dlsym(RTLD_DEFAULT, name);
    *stream = libc ? *libc : NULL;
}

static __attribute__((constructor)) void fill_streams(void)
{
#define X(stream) fill(#stream, &own_##stream);
    STREAMS(X)
#undef X
}
