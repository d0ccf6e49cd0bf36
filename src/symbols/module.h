/* SPDX-License-Identifier: MIT
 *
 * module.h - what the files of symbols share: one executable or library with its debug information,
 * and the compilation units in it.
 *
 * Context: tool; inside the room only.
 */
#ifndef MOONHEAP_SYMBOLS_MODULE_H
#define MOONHEAP_SYMBOLS_MODULE_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include "symbols.h"

/* A range of code, and the unit that it was compiled in. */
struct module_range {
    u64 lo, hi;
    u64 reach;      /* the highest hi up to here */
    Dwarf_Off unit; /* of its first entry, in the debug information */
};

/* Stays where it is while it is open: libdwfl keeps pointers to it. */
struct module {
    Dwfl_Callbacks callbacks;
    char *debug_path;
    Dwfl *dwfl;
    Dwfl_Module *dwfl_module;
    Dwarf *dwarf;                /* NULL: there is none */
    u64 bias;                    /* of an address, to one in the debug information: subtract */
    struct module_range *ranges; /* by lo */
    size_t range_count;
};

/* Opens the file, or what is left of it under its build-id, with its debug information. `where` may
 * be NULL. */
bool module_open(struct module *m, const char *path, const u8 *build_id, u32 build_id_bytes,
                 const struct symbols_where *where);
void module_close(struct module *m);
/* The unit whose code the address (of the debug information) is in; false when none has it. */
bool module_unit(const struct module *m, u64 address, Dwarf_Die *unit);
/* The function by the symbol tables, mangled; NULL when none has it. */
const char *module_symbol(const struct module *m, u64 address);

#endif
