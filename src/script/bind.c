/* SPDX-License-Identifier: MIT
 *
 * bind.c - how every noun is bound: metatables, memory, options, failures.
 *
 * Context: pure.
 * Invariant: a metatable is made once and hidden from scripts (__metatable), so none can change
 * what a handle does at its end.
 */
#include <math.h>
#include <string.h>

#include "bind.h"

/* --- nouns --------------------------------------------------------------------------------- */

/* __index: upvalue 1 the methods, upvalue 2 the fields' function or nil. */
static int noun_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_isnil(L, lua_upvalueindex(2)))
        return 1;
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

void script_noun(lua_State *L, const char *noun, const luaL_Reg *methods,
                 const luaL_Reg *metamethods, lua_CFunction index)
{
    luaL_newmetatable(L, noun);
    luaL_setfuncs(L, metamethods, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods");
    if (index)
        lua_pushcfunction(L, index);
    else
        lua_pushnil(L);
    lua_pushcclosure(L, noun_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, noun);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void script_push_methods(lua_State *L, const char *noun)
{
    luaL_getmetatable(L, noun);
    lua_getfield(L, -1, "methods");
    lua_remove(L, -2);
}

void script_push_owner(lua_State *L, int at)
{
    if (luaL_testudata(L, at, "snapshot"))
        lua_pushvalue(L, at);
    else
        lua_getiuservalue(L, at, 1);
}

/* --- memory -------------------------------------------------------------------------------- */

enum { CHUNK_BYTES = 16384 };

static void *keep(struct script_pieces *k, size_t bytes)
{
    luaL_checkstack(k->L, 4, NULL);
    void *p = lua_newuserdatauv(k->L, bytes, 0);
    lua_rawseti(k->L, k->table, (lua_Integer)lua_rawlen(k->L, k->table) + 1);
    return p;
}

static void *take(void *context, size_t bytes)
{
    struct script_pieces *k = context;
    bytes = ROUND_UP(bytes, (size_t)8);
    if (bytes > CHUNK_BYTES / 8)
        return keep(k, bytes);
    if (bytes > k->left) {
        k->chunk = keep(k, CHUNK_BYTES);
        k->left = CHUNK_BYTES;
    }
    void *p = k->chunk;
    k->chunk += bytes;
    k->left -= bytes;
    return p;
}

void script_pieces_init(struct script_pieces *k, lua_State *L, int table)
{
    *k = (struct script_pieces){{take, k}, L, lua_absindex(L, table), NULL, 0};
}

void script_push_pieces(lua_State *L, struct script_pieces *k)
{
    lua_newtable(L);
    script_pieces_init(k, L, -1);
}

const struct query_grouping *script_grouping(lua_State *L, struct bind_snapshot *owner, int at,
                                             enum query_key key)
{
    struct script_pieces keep_in;
    at = lua_absindex(L, at);
    if (key == QUERY_KEY_TYPE || key == QUERY_KEY_TYPE_SOURCE)
        script_types(L, owner, at);
    lua_getiuservalue(L, at, 1);
    script_pieces_init(&keep_in, L, -1);
    const struct query_grouping *g = query_grouping(&owner->view, key, &keep_in.memory);
    lua_pop(L, 1);
    return g;
}

/* --- text ---------------------------------------------------------------------------------- */

static void add_function(void *context, const char *function)
{
    luaL_Buffer *out = context;
    if (luaL_bufflen(out))
        luaL_addstring(out, " < ");
    luaL_addstring(out, function);
}

void script_push_stack_text(lua_State *L, const struct query_view *v,
                            const struct query_grouping *g, u32 group)
{
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    query_stack_text(v, g, group, add_function, &out);
    luaL_pushresult(&out);
}

void script_push_stack_places(lua_State *L, const struct query_view *v, stack_id stack)
{
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    query_stack_places(v, stack, add_function, &out);
    luaL_pushresult(&out);
}

void script_push_standing(lua_State *L, const struct types *t, const struct snapshot_standing *s)
{
    luaL_Buffer out;
    char text[SCRIPT_ROOT_BYTES];
    luaL_buffinit(L, &out);
    for (u32 i = 0; i < s->call_count; i++) {
        const struct snapshot_call *c = &t->snapshot->calls[s->first_call + i];
        if (c->flags & SNAPSHOT_CALL_SIGNAL) {
            add_function(&out, SCRIPT_SIGNAL_FRAME);
            continue;
        }
        for (u32 p = t->place_row[c->frame]; p < t->place_row[c->frame + 1]; p++) {
            types_place_text(t, p, text, sizeof text);
            add_function(&out, text);
        }
    }
    luaL_pushresult(&out);
}

void script_push_key(lua_State *L, const struct query_partition *p, u32 row)
{
    u32 group = p->rows[row].group;
    if (p->by.texts)
        lua_pushstring(L, p->by.texts[group]);
    else
        script_push_stack_text(L, p->view, &p->by, group);
}

bool script_match_names(lua_State *L, const struct types_names *names, const char *wanted,
                        bool pattern, u8 *ok)
{
    bool any = false;
    if (!pattern) {
        u32 id = types_names_find(names, wanted);
        if (id == TYPES_NO_NAME)
            return false;
        ok[id] = 1;
        return true;
    }
    for (u32 i = 0; i < names->count; i++) {
        lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_FIND);
        lua_pushstring(L, names->text[i]);
        lua_pushstring(L, wanted);
        lua_call(L, 2, 1);
        ok[i] = (u8)lua_toboolean(L, -1);
        any |= ok[i];
        lua_pop(L, 1);
    }
    return any;
}

bool script_match_sites(lua_State *L, const struct types *t, const char *wanted, bool pattern,
                        const struct types_memory *scratch, u8 *ok)
{
    u8 *function_ok = types_take(scratch, t->functions.count, 1);
    bool any = script_match_names(L, &t->sites, wanted, pattern, ok);
    script_match_names(L, &t->functions, wanted, pattern, function_ok);
    for (u32 i = 1; i < t->sites.count; i++) {
        ok[i] |= function_ok[t->function_of_site[i]];
        any |= ok[i];
    }
    return any;
}

bool script_match_types(lua_State *L, const struct types *t, const char *wanted, bool pattern,
                        u8 *ok)
{
    static const char site[] = "site:";
    bool any = script_match_names(L, &t->types, wanted, pattern, ok);
    if (any || pattern || strncmp(wanted, site, sizeof site - 1) != 0)
        return any;
    u32 function = types_names_find(&t->functions, wanted + sizeof site - 1);
    for (u32 i = 1; i < t->sites.count && function != TYPES_NO_NAME; i++) {
        if (t->function_of_site[i] != function)
            continue;
        ok[t->type_of_site[i]] = 1;
        any = true;
    }
    return any;
}

/* --- failures and options ------------------------------------------------------------------ */

int script_fail(lua_State *L, const struct err *e)
{
    lua_pushnil(L);
    lua_pushstring(L, e->text[0] ? e->text : err_word(e->status));
    return 2;
}

int script_offline(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "not available offline");
    return 2;
}

void script_check_options(lua_State *L, int arg, const char *const *words)
{
    if (lua_isnoneornil(L, arg))
        return;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        const char *word = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const char *const *known = words;
        while (word && *known && strcmp(*known, word) != 0)
            known++;
        if (!word || !*known) {
            luaL_tolstring(L, -2, NULL);
            luaL_error(L, "unknown option '%s'", lua_tostring(L, -1));
        }
    }
}

bool script_option_bool(lua_State *L, int arg, const char *word, bool fallback)
{
    if (!lua_istable(L, arg))
        return fallback;
    bool value = lua_getfield(L, arg, word) == LUA_TNIL ? fallback : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

bool script_option_number(lua_State *L, int arg, const char *word, double *number)
{
    if (!lua_istable(L, arg))
        return false;
    bool given = lua_getfield(L, arg, word) != LUA_TNIL;
    if (given) {
        int is_number;
        *number = lua_tonumberx(L, -1, &is_number);
        if (!is_number || !(*number >= 0))
            luaL_error(L, "option '%s' must be a number, 0 or more", word);
    }
    lua_pop(L, 1);
    return given;
}

u64 script_seconds(double seconds)
{
    double ns = seconds * 1e9;
    return ns < 9e18 ? (u64)ns : (u64)9e18;
}

/* --- estimates ----------------------------------------------------------------------------- */

void script_push_error(lua_State *L, const struct query_view *v, u64 error)
{
    if (v->sample_bytes)
        lua_pushinteger(L, (lua_Integer)error);
    else
        lua_pushnil(L);
}

void script_push_sum(lua_State *L, const struct query_view *v, const struct query_sum *sum)
{
    char count[40], bytes[40], count_error[40], bytes_error[40];
    text_count(count, sizeof count, sum->count);
    text_bytes(bytes, sizeof bytes, sum->bytes);
    if (!v->sample_bytes) {
        lua_pushfstring(L, "%s blocks, %s", count, bytes);
        return;
    }
    text_count(count_error, sizeof count_error, sum->count_error);
    text_bytes(bytes_error, sizeof bytes_error, sum->bytes_error);
    lua_pushfstring(L, "\u2248 %s \u00b1 %s blocks, \u2248 %s \u00b1 %s", count, count_error, bytes,
                    bytes_error);
}
