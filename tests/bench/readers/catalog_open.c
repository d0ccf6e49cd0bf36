/* SPDX-License-Identifier: MIT
 *
 * catalog_open.c - what a program pays for opening a type catalogue: time of the first and of the
 * median of 20 times, and private memory.
 *
 * usage: catalog_open FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"

enum { TIMES = 20 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Kilobytes of the mapping that are not the file, but copies of it. */
static unsigned long private_kib(const char *path)
{
    char line[5000];
    unsigned long sum = 0, kib;
    int in_file = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strstr(line, path))
            in_file = 1;
        else if (!strncmp(line, "VmFlags", 7))
            in_file = 0;
        else if (in_file && (sscanf(line, "Anonymous: %lu", &kib) == 1))
            sum += kib;
    }
    if (f)
        fclose(f);
    return sum;
}

int main(int argc, char **argv)
{
    double ms[TIMES];
    if (argc != 2)
        return 2;
    for (int i = 0; i < TIMES; i++) {
        struct catalog c;
        struct err e = {0};
        u64 begin = sys_monotonic_ns();
        if (!catalog_open(&c, argv[1], &e)) {
            fprintf(stderr, "%s\n", e.text);
            return 1;
        }
        ms[i] = (double)(sys_monotonic_ns() - begin) / 1e6;
        if (i + 1 == TIMES)
            printf("private_kib=%lu\nbytes=%llu\n", private_kib(argv[1]),
                   (unsigned long long)c.size);
        catalog_close(&c);
    }
    printf("first_ms=%.3f\n", ms[0]);
    qsort(ms, TIMES, sizeof *ms, ascending);
    printf("median_ms=%.3f\n", ms[TIMES / 2]);
    return 0;
}
