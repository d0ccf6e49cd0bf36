/* SPDX-License-Identifier: MIT
 *
 * sites.c - forty functions that allocate, the same blocks in every run.
 *
 * Context: test victim.
 * Commands, each answered by "done": grow COUNT BYTES (blocks at each site, of up to so many bytes,
 * no two sites alike); drop (frees each third block).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"

enum { SITES = 40, ROOM = 1 << 20 };

static void **kept;
static size_t kept_count;
static unsigned long state = 88172645463325252ul;

static unsigned long draw(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ul >> 16;
}

#define SITE(n)                                                                                    \
    __attribute__((noinline)) void site_##n(size_t size)                                           \
    {                                                                                              \
        kept[kept_count++] = malloc(size);                                                         \
    }
#define TENS(X, t) X(t##0) X(t##1) X(t##2) X(t##3) X(t##4) X(t##5) X(t##6) X(t##7) X(t##8) X(t##9)
TENS(SITE, 1)
TENS(SITE, 2)
TENS(SITE, 3)
TENS(SITE, 4)

#define NAME(n) site_##n,
static void (*const sites[SITES])(size_t) = {TENS(NAME, 1) TENS(NAME, 2) TENS(NAME, 3) TENS(NAME, 4)};

static void grow(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        for (size_t site = 0; site < SITES; site++)
            if (draw() % SITES >= site / 2 && kept_count < ROOM)
                sites[site](bytes / 16 + draw() % bytes);
}

static void drop(void)
{
    size_t n = 0;
    for (size_t i = 0; i < kept_count; i++)
        if (i % 3 == 0)
            free(kept[i]);
        else
            kept[n++] = kept[i];
    kept_count = n;
}

int main(void)
{
    char line[100];
    size_t count, bytes;
    static void *room[ROOM];
    kept = room;
    while (ask(line, sizeof line)) {
        if (sscanf(line, "grow %zu %zu", &count, &bytes) == 2)
            grow(count, bytes);
        else if (!strcmp(line, "drop"))
            drop();
        if (write(1, "done\n", 5) != 5)
            return 1;
    }
    return 0;
}
