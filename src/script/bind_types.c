/* SPDX-License-Identifier: MIT
 *
 * bind_types.c - what scripts say and ask about types: heap.istype, heap.subtype, and the types of
 * a snapshot's blocks, found at the first question about them.
 *
 * Context: pure.
 * Invariant: the types of a snapshot do not change once they are found, so what was made of them
 * (rows, keys, texts) stays right; what a script says counts for snapshots that are asked later.
 */
#include <string.h>

#include "bind.h"

/* --- what scripts have said ---------------------------------------------------------------- */

/* [-0, +1] the list of what was said by `slot`, each a list of strings. They are never forgotten,
 * so their text may be pointed at. */
static void push_said(lua_State *L, const char *slot)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, slot) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, slot);
}

/* [-0, +0] adds the arguments 1 to n, unless the same was said last. */
static void say(lua_State *L, const char *slot, int n)
{
    push_said(L, slot);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    lua_createtable(L, n, 0);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
    lua_rawseti(L, -2, count + 1);
    lua_pop(L, 1);
}

/* Have just these arguments been said? */
static bool is_said(lua_State *L, const char *slot, int n)
{
    bool found = false;
    push_said(L, slot);
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i > 0 && !found; i--) {
        lua_rawgeti(L, -1, i);
        found = true;
        for (int k = 1; k <= n && found; k++) {
            lua_rawgeti(L, -1, k);
            found = lua_rawequal(L, -1, k);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

int script_heap_istype(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    say(L, SCRIPT_SLOT_TOLD, 2);
    return 0;
}

int script_heap_subtype(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    if (!lua_isnoneornil(L, 3))
        luaL_checkstring(L, 3);
    lua_settop(L, 3);
    if (!is_said(L, SCRIPT_SLOT_SUBTYPES, 3))
        say(L, SCRIPT_SLOT_SUBTYPES, 3);
    return 0;
}

/* The n-th text of the list on top of the stack; NULL for nil. */
static const char *text_of(lua_State *L, int n)
{
    lua_rawgeti(L, -1, n);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static void fill_told(lua_State *L, struct types_ask *ask, const struct types_memory *m)
{
    push_said(L, SCRIPT_SLOT_TOLD);
    ask->told_count = (u32)lua_rawlen(L, -1);
    struct types_told *told = types_take(m, ask->told_count, sizeof *told);
    for (u32 i = 0; i < ask->told_count; i++) {
        lua_rawgeti(L, -1, i + 1);
        told[i] = (struct types_told){text_of(L, 1), text_of(L, 2)};
        lua_pop(L, 1);
    }
    ask->told = told;
    lua_pop(L, 1);
}

static void fill_subtypes(lua_State *L, struct types_ask *ask, const struct types_memory *m)
{
    push_said(L, SCRIPT_SLOT_SUBTYPES);
    ask->sub_count = (u32)lua_rawlen(L, -1);
    struct types_sub *subs = types_take(m, ask->sub_count, sizeof *subs);
    for (u32 i = 0; i < ask->sub_count; i++) {
        lua_rawgeti(L, -1, i + 1);
        subs[i] = (struct types_sub){text_of(L, 1), text_of(L, 2), text_of(L, 3)};
        lua_pop(L, 1);
    }
    ask->subs = subs;
    lua_pop(L, 1);
}

/* --- the types of a snapshot --------------------------------------------------------------- */

static const struct catalog **find_catalogs(struct script *s, const struct snapshot *snapshot,
                                            const struct types_memory *m)
{
    const struct catalog **found = types_take(m, (u64)snapshot->module_count + 1, sizeof *found);
    for (u32 i = 1; s->host.catalog && i <= snapshot->module_count; i++) {
        const struct snapshot_module *module = &snapshot->modules[i - 1];
        const char *file = strrchr(snapshot->strings + module->path, '/');
        if (file && maps_names_library(file))
            continue; /* our own types are in nobody's heap */
        found[i] = s->host.catalog(s->host.context, module->build_id, module->build_id_bytes);
    }
    return found;
}

struct memory {
    struct script *s;
    const struct bind_snapshot *b;
};

static size_t read_memory(void *context, u64 address, void *out, size_t bytes)
{
    const struct memory *m = context;
    return script_read_memory(m->s, m->b, address, out, bytes);
}

const struct types *script_types(lua_State *L, struct bind_snapshot *b, int at)
{
    struct script *s = script_of(L);
    struct memory memory = {s, b};
    struct script_pieces keep, scratch;
    struct err e = {0};
    if (b->typed)
        return &b->types;
    script_push_owner(L, at);
    lua_getiuservalue(L, -1, 1);
    script_pieces_init(&keep, L, -1);
    script_push_pieces(L, &scratch);
    struct types_ask ask = {
        .catalogs = find_catalogs(s, &b->snapshot, &keep.memory),
        .context = &memory,
        .read = b->live ? read_memory : NULL,
        .memory_limit = UINT64_MAX,
    };
    fill_told(L, &ask, &scratch.memory);
    fill_subtypes(L, &ask, &scratch.memory);
    if (!types_solve(&b->types, &ask, &e))
        luaL_error(L, "type: %s", e.text);
    b->typed = true;
    lua_pop(L, 3);
    return &b->types;
}
