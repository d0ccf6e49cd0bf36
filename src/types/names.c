/* SPDX-License-Identifier: MIT
 *
 * names.c - a table of distinct names: ids by name and names by id.
 *
 * Context: pure.
 * Invariant: the table is never more than half full, so a probe sequence always ends; what is
 * added never moves.
 * Why sized once: every use knows an upper bound beforehand (frames, vtables, threads), and memory
 * that is taken is not given back before the whole table goes.
 */
#include <string.h>

#include "types.h"

void *types_take(const struct types_memory *m, u64 count, size_t record_bytes)
{
    size_t bytes = (size_t)count * record_bytes;
    void *p = m->take(m->context, bytes ? bytes : 1);
    memset(p, 0, bytes);
    return p;
}

/* FNV-1a, then the finaliser of splitmix64, since FNV's high bits are poor on short names. */
u64 types_hash(const char *text)
{
    u64 h = 0xcbf29ce484222325u;
    for (const char *p = text; *p; p++)
        h = (h ^ (u8)*p) * 0x100000001b3u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

void types_names_init(struct types_names *n, u32 capacity, const struct types_memory *m)
{
    u64 slots = 16;
    while (slots < 2 * ((u64)capacity + 1))
        slots *= 2;
    n->capacity = capacity + 1;
    n->mask = (u32)(slots - 1);
    n->count = 0;
    n->text = types_take(m, n->capacity, sizeof *n->text);
    n->hash = types_take(m, n->capacity, sizeof *n->hash);
    n->slots = types_take(m, slots, sizeof *n->slots);
    types_names_add(n, "unknown");
}

/* The slot that holds a name, or the free one where it belongs. */
static u32 *slot_of(const struct types_names *n, const char *text, u64 hash)
{
    for (u32 i = (u32)hash & n->mask;; i = (i + 1) & n->mask) {
        u32 *slot = &n->slots[i];
        if (!*slot || (n->hash[*slot - 1] == hash && !strcmp(n->text[*slot - 1], text)))
            return slot;
    }
}

u32 types_names_find(const struct types_names *n, const char *text)
{
    u32 slot = *slot_of(n, text, types_hash(text));
    return slot ? slot - 1 : TYPES_NO_NAME;
}

u32 types_names_add(struct types_names *n, const char *text)
{
    u64 hash = types_hash(text);
    u32 *slot = slot_of(n, text, hash);
    if (*slot)
        return *slot - 1;
    if (n->count == n->capacity)
        return 0; /* more names than promised: a caller's mistake, seen as "unknown" */
    n->text[n->count] = text;
    n->hash[n->count] = hash;
    *slot = ++n->count;
    return n->count - 1;
}

u32 types_names_copy(struct types_names *n, const char *text, const struct types_memory *m)
{
    u32 id = types_names_find(n, text);
    if (id != TYPES_NO_NAME)
        return id;
    size_t bytes = strlen(text) + 1;
    char *copy = types_take(m, bytes, 1);
    memcpy(copy, text, bytes);
    return types_names_add(n, copy);
}
