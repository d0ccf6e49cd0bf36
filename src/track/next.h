/* SPDX-License-Identifier: MIT
 *
 * next.h - the allocator underneath: libc's, or the jemalloc, tcmalloc or mimalloc that the program
 * was linked with.
 *
 * Context: hot.
 * Invariant: every pointer is callable from the first instruction of the process on: it starts at
 * a bootstrap version that finds the real one. All functions come from one library, since a block
 * must go back where it came from; what that library lacks is made of what it has.
 */
#ifndef MOONHEAP_TRACK_NEXT_H
#define MOONHEAP_TRACK_NEXT_H

#include "base/base.h"

struct next_table {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *p, size_t size);
    void (*free)(void *p);
    void *(*memalign)(size_t align, size_t size);
    void *(*aligned_alloc)(size_t align, size_t size);
    int (*posix_memalign)(void **p, size_t align, size_t size);
    void *(*valloc)(size_t size);
    void *(*pvalloc)(size_t size);
};
extern HIDDEN struct next_table next;
/* Is every call the allocator's business alone? */
enum next_alone {
    NEXT_ASKED = 0, /* no: something may be recorded */
    NEXT_ALONE,     /* nothing is, and no block was ever handed out that is not the allocator's; so
                       until the first signal, with recording off */
    NEXT_BESIDE,    /* nothing is, but threads of ours and blocks of theirs may be about */
};
extern HIDDEN u8 next_alone; /* enum next_alone */
/* Nothing is recorded from now on, or something may be. `ours` says whether blocks of a private heap
 * may be about. */
void next_leave_alone(bool ours);
void next_ask(void);

/* Finds the allocator; does nothing the second time. */
void next_resolve(void);

enum { NEXT_ARENA_BYTES = 256 << 10 };
extern HIDDEN char next_arena[NEXT_ARENA_BYTES];
/* Is a block surely the allocator's, and neither of the arena here nor of a private heap? One range
 * holds all of those that there are. */
extern HIDDEN u64 next_ours_lo, next_ours_bytes;
static ALWAYS_INLINE bool next_has(const void *p)
{
    u64 lo = ACQUIRE(&next_ours_lo);
    return (u64)p - lo >= PEEK(&next_ours_bytes);
}
/* From now on blocks of these addresses may be about, which are not the allocator's. */
void next_except(u64 lo, u64 bytes);
/* Was this handed out while the allocator was being looked for? Such a block is never freed. */
static ALWAYS_INLINE bool next_is_bootstrap(const void *p)
{
    return (u64)p - (u64)next_arena < NEXT_ARENA_BYTES;
}
/* Its size. */
size_t next_bootstrap_bytes(const void *p);

#endif
