/* SPDX-License-Identifier: MIT
 *
 * vdso.c - see vdso.h.
 *
 * Context: hot.
 * Why not libc's clock_gettime: a program may be run with one of its own in front, which makes up
 * the time (libfaketime).
 */
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "vdso.h"

struct tables {
    const ElfW(Sym) *symbols;
    const char *strings;
    const u32 *hash, *gnu_hash;
};

/* How many symbols there are: neither of the tables says it, but the hash tables hold them all. */
static u32 symbol_count(const struct tables *t)
{
    if (t->hash)
        return t->hash[1];
    if (!t->gnu_hash)
        return 0;
    u32 buckets = t->gnu_hash[0], first = t->gnu_hash[1], last = 0;
    const u32 *bucket = t->gnu_hash + 4 + t->gnu_hash[2] * (sizeof(ElfW(Addr)) / sizeof(u32));
    const u32 *chain = bucket + buckets;
    for (u32 i = 0; i < buckets; i++)
        last = bucket[i] > last ? bucket[i] : last;
    if (last < first)
        return 0;
    while (!(chain[last - first] & 1))
        last++;
    return last + 1;
}

void *vdso_find(const char *name)
{
    u64 base = getauxval(AT_SYSINFO_EHDR), bias = base;
    struct tables t = {0};
    const ElfW(Dyn) *dynamic = NULL;
    if (!base)
        return NULL;
    const ElfW(Ehdr) *header = (const void *)base;
    const ElfW(Phdr) *segment = (const void *)(base + header->e_phoff);
    for (u32 i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD)
            bias = base + segment[i].p_offset - segment[i].p_vaddr;
        else if (segment[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(base + segment[i].p_offset);
    }
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(bias + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB)
            t.symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            t.strings = at;
        else if (dynamic->d_tag == DT_HASH)
            t.hash = at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            t.gnu_hash = at;
    }
    u32 count = t.symbols && t.strings ? symbol_count(&t) : 0;
    for (u32 i = 0; i < count; i++)
        if (t.symbols[i].st_shndx != SHN_UNDEF &&
            strcmp(t.strings + t.symbols[i].st_name, name) == 0)
            return (void *)(bias + t.symbols[i].st_value);
    return NULL;
}
