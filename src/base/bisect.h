/* SPDX-License-Identifier: MIT
 *
 * bisect.h - search by halving.
 *
 * Context: any.
 */
#ifndef MOONHEAP_BASE_BISECT_H
#define MOONHEAP_BASE_BISECT_H

/* How many of the numbers i = 0, 1, ... count - 1 satisfy the condition, an expression in the name
 * `i`; those that do must come first. In an array in ascending order: the place of the first
 * element that does not. Evaluates `count` once. O(log count). */
#define BISECT(i, count, condition)                                                                \
    ({                                                                                             \
        __typeof__((count) + 0) low_##i = 0, high_##i = (count);                                   \
        while (low_##i < high_##i) {                                                               \
            __typeof__(low_##i) i = low_##i + (high_##i - low_##i) / 2;                            \
            if (condition)                                                                         \
                low_##i = i + 1;                                                                   \
            else                                                                                   \
                high_##i = i;                                                                      \
        }                                                                                          \
        low_##i;                                                                                   \
    })

#endif
