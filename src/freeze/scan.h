/* SPDX-License-Identifier: MIT
 *
 * scan.h - the references: every aligned word of every block and root that is an address in a
 * block.
 *
 * Context: frozen, in the clone; inside the room only.
 */
#ifndef MOONHEAP_FREEZE_SCAN_H
#define MOONHEAP_FREEZE_SCAN_H

#include "roots.h"

/* Writes EDGE_ROW to EDGE_INTO, ROOTS, ROOT_EDGES, VTABLES and BLOCK_VTABLE, with at most so many
 * bytes of them. false, and the writer's status says why, when there is no room. */
bool scan_references(struct freeze_job *j, struct regions *regions, const struct stop *stop,
                     const struct freeze_request *r, u64 memory_bytes);

/* Address space that the sections may take when blocks have so many bytes of a process of which so
 * many are in memory. */
u64 scan_estimate_bytes(u64 live_bytes, u64 rss_bytes);

#endif
