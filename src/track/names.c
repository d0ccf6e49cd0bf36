/* SPDX-License-Identifier: MIT
 *
 * names.c - see names.h.
 *
 * Context: hot, lock-free.
 * Invariant: a slot of the table goes from 0 to an id once, after the text has been written. Who
 * loses the race for a slot has used up an id for nothing, and looks again.
 */
#include <string.h>

#include "names.h"

enum { SLOTS = 2 * (NAME_MAX_COUNT + 1) };

static char (*texts)[NAME_BYTES]; /* by id; [0] is "" */
static u32 count;                 /* ids given */
static u16 slots[SLOTS];

static char (*room(void))[NAME_BYTES]
{
    char(*have)[NAME_BYTES] = ACQUIRE(&texts);
    if (have)
        return have;
    char(*fresh)[NAME_BYTES] = sys_map_sparse(sizeof *fresh * (NAME_MAX_COUNT + 1));
    if (fresh && !__atomic_compare_exchange_n(&texts, &have, fresh, false, __ATOMIC_ACQ_REL,
                                              __ATOMIC_ACQUIRE)) {
        sys_unmap(fresh, sizeof *fresh * (NAME_MAX_COUNT + 1));
        fresh = have;
    }
    return fresh;
}

/* FNV-1a of what of the name is kept, which is copied to `kept`. */
static u32 keep(const char *name, char kept[NAME_BYTES])
{
    u32 h = 0x811c9dc5, i = 0;
    for (; name[i] && i < NAME_BYTES - 1; i++) {
        kept[i] = name[i];
        h = (h ^ (u8)name[i]) * 0x01000193;
    }
    kept[i] = '\0';
    return h;
}

static u32 look_up(const char *name, bool make)
{
    char kept[NAME_BYTES];
    if (!name || !*name || !room())
        return 0;
    u32 h = keep(name, kept), mine = 0;
    for (u32 i = 0; i < SLOTS; i++) {
        u16 *slot = &slots[(h + i) % SLOTS];
        u16 id = ACQUIRE(slot);
        if (!id) {
            if (!make)
                return 0;
            if (!mine) {
                mine = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
                if (mine > NAME_MAX_COUNT) {
                    POKE(&count, NAME_MAX_COUNT);
                    return 0;
                }
                memcpy(texts[mine], kept, sizeof kept);
            }
            if (__atomic_compare_exchange_n(slot, &id, (u16)mine, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE))
                return mine;
        }
        if (strcmp(texts[id], kept) == 0)
            return id;
    }
    return 0;
}

u32 names_intern(const char *name)
{
    return look_up(name, true);
}

u32 names_find(const char *name)
{
    return look_up(name, false);
}

u32 track_name_count(void)
{
    u32 n = ACQUIRE(&count);
    return n < NAME_MAX_COUNT ? n : NAME_MAX_COUNT;
}

const char *track_name(u32 name)
{
    return texts && name <= NAME_MAX_COUNT ? texts[name] : "";
}

u64 names_own_bytes(void)
{
    return ROUND_UP((u64)track_name_count() * NAME_BYTES, PAGE_BYTES);
}
