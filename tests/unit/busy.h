/* SPDX-License-Identifier: MIT
 *
 * busy.h - waits and a clock for tests that must say the same on a busy machine.
 *
 * Context: test.
 * Why: a test that sleeps "long enough" for another thread, or judges the time on the wall, fails
 * once other programs take the processor.
 */
#ifndef TESTS_UNIT_BUSY_H
#define TESTS_UNIT_BUSY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_PATIENCE_S = 60 };

/* Waits until `condition` holds; fails after a minute. */
#define BUSY_AWAIT(condition)                                                                      \
    do {                                                                                           \
        time_t end_ = time(NULL) + BUSY_PATIENCE_S;                                                \
        while (!(condition)) {                                                                     \
            if (time(NULL) > end_)                                                                 \
                fail_msg("waited in vain: %s", #condition);                                        \
            usleep(200);                                                                           \
        }                                                                                          \
    } while (0)

/* The state of a thread of this process as proc(5) tells it: R runs or waits for its turn, S sleeps,
 * D sleeps uninterruptibly; 0 when there is none. */
static inline char busy_thread_state(int tid)
{
    char path[60], text[300] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t got = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[got] = '\0';
    const char *behind_name = strrchr(text, ')');
    return behind_name ? behind_name[2] : 0;
}

/* Nanoseconds that this thread has run: what else runs does not count. */
static inline uint64_t busy_own_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
