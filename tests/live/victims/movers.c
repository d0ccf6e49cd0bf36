/* SPDX-License-Identifier: MIT
 *
 * movers.c - threads that move blocks between queues, stacks and registers as fast as they can, and
 * make them grow and shrink on the way. None is ever lost.
 *
 * Context: test victim.
 * Invariant: every block is held at every moment: by a slot, by what a thread has in its hands, or
 * by another block; to a snapshot of one moment all of them can be reached.
 * Usage: movers THREADS BLOCKS [deny-ptrace | block-signals]... Prints "ready", runs until its input
 * ends. block-signals: its threads but the main one take none; at a first line, the main one neither.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deny.h"

struct parcel {
    struct parcel *inside;
    char filler[40];
};

static struct parcel **slots;
static size_t slot_count;

static struct parcel *exchange(size_t slot, struct parcel *p)
{
    return __atomic_exchange_n(&slots[slot % slot_count], p, __ATOMIC_ACQ_REL);
}

static void *move(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct parcel *hand = NULL;
    for (;;) {
        hand = exchange((size_t)rand_r(&seed), hand);
        if (hand && rand_r(&seed) % 4 == 0) {
            void *bigger = realloc(hand, 48 + (size_t)rand_r(&seed) % 400);
            if (bigger)
                hand = bigger;
        }
        if (hand && rand_r(&seed) % 16 == 0) { /* what is inside comes out, and the other way */
            struct parcel *out = exchange((size_t)rand_r(&seed), hand);
            hand = out;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t threads = argc > 2 ? strtoul(argv[1], NULL, 0) : 1;
    size_t blocks = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    slot_count = blocks * 2;
    slots = calloc(slot_count, sizeof *slots);
    for (size_t i = 0; i < blocks; i++) {
        slots[2 * i] = calloc(1, sizeof **slots);
        slots[2 * i]->inside = calloc(1, sizeof **slots);
    }
    sigset_t usual;
    int blocking = 0;
    sigprocmask(SIG_BLOCK, NULL, &usual);
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "deny-ptrace") == 0)
            deny(SYS_ptrace, 0);
        blocking |= strcmp(argv[i], "block-signals") == 0;
    }
    if (blocking)
        block_all_signals();
    for (size_t i = 0; i < threads; i++) {
        pthread_t t;
        pthread_create(&t, NULL, move, (void *)(uintptr_t)(i + 1));
    }
    sigprocmask(SIG_SETMASK, &usual, NULL);
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
        if (blocking && byte == '\n') {
            block_all_signals();
            puts("blocked");
            fflush(stdout);
        }
    }
    _exit(0);
}
