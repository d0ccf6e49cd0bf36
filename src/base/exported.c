/* SPDX-License-Identifier: MIT
 *
 * exported.c - see exported.h.
 *
 * Context: hot.
 * Source: the System V ABI, "Hash Table"; for DT_GNU_HASH, glibc's elf/dl-lookup.c as documented in
 * binutils' bfd/elflink.c: buckets, first hashed symbol, words and shift of a filter; the filter;
 * for each bucket its first symbol; for each hashed symbol its hash, with bit 0 set at the end of
 * a bucket.
 */
#include <string.h>

#include "exported.h"

enum { VERSION_HIDDEN = 1 << 15 };

struct exported exported_by(u64 bias, const ElfW(Dyn) *dynamic, u64 dynamic_bias)
{
    struct exported e = {.bias = bias};
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(dynamic_bias + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB)
            e.symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            e.strings = at;
        else if (dynamic->d_tag == DT_VERSYM)
            e.versions = at;
        else if (dynamic->d_tag == DT_HASH)
            e.hash = at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            e.gnu_hash = at;
    }
    return e;
}

struct exported exported_by_library(const char *file)
{
    for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next) {
        const char *slash = strrchr(m->l_name, '/');
        if (m->l_ld && strcmp(slash ? slash + 1 : m->l_name, file) == 0)
            return exported_by(m->l_addr, m->l_ld, 0);
    }
    return (struct exported){0};
}

static bool is_it(const struct exported *e, u32 symbol, const char *name)
{
    const ElfW(Sym) *s = &e->symbols[symbol];
    return s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) != STT_TLS &&
           !(e->versions && e->versions[symbol] & VERSION_HIDDEN) &&
           strcmp(e->strings + s->st_name, name) == 0;
}

/* Its number; 0 when there is none. */
static u32 find_by_gnu_hash(const struct exported *e, const char *name)
{
    u32 buckets = e->gnu_hash[0], first = e->gnu_hash[1], h = 5381;
    const u32 *bucket = e->gnu_hash + 4 + e->gnu_hash[2] * (sizeof(ElfW(Addr)) / sizeof(u32));
    const u32 *chain = bucket + buckets;
    for (const char *c = name; *c; c++)
        h = h * 33 + (u8)*c;
    u32 i = buckets ? bucket[h % buckets] : 0;
    for (; i >= first && i; i++) {
        if ((chain[i - first] | 1) == (h | 1) && is_it(e, i, name))
            return i;
        if (chain[i - first] & 1)
            return 0;
    }
    return 0;
}

static u32 find_by_hash(const struct exported *e, const char *name)
{
    u32 buckets = e->hash[0], h = 0;
    const u32 *bucket = e->hash + 2, *chain = bucket + buckets;
    for (const char *c = name; *c; c++) {
        h = (h << 4) + (u8)*c;
        h = (h ^ (h >> 24 & 0xf0)) & 0xfffffff;
    }
    for (u32 i = buckets ? bucket[h % buckets] : 0; i; i = chain[i])
        if (is_it(e, i, name))
            return i;
    return 0;
}

void *exported_find(const struct exported *e, const char *name)
{
    u32 i = 0;
    if (e->symbols && e->strings && e->gnu_hash)
        i = find_by_gnu_hash(e, name);
    else if (e->symbols && e->strings && e->hash)
        i = find_by_hash(e, name);
    if (!i || ELF64_ST_TYPE(e->symbols[i].st_info) == STT_GNU_IFUNC)
        return NULL;
    return (void *)(e->bias + e->symbols[i].st_value);
}
