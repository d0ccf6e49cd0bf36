/* SPDX-License-Identifier: MIT
 *
 * names.h - what functions of the debug information are called; each is worked out once.
 *
 * Context: tool; inside the room only.
 */
#ifndef MOONHEAP_SYMBOLS_NAMES_H
#define MOONHEAP_SYMBOLS_NAMES_H

#include <elfutils/libdw.h>

#include "base/base.h"

struct names {
    struct name *known; /* by entry */
};

/* The name of the function that an entry describes, or is an inlined copy of: demangled, without
 * parameters, scopes in front; "" when it has none. Stays until names_free. */
const char *names_of(struct names *n, Dwarf_Die *function);
void names_free(struct names *n);

#endif
