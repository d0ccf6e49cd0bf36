/* SPDX-License-Identifier: MIT
 *
 * lines.c - allocates at lines that a test can find: each is marked by a comment.
 *
 * Context: test victim.
 * Usage: lines [bare]. Prints "ready" and waits for the end of its input; bare: closes every
 * descriptor, goes to / and waits for a signal to end it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile kept[4];

static inline __attribute__((always_inline)) void take(int slot, size_t bytes)
{
    kept[slot] = malloc(bytes); /* mark: take */
}

__attribute__((noinline)) void plain(void)
{
    kept[0] = malloc(1001); /* mark: plain */
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void with_inlined(void)
{
    take(1, 1002); /* mark: first */
    take(2, 1003); /* mark: second */
    __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
    char c;
    plain(); /* mark: main */
    with_inlined();
    puts("ready");
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "bare")) {
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        if (chdir("/") == 0)
            for (;;)
                pause();
    }
    while (read(0, &c, 1) > 0)
        ;
    return 0;
}
