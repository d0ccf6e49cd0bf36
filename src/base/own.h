/* SPDX-License-Identifier: MIT
 *
 * own.h - which mappings of the process are Moonheap's: what sys_map and its kin have handed out.
 *
 * Context: hot. Lock-free; a fixed table.
 * Invariant: memory that is listed is ours. The converse may fail: beyond OWN_MAX mappings, the
 * rest are not listed, and are taken for the program's.
 * Why a table and not /proc: the kernel joins neighbouring mappings of the same kind, whoever made
 * them.
 */
#ifndef MOONHEAP_BASE_OWN_H
#define MOONHEAP_BASE_OWN_H

#include "attr.h"

enum { OWN_MAX = 1 << 13 };

struct own_range {
    u64 lo, hi; /* [lo, hi) */
};

void own_add(u64 lo, u64 bytes);
/* Before the memory goes back to the kernel; may be a part of what was added. */
void own_remove(u64 lo, u64 bytes);
/* Lists them in no order; returns how many, at most `max`. */
u32 own_list(struct own_range *out, u32 max);

#endif
