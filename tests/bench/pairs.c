/* SPDX-License-Identifier: MIT
 *
 * pairs.c - a loop of one malloc and one free: the least that a recorder can cost.
 *
 * Context: benchmark. Usage: pairs COUNT.
 */
#include "measure.h"

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, sum = 0;
    double began = measure_begin();
    for (unsigned long i = 0; i < count; i++) {
        unsigned char *p = malloc(24 + i % 64);
        __asm__ volatile("" : "+r"(p) : : "memory");
        p[0] = (unsigned char)i;
        sum += p[0];
        free(p);
    }
    measure_report(measure_now() - began, sum);
    return 0;
}
