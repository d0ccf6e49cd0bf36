/* SPDX-License-Identifier: MIT
 *
 * stacks.c - threads on the smallest stacks, on alternate signal stacks and with signals blocked.
 *
 * Context: test victim. Usage: stacks SECONDS; prints "fine OPERATIONS". The handler may run on any
 * of these threads while it allocates, so what it and the recorder put on the stack must be little.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 6 };
static volatile int stop;
static unsigned long operations;

static void *work(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    void *kept[16] = {0};
    while (!stop) {
        int i = rand_r(&seed) % 16;
        free(kept[i]);
        kept[i] = malloc((size_t)rand_r(&seed) % 500);
        __atomic_fetch_add(&operations, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 16; i++)
        free(kept[i]);
    return NULL;
}

static void *work_with_alternate_stack(void *argument)
{
    stack_t own = {.ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   .ss_size = 1 << 16};
    sigaltstack(&own, NULL);
    return work(argument);
}

static void *work_blocked(void *argument)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    return work(argument);
}

int main(int argc, char **argv)
{
    void *(*const kinds[])(void *) = {work, work_with_alternate_stack, work_blocked};
    pthread_t threads[THREADS];
    pthread_attr_t small;
    struct timespec end, now;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, (size_t)PTHREAD_STACK_MIN);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], &small, kinds[i % 3], (void *)(i + 1)))
            return 2;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += argc > 1 ? atoi(argv[1]) : 1;
    do {
        usleep(1000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("fine %lu\n", operations);
    return 0;
}
