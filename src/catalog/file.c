/* SPDX-License-Identifier: MIT
 *
 * file.c - where catalogues are kept, how they get there and how they are mapped.
 *
 * Context: pure: files only; it may block.
 * Invariant: the file at the path is the old one or the whole new one, never part of one; what is
 * mapped belongs to this user or to root, and nobody else may write to it. Moonheap never writes
 * into a catalogue that has its name, so one that is mapped does not change or shrink.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog.h"

static bool trusted(int fd, const char *path, u64 *size, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(e, "open", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, STATUS_MALFORMED, "cannot open %s: not a regular file", path);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(e, STATUS_UNSAFE, "type catalogue %s could be written by another user",
                       path);
    *size = (u64)st.st_size;
    return *size > 0 || err_set(e, STATUS_MALFORMED, "type catalogue %s: the file is empty", path);
}

bool catalog_open(struct catalog *c, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(e, "open", path);
    u64 size = 0;
    bool ok = trusted(fd, path, &size, e);
    void *bytes = MAP_FAILED;
    if (ok && (bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        ok = err_set_errno(e, "map", path);
    close(fd);
    if (!ok)
        return false;
    struct err why = {0};
    if (catalog_view(c, bytes, size, &why)) {
        c->mapped = true;
        return true;
    }
    munmap(bytes, size);
    return err_set(e, why.status, "%s: %s; remove it and make it again with moonheap catalog", path,
                   why.text);
}

void catalog_close(struct catalog *c)
{
    if (c->mapped)
        munmap((void *)(uintptr_t)c->bytes, c->size);
    *c = (struct catalog){0};
}

static const char *value_of(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; *environment; environment++)
        if (!strncmp(*environment, name, length) && (*environment)[length] == '=' &&
            (*environment)[length + 1] == '/')
            return *environment + length + 1;
    return NULL;
}

bool catalog_path(char *const *environment, const u8 *build_id, u32 build_id_bytes, char *out,
                  size_t size)
{
    static const struct {
        const char *variable, *below;
    } places[] = {
        {"MOONHEAP_CATALOG", ""},
        {"XDG_CACHE_HOME", "/moonheap/catalog"},
        {"HOME", "/.cache/moonheap/catalog"},
    };
    if (build_id_bytes < 2 || build_id_bytes > CATALOG_BUILD_ID_MAX)
        return false;
    char hex[2 * CATALOG_BUILD_ID_MAX + 1];
    for (u32 i = 0; i < build_id_bytes; i++)
        text_format(hex + 2 * i, 3, "%02x", build_id[i]);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const char *folder = value_of(environment, places[i].variable);
        if (!folder)
            continue;
        size_t length =
            text_format(out, size, "%s%s/%.*s/%s", folder, places[i].below, 2, hex, hex + 2);
        return length == strlen(folder) + strlen(places[i].below) + 2 + strlen(hex);
    }
    return false;
}

/* Makes what is missing of the directories of `path`, which it cuts and mends on the way. */
static void make_directories(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700); /* what fails here, the file's creation reports */
        *at = '/';
    }
}

bool catalog_save(const void *bytes, u64 size, const char *path, struct err *e)
{
    char *copy = strdup(path);
    if (!copy)
        return err_set(e, STATUS_NO_MEMORY, "out of memory while saving %s", path);
    make_directories(copy);
    free(copy);
    struct whole_file f;
    return whole_file_begin(&f, path, e) &&
           whole_file_end(&f, whole_file_write(&f, bytes, size, e), e);
}
