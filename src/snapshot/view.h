/* SPDX-License-Identifier: MIT
 *
 * view.h - the check of view.c for those in the room who know the file's name, and what the parts
 * of the check share.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_SNAPSHOT_VIEW_H
#define MOONHEAP_SNAPSHOT_VIEW_H

#include "layout.h"

/* snapshot_open_memory, with the name that error messages give the snapshot. */
bool snapshot_check(struct snapshot *s, const char *file, void *bytes, u64 size,
                    void (*release)(struct snapshot *), struct err *e);

struct view_check {
    const u8 *bytes;
    u64 size;
    const char *file;
    struct err *e;
    const struct snapshot_entry *found[SNAPSHOT_SECTION_LIMIT];
};

/* Says what is wrong with the file; returns false. */
bool view_bad(const struct view_check *c, const char *format, ...) PRINTF_LIKE(2, 3);
#define LLU(n) ((unsigned long long)(n))
/* The records of a section; NULL and a count of 0 when it is not there. */
const void *view_records(const struct view_check *c, enum snapshot_section code, u32 *count);

/* references.c: ROOTS to TAILS; what they refer to has been checked. */
bool references_check(const struct view_check *c, struct snapshot *s, u32 string_bytes);

#endif
