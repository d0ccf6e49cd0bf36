/* SPDX-License-Identifier: MIT
 *
 * library.c - finds libmoonheap.so for `moonheap run`.
 *
 * Context: tool.
 * Invariant: the answer is an absolute path of a readable file that LD_PRELOAD can carry.
 * Why relative to /proc/self/exe: a prefix can be moved or unpacked anywhere, and the build tree
 * has the same shape (bin/ beside lib/), so no path is compiled in.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* LD_PRELOAD separates its entries by blanks and colons and has no way to quote them. */
static bool accept(const char *path, char *out, size_t size, struct err *e)
{
    if (strpbrk(path, ": "))
        return err_set(e, STATUS_UNSUPPORTED,
                       "the library lies at '%s', and LD_PRELOAD can carry no path with a blank or "
                       "a colon; install it elsewhere", path);
    if (strlen(path) >= size)
        return err_set(e, STATUS_LIMIT, "the library's path is too long: '%s'", path);
    memcpy(out, path, strlen(path) + 1);
    return true;
}

bool tool_library_find(char *out, size_t size, struct err *e)
{
    char path[PATH_MAX], real[PATH_MAX];
    const char *given = getenv("MOONHEAP_LIBRARY");
    if (given && *given) {
        if (!realpath(given, real) || access(real, R_OK))
            return err_set(e, STATUS_NOT_FOUND, "MOONHEAP_LIBRARY is '%s': %s", given,
                           strerror(errno));
        return accept(real, out, size, e);
    }
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    if (length <= 0)
        return err_set(e, STATUS_IO, "cannot read /proc/self/exe (is /proc mounted?); set "
                                     "MOONHEAP_LIBRARY to the path of libmoonheap.so");
    path[length] = 0;
    char *folder_end = strrchr(path, '/') + 1;
    static const char *const places[] = {MOONHEAP_LIBRARY_RELATIVE, "../lib/libmoonheap.so"};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        size_t room = sizeof path - (size_t)(folder_end - path);
        if ((size_t)snprintf(folder_end, room, "%s", places[i]) < room && realpath(path, real) &&
            !access(real, R_OK))
            return accept(real, out, size, e);
    }
    *folder_end = 0;
    return err_set(e, STATUS_NOT_FOUND,
                   "libmoonheap.so is not at %s%s; set MOONHEAP_LIBRARY to its path", path,
                   MOONHEAP_LIBRARY_RELATIVE);
}
