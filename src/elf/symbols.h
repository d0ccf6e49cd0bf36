/* SPDX-License-Identifier: MIT
 *
 * symbols.h - what the room knows of a symbol table beyond the door.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_ELF_SYMBOLS_H
#define MOONHEAP_ELF_SYMBOLS_H

#include "elf/elf.h"

/* Memory that the table holds. */
u64 elf_symbols_bytes(const struct elf_symbols *s);

#endif
