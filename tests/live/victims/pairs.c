/* SPDX-License-Identifier: MIT
 *
 * pairs.c - the least processor time of some rounds of malloc and free, as it says itself.
 *
 * Context: test victim.
 * Commands: pairs N (answered by the nanoseconds of the quickest of many rounds of N pairs);
 * hold N (blocks of 100 bytes from hold_some); drop (frees them).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"

enum { ROUNDS = 200, HELD = 1 << 16 };
static void *held[HELD];
static long held_count;

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

__attribute__((noinline)) static void pairs(long n)
{
    for (long i = 0; i < n; i++) {
        void *volatile p = malloc((size_t)(24 + i % 8 * 16));
        free(p);
    }
}

__attribute__((noinline)) void hold_some(long n)
{
    while (n-- > 0 && held_count < HELD)
        held[held_count++] = malloc(100);
}

int main(void)
{
    char line[100], answer[100];
    long n;
    while (ask(line, sizeof line)) {
        long least = 0;
        if (sscanf(line, "pairs %ld", &n) == 1)
            for (long i = 0; i < ROUNDS; i++) {
                long began = now();
                pairs(n);
                long took = now() - began;
                least = i == 0 || took < least ? took : least;
            }
        else if (sscanf(line, "hold %ld", &n) == 1)
            hold_some(n);
        else if (!strcmp(line, "drop"))
            while (held_count > 0)
                free(held[--held_count]);
        int length = snprintf(answer, sizeof answer, "%ld\n", least);
        if (write(1, answer, (size_t)length) != length)
            return 1;
    }
    return 0;
}
