/* SPDX-License-Identifier: MIT
 *
 * memory.h - arrays that count against the graph's limit.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_GRAPH_MEMORY_H
#define MOONHEAP_GRAPH_MEMORY_H

#include "graph.h"

/* `count` zeroed records; NULL, with *e filled, when memory is out or the limit is reached. Pages
 * that nobody writes to cost nothing. */
void *memory_take(struct graph *g, u64 count, size_t record_bytes, struct err *e);
/* Gives back what was taken for as many records. NULL is nothing. */
void memory_give(struct graph *g, void *records, u64 count, size_t record_bytes);

#endif
