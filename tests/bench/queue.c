/* SPDX-License-Identifier: MIT
 *
 * queue.c - producers make messages of three blocks, consumers in other threads free them.
 *
 * Context: benchmark. Usage: queue THREADS MESSAGES-A-PAIR; half of the threads produce.
 * What it is hard on: several threads in malloc at once, and frees by another thread.
 * Why batches: handing over one message at a time measured how the two threads happened to be
 * scheduled; times of one program differed by a factor of five.
 */
#include <pthread.h>
#include <sched.h>

#include "measure.h"

enum { BATCH = 512, RING = 8, PAIRS = 32 };

struct message {
    char *name, *payload;
    unsigned long number, size;
};

struct pair {
    struct message *ring[RING][BATCH];
    _Alignas(64) unsigned long put;
    _Alignas(64) unsigned long taken;
    unsigned long count, sum, state;
};

static struct pair pairs[PAIRS];

static struct message *make_message(struct pair *p, unsigned long number)
{
    struct message *m = malloc(sizeof *m);
    m->number = number;
    m->size = 8 + measure_draw(&p->state) % 250;
    m->payload = calloc(1, m->size);
    m->name = malloc(24);
    memcpy(m->name, &number, sizeof number);
    return m;
}

static void *produce(void *argument)
{
    struct pair *p = argument;
    for (unsigned long n = 0; n < p->count / BATCH; n++) {
        while (n - __atomic_load_n(&p->taken, __ATOMIC_ACQUIRE) >= RING)
            sched_yield();
        for (unsigned long i = 0; i < BATCH; i++)
            p->ring[n % RING][i] = make_message(p, n * BATCH + i);
        __atomic_store_n(&p->put, n + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct pair *p = argument;
    for (unsigned long n = 0; n < p->count / BATCH; n++) {
        while (__atomic_load_n(&p->put, __ATOMIC_ACQUIRE) <= n)
            sched_yield();
        for (unsigned long i = 0; i < BATCH; i++) {
            struct message *m = p->ring[n % RING][i];
            p->sum += m->size + (unsigned char)m->name[0];
            free(m->name);
            free(m->payload);
            free(m);
        }
        __atomic_store_n(&p->taken, n + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 2, count = threads / 2;
    unsigned long messages = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000000, sum = 0;
    pthread_t producer[PAIRS], consumer[PAIRS];
    if (count < 1 || count > PAIRS)
        return 2;
    double began = measure_begin(), waited;
    for (int i = 0; i < count; i++) {
        pairs[i].count = messages;
        pairs[i].state = 88172645463325252ul + (unsigned long)i;
        pthread_create(&producer[i], NULL, produce, &pairs[i]);
        pthread_create(&consumer[i], NULL, consume, &pairs[i]);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(producer[i], NULL);
        pthread_join(consumer[i], NULL);
        sum += pairs[i].sum;
    }
    waited = measure_peak();
    measure_report(measure_now() - began - waited, sum);
    return 0;
}
