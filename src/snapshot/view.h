/* SPDX-License-Identifier: MIT
 *
 * view.h - the check of view.c for those in the room who know the file's name.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_SNAPSHOT_VIEW_H
#define MOONHEAP_SNAPSHOT_VIEW_H

#include "snapshot.h"

/* snapshot_open_memory, with the name that error messages give the snapshot. */
bool snapshot_check(struct snapshot *s, const char *file, void *bytes, u64 size,
                    void (*release)(struct snapshot *), struct err *e);

#endif
