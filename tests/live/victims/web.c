/* SPDX-License-Identifier: MIT
 *
 * web.c - builds blocks of all sizes that refer to each other in all ways, and says which words of
 * them are references: the truth that a snapshot's edges are held against.
 *
 * Context: test victim.
 * Invariant: the truth is found by looking through its own blocks with nothing but the list of what
 * malloc returned; while it waits for a line, nothing of it changes.
 * Usage: web SEED BLOCKS THREADS. Prints "B ADDRESS SIZE" for each block and "E SOURCE OFFSET TARGET
 * INTO" for each reference to another block, then "."; ends with its input.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct block {
    uintptr_t at;
    size_t size;
};

static struct block *blocks;
static size_t count, most;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t some_size(unsigned *seed)
{
    unsigned dice = (unsigned)rand_r(seed) % 1000, r = (unsigned)rand_r(seed);
    return dice < 10 ? 0 : dice < 850 ? r % 200 : dice < 990 ? r % 20000 : 130000 + r % 3000000;
}

static void *make_blocks(void *argument)
{
    unsigned seed = *(unsigned *)argument;
    for (;;) {
        size_t size = some_size(&seed);
        void *p;
        switch (rand_r(&seed) % 5) {
        case 0:
            p = calloc(1, size);
            break;
        case 1:
            p = memalign(64u << rand_r(&seed) % 8, size);
            break;
        case 2:
            p = realloc(malloc(size / 2 + 1), size + 1);
            size++;
            break;
        default:
            p = malloc(size);
        }
        if (rand_r(&seed) % 8 == 0) {
            free(p);
            continue;
        }
        if (rand_r(&seed) % 2 && size < 100000)
            memset(p, 0, size);
        pthread_mutex_lock(&lock);
        int room = count < most;
        if (room)
            blocks[count++] = (struct block){(uintptr_t)p, size};
        pthread_mutex_unlock(&lock);
        if (!room) {
            free(p);
            return NULL;
        }
    }
}

static int by_address(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Pointers to the start, the middle, the last byte, one past it, and at odd places. */
static void tie(unsigned *seed)
{
    for (size_t i = 0; i < count * 3; i++) {
        struct block *from = &blocks[(size_t)rand_r(seed) % count];
        struct block *to = &blocks[(size_t)rand_r(seed) % count];
        if (from->size < 16)
            continue;
        uintptr_t value = to->at;
        switch (rand_r(seed) % 6) {
        case 0:
            value += to->size ? (size_t)rand_r(seed) % to->size : 0;
            break;
        case 1:
            value += to->size ? to->size - 1 : 0;
            break;
        case 2:
            value += to->size;
            break;
        default:
            break;
        }
        size_t offset = (size_t)rand_r(seed) % (from->size - 8);
        if (rand_r(seed) % 10)
            offset = offset / 8 * 8;
        memcpy((char *)from->at + offset, &value, sizeof value);
    }
}

static const struct block *holder(uintptr_t value)
{
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (blocks[mid].at <= value)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    const struct block *b = &blocks[lo - 1];
    return value == b->at || value - b->at < b->size ? b : NULL;
}

static void tell_truth(void)
{
    for (size_t i = 0; i < count; i++)
        printf("B %lx %zu\n", blocks[i].at, blocks[i].size);
    for (size_t i = 0; i < count; i++) {
        uintptr_t end = blocks[i].at + blocks[i].size;
        for (uintptr_t at = (blocks[i].at + 7) / 8 * 8; at + 8 <= end; at += 8) {
            uintptr_t value;
            memcpy(&value, (void *)at, sizeof value);
            const struct block *to = holder(value);
            if (to && to != &blocks[i])
                printf("E %lx %zu %lx %lu\n", blocks[i].at, at - blocks[i].at, to->at,
                       value - to->at);
        }
    }
    puts(".");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 3 ? (unsigned)strtoul(argv[1], NULL, 0) : 0;
    most = argc > 3 ? strtoul(argv[2], NULL, 0) : 0;
    size_t threads = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
    pthread_t thread[16];
    unsigned seeds[16];
    blocks = calloc(most + 1, sizeof *blocks);
    if (!blocks || !most || threads > 16)
        return 2;
    for (size_t i = 0; i < threads; i++) {
        seeds[i] = seed + 1000 + (unsigned)i;
        pthread_create(&thread[i], NULL, make_blocks, &seeds[i]);
    }
    make_blocks(&seed);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    qsort(blocks, count, sizeof *blocks, by_address);
    tie(&seed);
    tell_truth();
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}
