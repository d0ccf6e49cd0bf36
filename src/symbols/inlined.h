/* SPDX-License-Identifier: MIT
 *
 * inlined.h - which functions' code an address is in: the one that was compiled, and those that
 * were inlined into it there.
 *
 * Context: tool; inside the room only.
 */
#ifndef MOONHEAP_SYMBOLS_INLINED_H
#define MOONHEAP_SYMBOLS_INLINED_H

#include <elfutils/libdw.h>

#include "base/base.h"

#define INLINED_NOWHERE UINT32_MAX /* 0 is a file's number in DWARF 5 */

/* One function around an address. */
struct inlined_scope {
    const struct inlined_scope *outer; /* what it was inlined into; NULL: nothing */
    Dwarf_Die function;
    u32 call_file; /* where it was inlined: number of the file, INLINED_NOWHERE = unknown */
    u32 call_line; /* 0 = unknown */
    u32 depth;     /* functions from here outwards */
};

/* Calls found() once for each of the addresses (ascending, of the debug information) that lies in a
 * function of the unit, with the innermost one. Entries of the unit are passed over by their
 * ranges, so that the cost is that of the functions asked for. */
typedef void inlined_found(void *context, u32 index, const struct inlined_scope *innermost);
void inlined_find(Dwarf_Die *unit, const u64 *addresses, u32 count, inlined_found *found,
                  void *context);

#endif
