/* SPDX-License-Identifier: MIT
 *
 * catalog_die.h - what one entry of the debug information says, read in one go.
 *
 * Context: tool, in the builder's child process.
 */
#ifndef MOONHEAP_SYMBOLS_CATALOG_DIE_H
#define MOONHEAP_SYMBOLS_CATALOG_DIE_H

#include <elfutils/libdw.h>

#include "base/base.h"

/* The attributes that a catalogue is made from. X(DWARF's name) */
#define CATALOG_ATTRIBUTES(X)                                                                      \
    X(name)                                                                                        \
    X(type)                                                                                        \
    X(byte_size)                                                                                   \
    X(declaration)                                                                                 \
    X(signature)                                                                                   \
    X(specification)                                                                               \
    X(abstract_origin)                                                                             \
    X(data_member_location)                                                                        \
    X(data_bit_offset)                                                                             \
    X(bit_offset)                                                                                  \
    X(bit_size) X(virtuality) X(containing_type) X(artificial) X(location) X(low_pc) X(high_pc)    \
        X(ranges) X(count) X(upper_bound) X(lower_bound) X(import) X(language) X(call_return_pc)   \
            X(call_all_calls) X(call_all_source_calls) X(GNU_all_call_sites)                       \
                X(GNU_all_source_call_sites)

enum catalog_attribute {
#define X(name) CATALOG_AT_##name,
    CATALOG_ATTRIBUTES(X)
#undef X
        CATALOG_AT_COUNT
};

struct catalog_die {
    u32 has; /* bit n: attribute n is there */
    Dwarf_Attribute at[CATALOG_AT_COUNT];
};
_Static_assert(CATALOG_AT_COUNT <= 32, "bits of has");

/* `d` may be used while `die` lives. */
void catalog_die_read(struct catalog_die *d, Dwarf_Die *die);

#define CATALOG_HAS(d, name) (((d)->has >> CATALOG_AT_##name) & 1u)

/* The name as it stands there; NULL = none. */
const char *catalog_die_name(struct catalog_die *d);
bool catalog_die_flag(struct catalog_die *d, enum catalog_attribute a);
/* A constant; false when it is not there or is an expression. */
bool catalog_die_number(struct catalog_die *d, enum catalog_attribute a, u64 *n);
/* The entry that an attribute refers to, in whatever file it lies. */
bool catalog_die_refers(struct catalog_die *d, enum catalog_attribute a, Dwarf_Die *to);
/* Where a member begins, when that is a constant of any form. */
bool catalog_die_member_offset(struct catalog_die *d, u64 *offset);

enum catalog_place { CATALOG_PLACE_NONE, CATALOG_PLACE_ADDRESS, CATALOG_PLACE_THREAD_LOCAL };
/* Where a variable is that always is at one place. */
enum catalog_place catalog_die_place(struct catalog_die *d, u64 *address);

#endif
