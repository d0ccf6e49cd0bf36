/* SPDX-License-Identifier: MIT
 *
 * bind_set.c - set: some blocks of one snapshot.
 *
 * Context: pure.
 * Invariant: the bitmap is part of the handle's own memory; a set never changes once a script has
 * it.
 */
#include <string.h>

#include "bind.h"

struct bind_set *script_check_set(lua_State *L, int arg)
{
    struct bind_set *s = luaL_checkudata(L, arg, "set");
    if (!s->owner->open)
        luaL_error(L, "snapshot closed");
    return s;
}

struct bind_set *script_push_set(lua_State *L, struct bind_snapshot *owner, int at)
{
    at = lua_absindex(L, at);
    size_t bytes = (size_t)query_set_words(&owner->view) * sizeof(u64);
    struct bind_set *s = lua_newuserdatauv(L, sizeof *s + bytes, 1);
    memset(s, 0, sizeof *s + bytes);
    s->owner = owner;
    query_set_init(&s->set, &owner->view, s->bits);
    script_push_owner(L, at);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "set");
    return s;
}

/* --- algebra ------------------------------------------------------------------------------- */

static struct bind_set *check_same(lua_State *L, const struct bind_set *a)
{
    struct bind_set *b = script_check_set(L, 2);
    if (a->owner != b->owner)
        luaL_error(L, "the sets are of different snapshots");
    return b;
}

static int combine(lua_State *L, enum query_operation op)
{
    struct bind_set *a = script_check_set(L, 1), *b = check_same(L, a);
    struct bind_set *out = script_push_set(L, a->owner, 1);
    query_set_combine(&out->set, op, &a->set, &b->set);
    return 1;
}

static int set_or(lua_State *L)
{
    return combine(L, QUERY_OR);
}

static int set_and(lua_State *L)
{
    return combine(L, QUERY_AND);
}

static int set_minus(lua_State *L)
{
    return combine(L, QUERY_MINUS);
}

static int set_xor(lua_State *L)
{
    return combine(L, QUERY_XOR);
}

static int set_not(lua_State *L)
{
    struct bind_set *a = script_check_set(L, 1);
    struct bind_set *out = script_push_all(L, a->owner, 1);
    query_set_combine(&out->set, QUERY_MINUS, &out->set, &a->set);
    return 1;
}

static int set_equal(lua_State *L)
{
    struct bind_set *a = script_check_set(L, 1), *b = script_check_set(L, 2);
    lua_pushboolean(L, a->owner == b->owner && query_set_equal(&a->set, &b->set));
    return 1;
}

static int set_within(lua_State *L)
{
    struct bind_set *a = script_check_set(L, 1), *b = check_same(L, a);
    lua_pushboolean(L, query_set_within(&a->set, &b->set));
    return 1;
}

static int set_strictly_within(lua_State *L)
{
    struct bind_set *a = script_check_set(L, 1), *b = check_same(L, a);
    lua_pushboolean(L, query_set_within(&a->set, &b->set) && !query_set_equal(&a->set, &b->set));
    return 1;
}

/* --- figures ------------------------------------------------------------------------------- */

static const struct query_sum *sum_of(struct bind_set *s)
{
    if (!s->summed)
        s->sum = query_set_sum(&s->set);
    s->summed = true;
    return &s->sum;
}

static int set_len(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    u64 count = s->owner->view.sample_bytes ? sum_of(s)->count : query_set_blocks(&s->set);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int set_index(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!strcmp(name, "bytes"))
        lua_pushinteger(L, (lua_Integer)sum_of(s)->bytes);
    else if (!strcmp(name, "estimated"))
        lua_pushboolean(L, s->owner->view.sample_bytes != 0);
    else if (!strcmp(name, "count_error"))
        script_push_error(L, &s->owner->view, sum_of(s)->count_error);
    else if (!strcmp(name, "bytes_error"))
        script_push_error(L, &s->owner->view, sum_of(s)->bytes_error);
    else
        lua_pushnil(L);
    return 1;
}

static int set_tostring(lua_State *L)
{
    struct bind_set *s = luaL_checkudata(L, 1, "set");
    if (!s->owner->open) {
        lua_pushliteral(L, "set: snapshot closed");
        return 1;
    }
    lua_pushliteral(L, "set: ");
    script_push_sum(L, &s->owner->view, sum_of(s));
    lua_concat(L, 2);
    return 1;
}

/* --- blocks -------------------------------------------------------------------------------- */

/* Upvalue 1 the set, upvalue 2 the last block's id. */
static int each_next(lua_State *L)
{
    struct bind_set *s = script_check_set(L, lua_upvalueindex(1));
    block_id id = {(u32)lua_tointeger(L, lua_upvalueindex(2))};
    id = query_set_next(&s->set, id);
    if (!id.v)
        return 0;
    lua_pushinteger(L, id.v);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushvalue(L, lua_upvalueindex(1));
    script_push_block(L, s->owner, lua_gettop(L), id);
    return 1;
}

static int set_each(lua_State *L)
{
    script_check_set(L, 1);
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, each_next, 2);
    return 1;
}

static int set_one(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    block_id id = query_set_next(&s->set, (block_id){0});
    if (id.v)
        script_push_block(L, s->owner, 1, id);
    else
        lua_pushnil(L);
    return 1;
}

/* [-0, +2] room for as many of the n blocks at argument 2 as there can be, and a list for them. */
static block_id *push_room(lua_State *L, const struct bind_set *s, u32 *n)
{
    lua_Integer wanted = luaL_checkinteger(L, 2);
    luaL_argcheck(L, wanted >= 0, 2, "must be 0 or more");
    u32 blocks = query_set_blocks(&s->set);
    *n = wanted < blocks ? (u32)wanted : blocks;
    block_id *room = lua_newuserdatauv(L, ((size_t)*n + 1) * sizeof *room, 0);
    lua_createtable(L, (int)*n, 0);
    return room;
}

static int list_blocks(lua_State *L, const struct bind_set *s, const block_id *ids, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        script_push_block(L, s->owner, 1, ids[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* set:largest(n[, "size" | "retained"]) */
static int set_largest(lua_State *L)
{
    static const char *const words[] = {"size", "retained", NULL};
    u32 n;
    struct bind_set *s = script_check_set(L, 1);
    bool retained = luaL_checkoption(L, 3, "size", words) == 1;
    const struct graph_dominators *d = retained ? script_dominators(L, s->owner, "retained") : NULL;
    block_id *room = push_room(L, s, &n);
    if (d)
        return list_blocks(L, s, room, query_pick_retaining(&s->set, d, room, n));
    return list_blocks(L, s, room, query_pick_largest(&s->set, room, n));
}

static int set_oldest(lua_State *L)
{
    u32 n;
    struct bind_set *s = script_check_set(L, 1);
    block_id *room = push_room(L, s, &n);
    return list_blocks(L, s, room, query_pick_oldest(&s->set, room, n));
}

static int set_sample(lua_State *L)
{
    u32 n;
    struct bind_set *s = script_check_set(L, 1);
    u64 seed = (u64)luaL_optinteger(L, 3, 1);
    block_id *room = push_room(L, s, &n);
    return list_blocks(L, s, room, query_pick_sample(&s->set, room, n, seed));
}

static int set_by(lua_State *L)
{
    script_check_set(L, 1);
    script_push_partition(L, 1, 2);
    return 1;
}

void script_open_set(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"by", set_by},
        {"where", script_set_where},
        {"each", set_each},
        {"sample", set_sample},
        {"largest", set_largest},
        {"oldest", set_oldest},
        {"one", set_one},
        {"referrers", script_set_referrers},
        {"paths", script_set_paths},
        {"referents", script_set_referents},
        {"dot", script_set_dot},
        {"closure", script_set_closure},
        {"clusters", script_set_clusters},
        {"retained", script_set_retained},
        {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {
        {"__bor", set_or},    {"__band", set_and},
        {"__sub", set_minus}, {"__bxor", set_xor},
        {"__bnot", set_not},  {"__eq", set_equal},
        {"__le", set_within}, {"__lt", set_strictly_within},
        {"__len", set_len},   {"__tostring", set_tostring},
        {NULL, NULL},
    };
    script_noun(L, "set", methods, metamethods, set_index);
}
