/* SPDX-License-Identifier: MIT
 *
 * catalog_pool.h - what the builder of catalogues keeps its findings in: arrays that grow, maps
 * from 64 bits to 32, strings of which there is one each.
 *
 * Context: tool, in a child process that ends when the catalogue is built or failed: nothing is
 * given back before, except what units.c lets go on the way.
 * Invariant: none of these fails by an answer: when memory is out, `out` is jumped to, with *e
 * filled. So the code that reads debug information has no path for it on every line.
 */
#ifndef MOONHEAP_SYMBOLS_CATALOG_POOL_H
#define MOONHEAP_SYMBOLS_CATALOG_POOL_H

#include <setjmp.h>

#include "base/base.h"

struct catalog_pool {
    jmp_buf out;
    struct err *e;
};

/* Fills *e and jumps. */
_Noreturn void catalog_pool_fail(struct catalog_pool *p, enum status status, const char *format,
                                 ...) PRINTF_LIKE(3, 4);
/* The array with room for more than `count` records; *capacity follows. */
void *catalog_pool_room(struct catalog_pool *p, void *array, u32 count, u32 *capacity,
                        size_t record_bytes);
/* Zeroed records, at least one. */
void *catalog_pool_take(struct catalog_pool *p, u64 count, size_t record_bytes);

/* An array of records that grows at its end. */
#define CATALOG_LIST(type)                                                                         \
    struct {                                                                                       \
        type *at;                                                                                  \
        u32 count, capacity;                                                                       \
    }
/* A new record at the end of a list, not zeroed. */
#define CATALOG_ADD(pool, list)                                                                    \
    ((list)->at = catalog_pool_room(pool, (list)->at, (list)->count, &(list)->capacity,            \
                                    sizeof *(list)->at),                                           \
     &(list)->at[(list)->count++])

/* 64 bits, not 0, to 32: open addressing, at most half full. */
struct catalog_map {
    u64 *keys;
    u32 *values;
    u32 count, slots;
};

/* NULL when the key is not there. */
u32 *catalog_map_find(const struct catalog_map *m, u64 key);
/* The place of its value, 0 when it is new. */
u32 *catalog_map_add(struct catalog_pool *p, struct catalog_map *m, u64 key);
void catalog_map_free(struct catalog_map *m);

u64 catalog_mix(u64 a, u64 b);
u64 catalog_hash(const void *bytes, size_t count);

/* Each text once: two texts are equal exactly when their offsets are. */
struct catalog_strings {
    CATALOG_LIST(char) bytes;
    struct catalog_map by_hash;
};

u32 catalog_strings_add(struct catalog_pool *p, struct catalog_strings *s, const char *text,
                        size_t length);

#endif
