/* SPDX-License-Identifier: MIT
 *
 * shelf.c - the catalogues that somebody asked for by build-id, each opened once.
 *
 * Context: pure; the first question for a module opens a file.
 * Invariant: what was handed out stays open until the shelf goes.
 * Why a missing one is looked for again: it may have been made since.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

enum { PATH_BYTES = 4096 };

struct book {
    struct book *next;
    struct catalog catalog;
    u8 build_id[CATALOG_BUILD_ID_MAX];
    u32 build_id_bytes;
};

struct catalog_shelf {
    char *const *environment;
    struct book *books;
};

struct catalog_shelf *catalog_shelf_create(char *const *environment)
{
    struct catalog_shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf)
        shelf->environment = environment;
    return shelf;
}

void catalog_shelf_destroy(struct catalog_shelf *shelf)
{
    if (!shelf)
        return;
    for (struct book *b = shelf->books, *next; b; b = next) {
        next = b->next;
        catalog_close(&b->catalog);
        free(b);
    }
    free(shelf);
}

static const struct catalog *add(struct catalog_shelf *shelf, const u8 *build_id, u32 bytes)
{
    char path[PATH_BYTES];
    if (!catalog_path(shelf->environment, build_id, bytes, path, sizeof path))
        return NULL;
    struct book *b = calloc(1, sizeof *b);
    struct err e = {0};
    if (!b || !catalog_open(&b->catalog, path, &e)) {
        free(b);
        return NULL;
    }
    memcpy(b->build_id, build_id, bytes);
    b->build_id_bytes = bytes;
    b->next = shelf->books;
    shelf->books = b;
    return &b->catalog;
}

const struct catalog *catalog_shelf_find(struct catalog_shelf *shelf, const u8 *build_id,
                                         u32 build_id_bytes)
{
    if (!build_id_bytes || build_id_bytes > CATALOG_BUILD_ID_MAX)
        return NULL;
    for (const struct book *b = shelf->books; b; b = b->next)
        if (b->build_id_bytes == build_id_bytes && !memcmp(b->build_id, build_id, build_id_bytes))
            return &b->catalog;
    return add(shelf, build_id, build_id_bytes);
}
