/* SPDX-License-Identifier: MIT
 *
 * bind_delta.c - delta: what differs between two partitions by one key.
 *
 * Context: pure.
 * Invariant: its rows are plain tables, which a script may keep; what does not differ has none.
 * Its way to print itself is in lua/heap.lua.
 */
#include <string.h>

#include "bind.h"

enum { DELTA_SNAPSHOT = 1, DELTA_NOW, DELTA_THEN, DELTA_MEMORY, DELTA_VALUES = 4 };

struct bind_delta *script_check_delta(lua_State *L, int arg)
{
    struct bind_delta *d = luaL_checkudata(L, arg, "delta");
    if (!d->now->owner->open || !d->then->owner->open)
        luaL_error(L, "snapshot closed");
    return d;
}

void script_push_delta(lua_State *L, int now_at, int then_at)
{
    struct script_pieces keep, scratch;
    struct bind_partition *now = script_check_partition(L, now_at);
    struct bind_partition *then = script_check_partition(L, then_at);
    if (now->partition.by.key != then->partition.by.key)
        luaL_error(L, "the partitions are by different keys");
    script_check_recording(L, now->owner, then->owner);
    now_at = lua_absindex(L, now_at);
    then_at = lua_absindex(L, then_at);
    struct bind_delta *d = lua_newuserdatauv(L, sizeof *d, DELTA_VALUES);
    memset(d, 0, sizeof *d);
    int at = lua_gettop(L);
    d->now = now;
    d->then = then;
    script_push_owner(L, now_at);
    lua_setiuservalue(L, at, DELTA_SNAPSHOT);
    lua_pushvalue(L, now_at);
    lua_setiuservalue(L, at, DELTA_NOW);
    lua_pushvalue(L, then_at);
    lua_setiuservalue(L, at, DELTA_THEN);
    script_push_pieces(L, &keep);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, at, DELTA_MEMORY);
    script_push_pieces(L, &scratch);
    query_delta_build(&d->delta, &now->partition, &then->partition, &keep.memory, &scratch.memory);
    lua_settop(L, at);
    luaL_setmetatable(L, "delta");
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* What the figures of a row may be wrong by, where any is an estimate. */
static void set_errors(lua_State *L, const struct query_delta *d, const struct query_delta_row *r)
{
    static const struct query_row none;
    const struct query_row *now = r->now == QUERY_NO_ROW ? &none : &d->now->rows[r->now];
    if (d->now->view->sample_bytes) {
        set_integer(L, "count_error", (lua_Integer)now->count_error);
        set_integer(L, "bytes_error", (lua_Integer)now->bytes_error);
    }
    if (d->now->view->sample_bytes || d->then->view->sample_bytes) {
        set_integer(L, "count_delta_error", (lua_Integer)r->count_delta_error);
        set_integer(L, "bytes_delta_error", (lua_Integer)r->bytes_delta_error);
    }
}

static void push_row(lua_State *L, const struct query_delta *d, u32 i)
{
    const struct query_delta_row *r = &d->rows[i];
    lua_createtable(L, 0, 5);
    if (r->now != QUERY_NO_ROW)
        script_push_key(L, d->now, r->now);
    else
        script_push_key(L, d->then, r->then);
    lua_setfield(L, -2, "key");
    set_integer(L, "count", (lua_Integer)r->count);
    set_integer(L, "bytes", (lua_Integer)r->bytes);
    set_integer(L, "count_delta", r->count_delta);
    set_integer(L, "bytes_delta", r->bytes_delta);
    set_errors(L, d, r);
}

static int push_rows(lua_State *L, const struct query_delta *d, lua_Integer limit)
{
    u32 n = d->row_count;
    if (limit < n)
        n = limit > 0 ? (u32)limit : 0;
    lua_createtable(L, (int)n, 0);
    for (u32 i = 0; i < n; i++) {
        push_row(L, d, i);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int delta_rows(lua_State *L)
{
    return push_rows(L, &script_check_delta(L, 1)->delta, UINT32_MAX);
}

static int delta_top(lua_State *L)
{
    struct bind_delta *d = script_check_delta(L, 1);
    return push_rows(L, &d->delta, luaL_optinteger(L, 2, 10));
}

static int delta_len(lua_State *L)
{
    lua_pushinteger(L, script_check_delta(L, 1)->delta.row_count);
    return 1;
}

/* d[i] the i-th row, d[key] the row of that key; nil when it does not differ. */
static int delta_index(lua_State *L)
{
    const struct query_delta *d = &script_check_delta(L, 1)->delta;
    if (lua_isinteger(L, 2)) {
        lua_Integer i = lua_tointeger(L, 2);
        if (i >= 1 && i <= d->row_count)
            push_row(L, d, (u32)(i - 1));
        else
            lua_pushnil(L);
        return 1;
    }
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (u32 i = 0; i < d->row_count; i++) {
        const struct query_delta_row *r = &d->rows[i];
        const struct query_partition *p = r->now != QUERY_NO_ROW ? d->now : d->then;
        u32 row = r->now != QUERY_NO_ROW ? r->now : r->then;
        if (query_group_is(p->view, &p->by, p->rows[row].group, key)) {
            push_row(L, d, i);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static int delta_info(lua_State *L)
{
    struct bind_delta *d = script_check_delta(L, 1);
    const char *word = query_key_word(d->delta.now->by.key);
    lua_pushstring(L, *word ? word : "key");
    lua_pushboolean(L, d->now->owner->view.sample_bytes || d->then->owner->view.sample_bytes);
    return 2;
}

static int delta_tostring(lua_State *L)
{
    struct bind_delta *d = luaL_checkudata(L, 1, "delta");
    if (d->now->owner->open && d->then->owner->open)
        lua_pushfstring(L, "delta: %I rows", (LUAI_UACINT)d->delta.row_count);
    else
        lua_pushliteral(L, "delta: snapshot closed");
    return 1;
}

void script_open_delta(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"rows", delta_rows}, {"top", delta_top}, {"info", delta_info}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__len", delta_len}, {"__tostring", delta_tostring}, {NULL, NULL}};
    script_noun(L, "delta", methods, metamethods, delta_index);
}
