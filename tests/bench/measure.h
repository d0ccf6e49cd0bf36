/* SPDX-License-Identifier: MIT
 *
 * measure.h - what every workload says of itself: the time of its work and its peak of memory.
 *
 * Context: benchmark.
 * Why by itself: the time then holds neither the loader's start nor what a recorder does after the
 * program has ended, and the peak is the program's own, not a helper process's.
 */
#ifndef MOONHEAP_BENCH_MEASURE_H
#define MOONHEAP_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double measure_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* With BENCH_PAUSE set, says "peak" and waits for a line: the moment to ask for the books.
 * Returns the seconds spent waiting. */
static inline double measure_peak(void)
{
    double began = measure_now();
    char c = 0;
    if (getenv("BENCH_PAUSE")) {
        printf("peak\n");
        fflush(stdout);
        while (read(0, &c, 1) == 1 && c != '\n')
            ;
    }
    return measure_now() - began;
}

static inline void measure_report(double seconds, unsigned long check)
{
    char line[200];
    long peak_kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmHWM:", 6))
            peak_kib = atol(line + 6);
    if (status)
        fclose(status);
    printf("seconds=%.6f\npeak_kib=%ld\ncheck=%lu\n", seconds, peak_kib, check);
}

/* xorshift64*, Vigna 2016: the same series in every run. */
static inline unsigned long measure_draw(unsigned long *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ul >> 16;
}

#endif
