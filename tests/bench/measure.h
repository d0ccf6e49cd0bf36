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

#include <fcntl.h>
#include <signal.h>
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

/* The moment at which the work begins. With BENCH_ASK set to a path, Moonheap's script is first asked
 * for, and waited for until its answer stands there. */
static inline double measure_begin(void)
{
    const char *path = getenv("BENCH_ASK");
    char text[4096] = "";
    if (path)
        raise(SIGUSR1);
    while (path && !strstr(text, "<<DBG")) {
        struct timespec moment = {0, 20000000};
        nanosleep(&moment, NULL);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        text[n < 0 ? 0 : n] = 0;
        if (fd >= 0)
            close(fd);
    }
    return measure_now();
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
