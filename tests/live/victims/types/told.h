/* SPDX-License-Identifier: MIT
 *
 * told.h - how a victim says what its blocks are: a line "ADDRESS SIZE TYPE" on its standard output
 * for each. The table of what was said lies outside of the heap, and its addresses are turned, so
 * that it holds nothing.
 */
#ifndef TOLD_H
#define TOLD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOLD_MOST = 200000 };
struct told {
    uintptr_t turned;
    size_t bytes;
    const char *type;
};
static struct told told[TOLD_MOST];
static unsigned told_count;

static inline void tell(const void *p, size_t bytes, const char *type)
{
    if (told_count == TOLD_MOST)
        abort();
    told[told_count++] = (struct told){~(uintptr_t)p, bytes, type};
}

static inline void tell_all(void)
{
    for (unsigned i = 0; i < told_count; i++)
        printf("%lx %zu %s\n", (unsigned long)~told[i].turned, told[i].bytes, told[i].type);
    printf("end\n");
    fflush(stdout);
}

/* Until its standard input ends. */
static inline void stay(void)
{
    char byte;
    while (fread(&byte, 1, 1, stdin) == 1)
        continue;
}

#endif
