/* SPDX-License-Identifier: MIT
 *
 * elf.h - the door of elf: function names from the symbol tables of ELF files, and what such a file
 * says of itself.
 *
 * Context: pure (agent and tool use it); reads files, never the observed program's memory.
 * Invariant: every offset of the file is checked against its length before it is followed; a
 * hostile file gives an error or no name, never a fault.
 */
#ifndef MOONHEAP_ELF_ELF_H
#define MOONHEAP_ELF_ELF_H

#include "base/base.h"

struct elf_symbols; /* the functions of one file, sorted by address */

/* Opens a file and reads .symtab and .dynsym (.gnu_debugdata is left for later); when the file has
 * no .symtab, that of its separate debug file under /usr/lib/debug/.build-id, if installed. When
 * build_id_bytes is not 0 the file must carry that build-id: a file that was replaced after it was
 * loaded must not lend its names. */
bool elf_symbols_open(const char *path, const u8 *build_id, u32 build_id_bytes,
                      struct elf_symbols **out, struct err *e);
void elf_symbols_close(struct elf_symbols *s);

/* The function that holds `address` (a virtual address of the file: pc - bias; for a return address
 * ask for pc - 1 - bias, since the call may be a function's last instruction), as its mangled name,
 * valid until close; NULL when none does. *offset (may be NULL) gets address - its start. */
const char *elf_symbols_find(const struct elf_symbols *s, u64 address, u64 *offset);

/* What a file says of itself. `has_debug`: it has debug information, or a file that has it is
 * installed under its build-id; whoever opens that may still find nothing. */
enum { ELF_ABOUT_BUILD_ID = 64 };
struct elf_about {
    u8 build_id[ELF_ABOUT_BUILD_ID];
    u32 build_id_bytes; /* 0 = none */
    bool has_debug;
};
bool elf_about(const char *path, struct elf_about *a, struct err *e);

/* A C++ or Rust function as people read it: "ns::Class::method", without parameters; a name that is
 * not mangled is copied. Versions (@@GLIBC_2.2.5) and suffixes of compiler-made parts (.cold) are
 * left out. The caller frees it; NULL when memory is out. Needs up to 2 MiB of stack when the name
 * is hostile. */
char *elf_demangle(const char *name);

/* Names of many (file, address) pairs, each file opened once and each answer remembered. */
struct elf_names;
struct elf_names *elf_names_create(void);
void elf_names_destroy(struct elf_names *n);
/* The demangled name, owned by `n` until it is destroyed; "" when unknown. */
const char *elf_names_find(struct elf_names *n, const char *path, const u8 *build_id,
                           u32 build_id_bytes, u64 address);

#endif
