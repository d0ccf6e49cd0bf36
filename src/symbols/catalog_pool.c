/* SPDX-License-Identifier: MIT
 *
 * catalog_pool.c - arrays, maps and strings of the builder of catalogues.
 *
 * Context: tool.
 * Invariant: see catalog_pool.h. Counts stay below 2^31, so that a bit of an index is free.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_pool.h"

enum { FIRST_ROOM = 16 };

void catalog_pool_fail(struct catalog_pool *p, enum status status, const char *format, ...)
{
    char text[sizeof p->e->text];
    va_list args;
    va_start(args, format);
    text_format_va(text, sizeof text, format, args);
    va_end(args);
    err_set(p->e, status, "%s", text);
    longjmp(p->out, 1);
}

void *catalog_pool_room(struct catalog_pool *p, void *array, u32 count, u32 *capacity,
                        size_t record_bytes)
{
    if (count < *capacity)
        return array;
    u64 wanted = *capacity ? 2 * (u64)*capacity : FIRST_ROOM;
    void *grown = wanted < 1u << 31 ? realloc(array, wanted * record_bytes) : NULL;
    if (!grown)
        catalog_pool_fail(p, STATUS_NO_MEMORY,
                          "out of memory (the limit may be the builder's own)");
    *capacity = (u32)wanted;
    return grown;
}

void *catalog_pool_take(struct catalog_pool *p, u64 count, size_t record_bytes)
{
    void *room = calloc(count ? count : 1, record_bytes);
    if (!room)
        catalog_pool_fail(p, STATUS_NO_MEMORY,
                          "out of memory (the limit may be the builder's own)");
    return room;
}

u64 catalog_mix(u64 a, u64 b)
{
    u64 h = (a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6))) * 0xff51afd7ed558ccdULL;
    return h ^ (h >> 32);
}

/* FNV-1a, then mixed: names of types are long and differ late. */
u64 catalog_hash(const void *bytes, size_t count)
{
    const u8 *at = bytes;
    u64 h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < count; i++)
        h = (h ^ at[i]) * 0x100000001b3ULL;
    return catalog_mix(h, count) | 1;
}

static u32 slot_of(const struct catalog_map *m, u64 key)
{
    u32 at = (u32)(catalog_mix(key, 0) & (m->slots - 1));
    while (m->keys[at] && m->keys[at] != key)
        at = (at + 1) & (m->slots - 1);
    return at;
}

u32 *catalog_map_find(const struct catalog_map *m, u64 key)
{
    if (m->slots == 0)
        return NULL;
    u32 at = slot_of(m, key);
    return m->keys[at] ? &m->values[at] : NULL;
}

static void grow(struct catalog_pool *p, struct catalog_map *m)
{
    struct catalog_map wide = {.slots = m->slots ? 2 * m->slots : FIRST_ROOM, .count = m->count};
    if (wide.slots == 0)
        catalog_pool_fail(p, STATUS_LIMIT, "more types than a catalogue can hold");
    wide.keys = catalog_pool_take(p, wide.slots, sizeof *wide.keys);
    wide.values = catalog_pool_take(p, wide.slots, sizeof *wide.values);
    for (u32 i = 0; i < m->slots; i++) {
        if (!m->keys[i])
            continue;
        u32 at = slot_of(&wide, m->keys[i]);
        wide.keys[at] = m->keys[i];
        wide.values[at] = m->values[i];
    }
    catalog_map_free(m);
    *m = wide;
}

u32 *catalog_map_add(struct catalog_pool *p, struct catalog_map *m, u64 key)
{
    if (m->count >= m->slots / 2)
        grow(p, m);
    u32 at = slot_of(m, key);
    if (!m->keys[at]) {
        m->keys[at] = key;
        m->count++;
    }
    return &m->values[at];
}

void catalog_map_free(struct catalog_map *m)
{
    free(m->keys);
    free(m->values);
    *m = (struct catalog_map){0};
}

u32 catalog_strings_add(struct catalog_pool *p, struct catalog_strings *s, const char *text,
                        size_t length)
{
    if (s->bytes.count == 0)
        *CATALOG_ADD(p, &s->bytes) = '\0';
    if (length == 0)
        return 0;
    u64 key = catalog_hash(text, length);
    u32 *at;
    while (*(at = catalog_map_add(p, &s->by_hash, key)) != 0) {
        const char *there = s->bytes.at + *at;
        if (!strncmp(there, text, length) && !there[length])
            return *at;
        key = catalog_mix(key, 1) | 1;
    }
    *at = s->bytes.count;
    u32 offset = s->bytes.count;
    for (size_t i = 0; i < length; i++)
        *CATALOG_ADD(p, &s->bytes) = text[i];
    *CATALOG_ADD(p, &s->bytes) = '\0';
    return offset;
}
