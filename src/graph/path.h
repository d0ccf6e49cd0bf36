/* SPDX-License-Identifier: MIT
 *
 * path.h - how the makers of paths write one down.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_GRAPH_PATH_H
#define MOONHEAP_GRAPH_PATH_H

#include "edges.h"

/* Room for so many steps; count is set, steps are the caller's to fill. */
bool path_begin(struct graph *g, struct graph_path *p, u64 count, struct err *e);

#endif
