/* SPDX-License-Identifier: MIT
 *
 * heap.h - a private heap in one reserved range of addresses.
 *
 * Context: agent; heap_owns and heap_free also from any thread of the program.
 * Invariant: every block of a heap lies in [base, base + reserve), so whether a pointer is ours is
 * one comparison; nothing outside the range is ever touched. What the observer allocates lives
 * here, which is why it is in no figure of the observed program.
 */
#ifndef MOONHEAP_BASE_HEAP_H
#define MOONHEAP_BASE_HEAP_H

#include "attr.h"

struct heap;

/* Reserves address space (halved until the kernel agrees) and sets the most bytes that may be in
 * use at once, 0 for no limit. NULL when not even 16 MiB can be had. */
struct heap *heap_create(u64 reserve_bytes, u64 cap_bytes);
void heap_destroy(struct heap *h);

/* 16-byte aligned; NULL at the cap or when memory is out. */
void *heap_alloc(struct heap *h, size_t bytes);
void *heap_alloc_aligned(struct heap *h, size_t align, size_t bytes);
void *heap_realloc(struct heap *h, void *p, size_t bytes);
void heap_free(struct heap *h, void *p);
/* Usable bytes of a live block. */
size_t heap_block_bytes(const struct heap *h, const void *p);

bool heap_owns(const struct heap *h, const void *p);
/* All of its blocks lie in so many bytes from `h` on. */
u64 heap_range_bytes(const struct heap *h);
/* Bytes in use by live blocks, and bytes of memory taken from the kernel. */
u64 heap_used_bytes(const struct heap *h);
u64 heap_mapped_bytes(const struct heap *h);

#endif
