/* SPDX-License-Identifier: MIT
 *
 * names.c - names of many addresses in many files: each file read once, each answer remembered.
 *
 * Context: pure.
 * Invariant: a name handed out stays where it is until the whole is destroyed, and equal names are
 * one string. Tables of symbols are a cache: together they stay below TABLE_BYTES_LIMIT (or are one
 * table), and what was dropped is read again when it is asked again.
 */
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"
#include "symbols.h"

#define HASH_NONFATAL_OOM 1 /* without it, uthash ends the process when memory is out */
#include <uthash.h>

#define TABLE_BYTES_LIMIT (128ULL << 20)

struct text {
    UT_hash_handle hh;
    char bytes[];
};

struct file {
    UT_hash_handle hh;
    struct elf_symbols *symbols; /* NULL: not read, or dropped */
    bool unreadable;
    u64 last_use;
    u32 path_bytes; /* of the key, its NUL included; the build-id follows */
    u32 key_bytes;
    char key[];
};

struct answer {
    UT_hash_handle hh;
    struct {
        const struct file *file;
        u64 address;
    } key;
    const char *name;
};

struct elf_names {
    struct text *texts;
    struct file *files;
    struct answer *answers;
    u64 table_bytes;
    u64 clock;
};

struct elf_names *elf_names_create(void)
{
    return calloc(1, sizeof(struct elf_names));
}

void elf_names_destroy(struct elf_names *n)
{
    if (!n)
        return;
    struct answer *answer, *next_answer;
    HASH_ITER(hh, n->answers, answer, next_answer)
    {
        HASH_DEL(n->answers, answer);
        free(answer);
    }
    struct file *file, *next_file;
    HASH_ITER(hh, n->files, file, next_file)
    {
        HASH_DEL(n->files, file);
        elf_symbols_close(file->symbols);
        free(file);
    }
    struct text *text, *next_text;
    HASH_ITER(hh, n->texts, text, next_text)
    {
        HASH_DEL(n->texts, text);
        free(text);
    }
    free(n);
}

/* The one copy of a string; NULL when memory is out. */
static const char *intern(struct elf_names *n, const char *string)
{
    size_t length = strlen(string);
    struct text *text;
    HASH_FIND(hh, n->texts, string, length, text);
    if (text)
        return text->bytes;
    text = malloc(sizeof *text + length + 1);
    if (!text)
        return NULL;
    memset(&text->hh, 0, sizeof text->hh);
    memcpy(text->bytes, string, length + 1);
    HASH_ADD_KEYPTR(hh, n->texts, text->bytes, length, text);
    if (!text->hh.tbl) {
        free(text);
        return NULL;
    }
    return text->bytes;
}

static struct file *file_of(struct elf_names *n, const char *path, const u8 *build_id,
                            u32 build_id_bytes)
{
    char key[4096 + 64];
    size_t path_bytes = strlen(path) + 1;
    if (path_bytes > 4096 || build_id_bytes > 64)
        return NULL;
    memcpy(key, path, path_bytes);
    if (build_id_bytes)
        memcpy(key + path_bytes, build_id, build_id_bytes);
    size_t key_bytes = path_bytes + build_id_bytes;

    struct file *file;
    HASH_FIND(hh, n->files, key, key_bytes, file);
    if (file)
        return file;
    file = calloc(1, sizeof *file + key_bytes);
    if (!file)
        return NULL;
    file->path_bytes = (u32)path_bytes;
    file->key_bytes = (u32)key_bytes;
    memcpy(file->key, key, key_bytes);
    HASH_ADD_KEYPTR(hh, n->files, file->key, key_bytes, file);
    if (!file->hh.tbl) {
        free(file);
        return NULL;
    }
    return file;
}

static void drop(struct elf_names *n, struct file *file)
{
    n->table_bytes -= elf_symbols_bytes(file->symbols);
    elf_symbols_close(file->symbols);
    file->symbols = NULL;
}

/* Makes room by dropping the tables that were used longest ago, but not that of `keep`. */
static void trim(struct elf_names *n, const struct file *keep)
{
    while (n->table_bytes > TABLE_BYTES_LIMIT) {
        struct file *oldest = NULL;
        for (struct file *f = n->files; f; f = f->hh.next)
            if (f->symbols && f != keep && (!oldest || f->last_use < oldest->last_use))
                oldest = f;
        if (!oldest)
            return;
        drop(n, oldest);
    }
}

static const struct elf_symbols *symbols_of(struct elf_names *n, struct file *file)
{
    file->last_use = ++n->clock;
    if (file->symbols || file->unreadable)
        return file->symbols;
    if (!elf_symbols_open(file->key, (const u8 *)file->key + file->path_bytes,
                          file->key_bytes - file->path_bytes, &file->symbols, NULL)) {
        file->unreadable = true;
        return NULL;
    }
    n->table_bytes += elf_symbols_bytes(file->symbols);
    trim(n, file);
    return file->symbols;
}

static const char *look_up(struct elf_names *n, struct file *file, u64 address)
{
    const struct elf_symbols *symbols = symbols_of(n, file);
    const char *mangled = symbols ? elf_symbols_find(symbols, address, NULL) : NULL;
    if (!mangled)
        return "";
    char *name = elf_demangle(mangled);
    const char *kept = name ? intern(n, name) : NULL;
    free(name);
    return kept ? kept : "";
}

const char *elf_names_find(struct elf_names *n, const char *path, const u8 *build_id,
                           u32 build_id_bytes, u64 address)
{
    struct file *file = file_of(n, path, build_id, build_id_bytes);
    if (!file)
        return "";
    struct answer *answer, wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.key.file = file;
    wanted.key.address = address;
    HASH_FIND(hh, n->answers, &wanted.key, sizeof wanted.key, answer);
    if (answer)
        return answer->name;

    const char *name = look_up(n, file, address);
    answer = malloc(sizeof *answer);
    if (!answer)
        return name;
    *answer = wanted;
    answer->name = name;
    HASH_ADD(hh, n->answers, key, sizeof answer->key, answer);
    if (!answer->hh.tbl)
        free(answer);
    return name;
}
