/* SPDX-License-Identifier: MIT
 *
 * recurse.c - allocates one block under a hundred and one calls of recurse, then waits for input.
 *
 * Context: test victim.
 */
#include <stdlib.h>
#include <unistd.h>

static void *volatile kept;

__attribute__((noinline)) int recurse(int depth)
{
    if (depth == 0) {
        kept = malloc(1234);
        return 1;
    }
    int below = recurse(depth - 1);
    __asm__ volatile("" : "+r"(below)); /* not a tail call */
    return below + 1;
}

int main(void)
{
    char c;
    if (recurse(100) != 101 || write(1, "ready\n", 6) != 6)
        return 1;
    while (read(0, &c, 1) != 0)
        ;
    return 0;
}
