/* SPDX-License-Identifier: MIT
 *
 * ask.h - what a victim is asked to do: the lines of its standard input, read without stdio, which
 * would allocate.
 */
#ifndef ASK_H
#define ASK_H

#include <stdbool.h>
#include <unistd.h>

/* The next line, without its end and cut to what there is room for; false when there is none. */
static bool ask(char *line, size_t size)
{
    size_t used = 0;
    while (read(0, line + used, 1) == 1) {
        if (line[used] == '\n') {
            line[used] = 0;
            return true;
        }
        used += used < size - 1;
    }
    return false;
}

#endif
