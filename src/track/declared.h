/* SPDX-License-Identifier: MIT
 *
 * declared.h - memory that the program has declared a root.
 *
 * Context: hot.
 */
#ifndef MOONHEAP_TRACK_DECLARED_H
#define MOONHEAP_TRACK_DECLARED_H

#include "track.h"

/* Declares [lo, lo + bytes) a root; one that began there is replaced. false when there are too
 * many. `name` may be NULL. */
bool declared_add(u64 lo, u64 bytes, const char *name);
/* The root that begins there is one no more; false when there is none. */
bool declared_remove(u64 lo);

#endif
