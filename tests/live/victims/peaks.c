/* SPDX-License-Identifier: MIT
 *
 * peaks.c - heaps whose make-up at their largest is known.
 *
 * Context: test victim. Usage: peaks [once N] (a life of N threads, then it ends: for other tools)
 * Commands, each answered by "done": life N (N threads, 0 = none but this one: first all of make_a
 * and make_b, which is the peak; then those of make_a go, each by the next thread, and fewer of
 * make_c come); higher (another peak, of make_d alone); end (frees all).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"

enum { THREADS = 16, A = 20000, A_BYTES = 300, B = 3000, B_BYTES = 2000, C = 1000, D = 40, D_BYTES = 1 << 20 };

static void *a[THREADS][A], *b[THREADS][B], *c[THREADS][C], *d[D];
static pthread_barrier_t all;
static long threads;

__attribute__((noinline)) void make_a(long n)
{
    for (long i = 0; i < A; i++)
        a[n][i] = malloc(A_BYTES);
}

__attribute__((noinline)) void make_b(long n)
{
    for (long i = 0; i < B; i++)
        b[n][i] = calloc(1, B_BYTES);
}

__attribute__((noinline)) void make_c(long n)
{
    for (long i = 0; i < C; i++)
        c[n][i] = malloc(1000);
}

__attribute__((noinline)) void make_d(void)
{
    for (long i = 0; i < D; i++)
        d[i] = malloc(D_BYTES);
}

static void drop(void **blocks, long n)
{
    for (long i = 0; i < n; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void *live(void *number)
{
    long n = (long)number;
    make_a(n);
    make_b(n);
    if (threads)
        pthread_barrier_wait(&all);
    drop(a[threads ? (n + 1) % threads : n], A);
    make_c(n);
    return NULL;
}

static void lives(long count)
{
    pthread_t made[THREADS];
    threads = count < THREADS ? count : THREADS;
    if (!threads) {
        live(NULL);
        return;
    }
    pthread_barrier_init(&all, NULL, (unsigned)threads);
    for (long i = 0; i < threads; i++)
        pthread_create(&made[i], NULL, live, (void *)i);
    for (long i = 0; i < threads; i++)
        pthread_join(made[i], NULL);
    pthread_barrier_destroy(&all);
}

static void end(void)
{
    for (long n = 0; n < THREADS; n++) {
        drop(a[n], A);
        drop(b[n], B);
        drop(c[n], C);
    }
    drop(d, D);
}

int main(int argc, char **argv)
{
    char line[100];
    long count;
    if (argc == 3 && !strcmp(argv[1], "once")) {
        lives(atol(argv[2]));
        end();
        return 0;
    }
    while (ask(line, sizeof line)) {
        if (sscanf(line, "life %ld", &count) == 1)
            lives(count);
        else if (!strcmp(line, "higher"))
            make_d();
        else if (!strcmp(line, "end"))
            end();
        if (write(1, "done\n", 5) != 5)
            return 1;
    }
    return 0;
}
