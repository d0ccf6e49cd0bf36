/* SPDX-License-Identifier: MIT
 *
 * fields.h - members of shapes by name and by place.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_TYPES_FIELDS_H
#define MOONHEAP_TYPES_FIELDS_H

#include "shapes.h"

/* A type at a place. */
struct field_place {
    u32 module, type; /* not a typedef */
    u64 offset;
    u32 bit_offset, bit_size; /* size 0: no bit field */
};

/* Finds "link.next", "buckets[7].key", "[3]" in a shape's own type; false when there is none. */
bool fields_find(const struct shapes *x, const struct shape *p, const char *path,
                 struct field_place *out);
/* Writes the path to what lies at an offset of a type: ".link.next", "[7].key"; "" when nothing
 * has a name there. Returns the bytes written. */
size_t fields_path(const struct shapes *x, u32 module, u32 type, u64 offset, char *out,
                   size_t size);

#endif
