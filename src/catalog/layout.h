/* SPDX-License-Identifier: MIT
 *
 * layout.h - the frame of a catalogue file: its header and section table. FORMAT.md is the text of
 * this; CATALOG_SECTIONS in catalog.h has the sections themselves.
 *
 * Context: pure; inside the room only.
 * Invariant: the structs have no padding, so that what is in memory is what is in the file.
 */
#ifndef MOONHEAP_CATALOG_LAYOUT_H
#define MOONHEAP_CATALOG_LAYOUT_H

#include "catalog.h"

#define CATALOG_MAGIC      "MOONTYPE" /* 8 bytes, without the NUL */
#define CATALOG_VERSION    1u
#define CATALOG_BYTE_ORDER 0x01020304u

enum { CATALOG_ALIGN = 8 }; /* sections start at multiples of it */

struct catalog_header {
    char magic[8];
    u32 version;
    u32 byte_order;    /* CATALOG_BYTE_ORDER as the writer's machine stores it */
    u32 section_count; /* entries of the table, which follows the header */
    u32 build_id_bytes;
    u64 file_bytes;
    u64 code_base;
    u64 reserved[3];
    u8 build_id[CATALOG_BUILD_ID_MAX];
};

struct catalog_entry {
    u32 code;
    u32 record_bytes;
    u64 offset; /* from the start of the file */
    u64 count;  /* records */
};

_Static_assert(sizeof(struct catalog_header) == 96, "layout");
_Static_assert(sizeof(struct catalog_entry) == 24, "layout");
_Static_assert(sizeof(struct catalog_type) == 32, "layout");
_Static_assert(sizeof(struct catalog_member) == 24, "layout");
_Static_assert(sizeof(struct catalog_variable) == 24, "layout");
_Static_assert(sizeof(struct catalog_function) == 16, "layout");
_Static_assert(sizeof(struct catalog_range) == 16, "layout");

#endif
