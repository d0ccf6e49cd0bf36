/* SPDX-License-Identifier: MIT
 *
 * symbols.c - the functions of one ELF file, sorted by address.
 *
 * Context: pure.
 * Invariant: entries are strictly ascending by start, start < end, every name is a NUL-terminated
 * string in `names`, and `outer` is the index + 1 of an earlier entry. An entry that starts inside
 * another has it, or one that reaches further, on its chain of `outer`s; so the innermost function
 * that holds an address is the first on the chain that reaches it.
 *
 * Which name, when an address has many: a global one before a local one, then the one with fewer
 * leading underscores (malloc, not __libc_malloc), then the one that has a size, then the shorter,
 * then the first of the alphabet: the same file always gives the same names.
 */
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"
#include "image.h"
#include "symbols.h"

enum {
    STRINGS_LIMIT = 1 << 29, /* a larger string table is not read */
    CHUNK = 1024,            /* symbols read at a time */
};

struct function {
    u64 start, end;
    u32 name; /* offset in names */
    u32 outer;
};

struct elf_symbols {
    struct function *functions;
    u32 count;
    char *names;
    u64 name_bytes;
};

/* A symbol on its way into the table. */
struct candidate {
    u64 start, size, limit; /* limit: where its section ends, for a size of 0 */
    const char *name;
    u8 local, underscores;
};

struct collection {
    struct candidate *items;
    u64 count, room;
    char *strings[2]; /* of the tables that were read */
    u32 string_tables;
};

static int better_first(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->local != b->local)
        return a->local ? 1 : -1;
    if (a->underscores != b->underscores)
        return a->underscores < b->underscores ? -1 : 1;
    if ((a->size == 0) != (b->size == 0))
        return a->size == 0 ? 1 : -1;
    size_t la = strlen(a->name), lb = strlen(b->name);
    if (la != lb)
        return la < lb ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool push(struct collection *c, const struct candidate *item)
{
    if (c->count == c->room) {
        u64 room = c->room ? c->room * 2 : 256;
        struct candidate *items = realloc(c->items, room * sizeof *items);
        if (!items)
            return false;
        c->items = items;
        c->room = room;
    }
    c->items[c->count++] = *item;
    return true;
}

static bool consider(struct collection *c, const struct elf_image *m, const Elf64_Sym *symbol,
                     const char *strings, u64 string_bytes)
{
    u32 type = ELF64_ST_TYPE(symbol->st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF ||
        symbol->st_name >= string_bytes || strings[symbol->st_name] == '\0')
        return true;
    struct candidate item = {
        .start = symbol->st_value,
        .size = symbol->st_size,
        .limit = symbol->st_value,
        .name = strings + symbol->st_name,
        .local = ELF64_ST_BIND(symbol->st_info) == STB_LOCAL,
    };
    while (item.underscores < 8 && item.name[item.underscores] == '_')
        item.underscores++;
    if (symbol->st_shndx < m->section_count) {
        const Elf64_Shdr *in = &m->sections[symbol->st_shndx];
        if (in->sh_addr <= item.start && item.start - in->sh_addr < in->sh_size &&
            in->sh_size <= UINT64_MAX - in->sh_addr)
            item.limit = in->sh_addr + in->sh_size;
    }
    return push(c, &item);
}

/* Reads one symbol table of the file, when it has it. */
static bool collect(struct collection *c, const struct elf_image *m, u32 type, struct err *e)
{
    const Elf64_Shdr *table = elf_image_section(m, type);
    if (!table || table->sh_entsize != sizeof(Elf64_Sym) || table->sh_link >= m->section_count)
        return true;
    const Elf64_Shdr *link = &m->sections[table->sh_link];
    if (link->sh_type != SHT_STRTAB || link->sh_size > STRINGS_LIMIT)
        return true;

    char *strings = malloc(link->sh_size + 1);
    if (!strings)
        return err_set(e, STATUS_NO_MEMORY, "out of memory while reading %s", m->path);
    c->strings[c->string_tables++] = strings;
    if (!elf_image_read(m, link->sh_offset, strings, link->sh_size))
        return err_set(e, STATUS_MALFORMED, "%s: a string table is not in it", m->path);
    strings[link->sh_size] = '\0';

    Elf64_Sym symbols[CHUNK];
    u64 left = table->sh_size / sizeof(Elf64_Sym);
    u64 at = table->sh_offset;
    while (left > 0) {
        u64 n = left < CHUNK ? left : CHUNK;
        if (!elf_image_read(m, at, symbols, n * sizeof(Elf64_Sym)))
            return err_set(e, STATUS_IO, "%s: its symbols could not be read", m->path);
        for (u64 i = 0; i < n; i++)
            if (!consider(c, m, &symbols[i], strings, link->sh_size))
                return err_set(e, STATUS_NO_MEMORY, "out of memory while reading %s", m->path);
        at += n * sizeof(Elf64_Sym);
        left -= n;
    }
    return true;
}

/* Keeps the best name of each address and gives each function its end. */
static void settle(struct collection *c)
{
    if (c->count == 0)
        return;
    qsort(c->items, c->count, sizeof *c->items, better_first);
    u64 kept = 0;
    for (u64 i = 0; i < c->count; i++) {
        struct candidate *last = kept ? &c->items[kept - 1] : NULL;
        if (last && last->start == c->items[i].start) {
            if (c->items[i].size > last->size)
                last->size = c->items[i].size; /* an alias may know it better */
        } else {
            c->items[kept++] = c->items[i];
        }
    }
    c->count = kept;
    for (u64 i = 0; i < kept; i++) {
        struct candidate *f = &c->items[i];
        if (f->size == 0) { /* written in assembler: up to the next one, within its section */
            u64 end = f->limit;
            if (i + 1 < kept && c->items[i + 1].start < end)
                end = c->items[i + 1].start;
            f->size = end > f->start ? end - f->start : 1;
        }
        if (f->size > UINT64_MAX - f->start)
            f->size = UINT64_MAX - f->start;
    }
}

static bool build(struct elf_symbols *s, struct collection *c)
{
    if (c->count >= UINT32_MAX)
        return false;
    settle(c);
    u64 bytes = 0;
    for (u64 i = 0; i < c->count; i++)
        bytes += strlen(c->items[i].name) + 1;
    if (bytes > UINT32_MAX)
        return false;
    s->functions = malloc((c->count ? c->count : 1) * sizeof *s->functions);
    s->names = malloc(bytes ? bytes : 1);
    if (!s->functions || !s->names)
        return false;

    u32 outer = 0; /* index + 1 of the function that is open where we are */
    for (u64 i = 0; i < c->count; i++) {
        const struct candidate *from = &c->items[i];
        while (outer && s->functions[outer - 1].end <= from->start)
            outer = s->functions[outer - 1].outer;
        size_t length = strlen(from->name) + 1;
        memcpy(s->names + s->name_bytes, from->name, length);
        s->functions[i] = (struct function){.start = from->start,
                                            .end = from->start + from->size,
                                            .name = (u32)s->name_bytes,
                                            .outer = outer};
        s->name_bytes += length;
        outer = (u32)i + 1;
    }
    s->count = (u32)c->count;
    return true;
}

/* A separate debug file holds the full table of a stripped one. */
static bool collect_debug(struct collection *c, const u8 *id, u32 id_bytes, struct err *e)
{
    char path[64 + 2 * ELF_BUILD_ID_LIMIT];
    size_t n = text_format(path, sizeof path, "/usr/lib/debug/.build-id/%02x/", id[0]);
    for (u32 i = 1; i < id_bytes; i++)
        n += text_format(path + n, sizeof path - n, "%02x", id[i]);
    text_format(path + n, sizeof path - n, ".debug");

    struct elf_image debug;
    u8 its_id[ELF_BUILD_ID_LIMIT];
    if (!elf_image_open(&debug, path, NULL))
        return true; /* not installed: no loss */
    bool same = elf_image_build_id(&debug, its_id) == id_bytes && memcmp(its_id, id, id_bytes) == 0;
    bool ok = !same || collect(c, &debug, SHT_SYMTAB, e);
    elf_image_close(&debug);
    return ok;
}

bool elf_symbols_open(const char *path, const u8 *build_id, u32 build_id_bytes,
                      struct elf_symbols **out, struct err *e)
{
    struct elf_image m;
    struct collection c = {0};
    u8 id[ELF_BUILD_ID_LIMIT];
    *out = NULL;
    if (!elf_image_open(&m, path, e))
        return false;

    bool ok = true;
    u32 id_bytes = elf_image_build_id(&m, id);
    if (build_id_bytes != 0 && (id_bytes != build_id_bytes || memcmp(id, build_id, id_bytes) != 0))
        ok =
            err_set(e, STATUS_NOT_FOUND, "%s: not the file that was loaded (other build-id)", path);
    ok = ok && collect(&c, &m, SHT_DYNSYM, e);
    if (ok && elf_image_section(&m, SHT_SYMTAB))
        ok = collect(&c, &m, SHT_SYMTAB, e);
    else if (ok && id_bytes > 1)
        ok = collect_debug(&c, id, id_bytes, e);
    if (ok) {
        struct elf_symbols *s = calloc(1, sizeof *s);
        if (s && build(s, &c)) {
            *out = s;
        } else {
            elf_symbols_close(s);
            ok = err_set(e, STATUS_NO_MEMORY, "out of memory while reading %s", path);
        }
    }
    for (u32 i = 0; i < c.string_tables; i++)
        free(c.strings[i]);
    free(c.items);
    elf_image_close(&m);
    return ok;
}

void elf_symbols_close(struct elf_symbols *s)
{
    if (!s)
        return;
    free(s->functions);
    free(s->names);
    free(s);
}

u64 elf_symbols_bytes(const struct elf_symbols *s)
{
    return sizeof *s + s->count * sizeof *s->functions + s->name_bytes;
}

const char *elf_symbols_find(const struct elf_symbols *s, u64 address, u64 *offset)
{
    u32 at = BISECT(i, s->count, s->functions[i].start <= address); /* one behind it */
    while (at && address >= s->functions[at - 1].end)
        at = s->functions[at - 1].outer;
    if (!at)
        return NULL;
    const struct function *f = &s->functions[at - 1];
    if (offset)
        *offset = address - f->start;
    return s->names + f->name;
}
