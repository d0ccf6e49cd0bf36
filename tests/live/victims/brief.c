/* SPDX-License-Identifier: MIT
 *
 * brief.c - threads that allocate one block each and end.
 *
 * Context: test victim.
 * Commands, each answered by "done": threads N (one after the other, a block of 500 bytes each).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ask.h"

static void *volatile last;

static void *one(void *unused)
{
    last = malloc(500);
    return unused;
}

int main(void)
{
    char line[100];
    long count;
    pthread_t thread;
    while (ask(line, sizeof line)) {
        if (sscanf(line, "threads %ld", &count) == 1)
            for (long i = 0; i < count; i++)
                if (!pthread_create(&thread, NULL, one, NULL))
                    pthread_join(thread, NULL);
        if (write(1, "done\n", 5) != 5)
            return 1;
    }
    return 0;
}
