/* SPDX-License-Identifier: MIT
 *
 * names.h - names that the program gives (tags, roots), each kept once.
 *
 * Context: hot, lock-free.
 * Invariant: a name never changes once its id is known.
 */
#ifndef MOONHEAP_TRACK_NAMES_H
#define MOONHEAP_TRACK_NAMES_H

#include "track.h"

enum { NAME_MAX_COUNT = 4095, NAME_BYTES = 128 };

/* The id of a name (its first 127 bytes), given when it is new; 0 for "" and NULL, and when there
 * is no more room. */
u32 names_intern(const char *name);
/* The id of a name that was given before; 0 = it was not. */
u32 names_find(const char *name);
u64 names_own_bytes(void);

#endif
