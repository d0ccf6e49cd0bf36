/* SPDX-License-Identifier: MIT
 *
 * layout.h - the frame of a snapshot file: its header and section table. FORMAT.md is the text of
 * this; SNAPSHOT_SECTIONS in snapshot.h has the sections themselves.
 *
 * Context: frozen and pure; inside the room only.
 * Invariant: the structs have no padding, so that what is in memory is what is in the file.
 */
#ifndef MOONHEAP_SNAPSHOT_LAYOUT_H
#define MOONHEAP_SNAPSHOT_LAYOUT_H

#include "snapshot.h"

#define SNAPSHOT_MAGIC      "MOONHEAP" /* 8 bytes, without the NUL */
#define SNAPSHOT_VERSION    1u
#define SNAPSHOT_BYTE_ORDER 0x01020304u

enum {
    SNAPSHOT_ALIGN = 64,       /* sections start at multiples of it */
    SNAPSHOT_TABLE_LIMIT = 48, /* entries that a writer sets room aside for */
};

struct snapshot_header {
    char magic[8];
    u32 version;
    u32 byte_order;    /* SNAPSHOT_BYTE_ORDER as the writer's machine stores it */
    u32 pointer_bytes; /* of the observed program */
    u32 section_count; /* entries of the table, which follows the header */
    u64 file_bytes;
    u64 reserved[4];
};

struct snapshot_entry {
    u32 code;
    u32 record_bytes;
    u64 offset; /* from the start of the file */
    u64 count;  /* records */
    u64 reserved;
};

_Static_assert(sizeof(struct snapshot_header) == 64, "layout");
_Static_assert(sizeof(struct snapshot_entry) == 32, "layout");
_Static_assert(sizeof(struct snapshot_meta) == 184, "layout");
_Static_assert(sizeof(struct snapshot_module) == 72, "layout");
_Static_assert(sizeof(struct snapshot_thread) == 16, "layout");
_Static_assert(sizeof(struct snapshot_frame) == 16, "layout");
_Static_assert(sizeof(struct snapshot_stack) == 8, "layout");
_Static_assert(sizeof(struct snapshot_line) == 12, "layout");
_Static_assert(sizeof(struct snapshot_big_size) == 16, "layout");
_Static_assert(sizeof(struct snapshot_vtable) == 24, "layout");
_Static_assert(sizeof(struct snapshot_root) == 40, "layout");
_Static_assert(sizeof(struct snapshot_edge_far) == 8, "layout");
_Static_assert(sizeof(struct snapshot_edge_into) == 8, "layout");
_Static_assert(sizeof(struct snapshot_root_edge) == 16, "layout");
_Static_assert(sizeof(struct snapshot_tail) == 16, "layout");
_Static_assert(sizeof(struct snapshot_missed) == 16, "layout");
_Static_assert(sizeof(struct snapshot_standing) == 24, "layout");
_Static_assert(sizeof(struct snapshot_call) == 24, "layout");

/* References are looked for in whole words at multiples of 8: word w of an area begins here. */
static inline u64 snapshot_word_offset(u64 area, u64 word)
{
    return (-area & 7) + 8 * word;
}

static inline u32 snapshot_record_bytes(u32 code)
{
    switch (code) {
#define X(name, number, bytes, help)                                                               \
    case number:                                                                                   \
        return (u32)(bytes);
        SNAPSHOT_SECTIONS(X)
#undef X
    default:
        return 0;
    }
}

static inline const struct snapshot_entry *snapshot_table(const u8 *file)
{
    return (const struct snapshot_entry *)(file + sizeof(struct snapshot_header));
}

#endif
