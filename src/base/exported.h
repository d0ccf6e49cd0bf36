/* SPDX-License-Identifier: MIT
 *
 * exported.h - the functions that an object in memory exports, found by its own tables.
 *
 * Context: hot: reads what lies mapped, takes no lock and no memory. dlsym does more, in some 1200
 * instructions a name, takes the loader's lock, and allocates when it finds nothing.
 */
#ifndef MOONHEAP_BASE_EXPORTED_H
#define MOONHEAP_BASE_EXPORTED_H

#include <link.h>

#include "attr.h"

/* All zero: nothing is found in it. */
struct exported {
    u64 bias; /* added to the object's addresses */
    const ElfW(Sym) *symbols;
    const char *strings;
    const u16 *versions;
    const u32 *hash, *gnu_hash;
};

/* The tables that the dynamic section names; `dynamic_bias` is added to the addresses in it, which
 * the loader may have done already. What they lead to must stay mapped. */
struct exported exported_by(u64 bias, const ElfW(Dyn) *dynamic, u64 dynamic_bias);

/* Those of the library with that file name, which is loaded for as long as the process lasts. Only
 * from a constructor, where the list of libraries stands still. */
struct exported exported_by_library(const char *file);

/* Address of the function in its default version; NULL when there is none, or when which one it is
 * is chosen at run time (STT_GNU_IFUNC). */
void *exported_find(const struct exported *e, const char *name);

#endif
