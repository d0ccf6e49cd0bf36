/* SPDX-License-Identifier: MIT
 *
 * render.c - pictures of DOT files, made by Graphviz's `dot`.
 *
 * Context: tool.
 * Invariant: no shell sees the names, and none is taken for an option.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

enum { ARGUMENT_BYTES = 4200 };

bool tool_render(const char *dot, const char *picture, const char *format, struct err *e)
{
    char type[16], to[ARGUMENT_BYTES], from[ARGUMENT_BYTES];
    if (strlen(dot) > ARGUMENT_BYTES - 8 || strlen(picture) > ARGUMENT_BYTES - 8)
        return err_set(e, STATUS_USAGE, "the picture's name is too long");
    text_format(type, sizeof type, "-T%s", format);
    text_format(to, sizeof to, "-o%s", picture);
    text_format(from, sizeof from, "%s%s", *dot == '-' ? "./" : "", dot);
    char *const argv[] = {"dot", type, to, from, NULL};
    pid_t pid;
    int status = 0, error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (error)
        return err_set(e, STATUS_NOT_FOUND,
                       "%s is written, but its picture needs 'dot', which cannot be run: %s "
                       "(Debian: apt-get install graphviz)", dot, strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 || err_set(e, STATUS_IO, "%s is written, but 'dot' could not make %s of it",
                                  dot, picture);
}
