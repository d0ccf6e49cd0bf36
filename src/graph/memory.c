/* SPDX-License-Identifier: MIT
 *
 * memory.c - arrays that count against the graph's limit.
 *
 * Context: pure.
 * Invariant: memory_bytes is the sum of what was taken and not given back, and never above the
 * limit. How an array was taken follows from its size alone.
 * Why large arrays come from the kernel: their pages are zero without anybody's writing them, so an
 * array by block id of which a search touches a little costs a little, and they go back at once.
 * Why huge pages are asked for: the passes jump about in arrays of tens of megabytes, and with
 * pages of 4 KiB nearly every jump misses the TLB as well as the cache (madvise(2), MADV_HUGEPAGE).
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "memory.h"

enum { HUGE_PAGE_BYTES = 2 << 20, LARGE_BYTES = 2 * HUGE_PAGE_BYTES };

/* From the kernel; as much as can be in huge pages. */
static void *take_large(u64 bytes)
{
    void *records = sys_map(ROUND_UP(bytes, (u64)PAGE_BYTES));
    if (records) {
        u64 from = ROUND_UP((u64)(uintptr_t)records, (u64)HUGE_PAGE_BYTES);
        u64 to = ROUND_DOWN((u64)(uintptr_t)records + bytes, (u64)HUGE_PAGE_BYTES);
        sys_call(SYS_madvise, from, to - from, MADV_HUGEPAGE);
    }
    return records;
}

void *memory_take(struct graph *g, u64 count, size_t record_bytes, struct err *e)
{
    u64 bytes = (count ? count : 1) * record_bytes;
    if (bytes > g->memory_limit - g->memory_bytes) {
        err_set(e, STATUS_LIMIT,
                "the graph of %u blocks needs more than the %llu bytes it may have",
                g->s->block_count, (unsigned long long)g->memory_limit);
        return NULL;
    }
    void *records = bytes >= LARGE_BYTES ? take_large(bytes) : calloc(1, bytes);
    if (!records) {
        err_set(e, STATUS_NO_MEMORY, "out of memory for the graph of %u blocks", g->s->block_count);
        return NULL;
    }
    g->memory_bytes += bytes;
    return records;
}

void memory_give(struct graph *g, void *records, u64 count, size_t record_bytes)
{
    u64 bytes = (count ? count : 1) * record_bytes;
    if (!records)
        return;
    if (bytes >= LARGE_BYTES)
        sys_unmap(records, ROUND_UP(bytes, (u64)PAGE_BYTES));
    else
        free(records);
    g->memory_bytes -= bytes;
}
