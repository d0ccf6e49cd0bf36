/* SPDX-License-Identifier: MIT
 *
 * bind_partition.c - partition: a set in rows by a key; row: one of them.
 *
 * Context: pure.
 * Invariant: a partition's rows are in one order, most bytes first; p[i] is the i-th of them and
 * p[key] the one of that key. Its way to print itself is in lua/heap.lua.
 */
#include <string.h>

#include "bind.h"

enum { PARTITION_SNAPSHOT = 1, PARTITION_SET, PARTITION_MEMORY, PARTITION_VALUES = 3 };
enum { ROW_SNAPSHOT = 1, ROW_PARTITION, ROW_VALUES = 2 };

struct bind_partition *script_check_partition(lua_State *L, int arg)
{
    struct bind_partition *p = luaL_checkudata(L, arg, "partition");
    if (!p->owner->open)
        luaL_error(L, "snapshot closed");
    return p;
}

struct bind_row *script_check_row(lua_State *L, int arg)
{
    struct bind_row *r = luaL_checkudata(L, arg, "row");
    if (!r->of->owner->open)
        luaL_error(L, "snapshot closed");
    return r;
}

/* --- making one ---------------------------------------------------------------------------- */

/* [-0, +1] the name of the group that the function at `function_at` puts a block into. */
static void push_label(lua_State *L, struct bind_snapshot *owner, int set_at, int function_at,
                       block_id id)
{
    lua_pushvalue(L, function_at);
    script_push_block(L, owner, set_at, id);
    lua_call(L, 1, 1);
    if (!owner->open)
        luaL_error(L, "snapshot closed");
    luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
}

/* Asks a function for the group of every block. `pieces` must outlive the partition: it keeps the
 * labels too. */
static void group_by_function(lua_State *L, struct bind_set *s, int set_at, int function_at,
                              struct script_pieces *pieces, struct query_grouping *g)
{
    u32 *map = types_take(&pieces->memory, s->owner->snapshot.block_count, sizeof *map);
    lua_newtable(L); /* label -> number from 1, and back */
    int labels = lua_gettop(L);
    lua_newtable(L);
    int names = lua_gettop(L);
    u32 count = 0;
    for (block_id id = query_set_next(&s->set, (block_id){0}); id.v;
         id = query_set_next(&s->set, id)) {
        push_label(L, s->owner, set_at, function_at, id);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, labels) == LUA_TNIL) {
            lua_pushvalue(L, -2);
            lua_rawseti(L, names, ++count);
            lua_pushvalue(L, -2);
            lua_pushinteger(L, count);
            lua_rawset(L, labels);
            map[id.v - 1] = count - 1;
        } else {
            map[id.v - 1] = (u32)lua_tointeger(L, -1) - 1;
        }
        lua_pop(L, 2);
    }
    const char **texts = types_take(&pieces->memory, (u64)count + 1, sizeof *texts);
    texts[0] = "";
    for (u32 i = 0; i < count; i++) {
        lua_rawgeti(L, names, i + 1);
        texts[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    lua_rawseti(L, pieces->table, (lua_Integer)lua_rawlen(L, pieces->table) + 1);
    lua_pop(L, 1);
    memset(g, 0, sizeof *g);
    g->key = QUERY_KEY_CALLBACK;
    g->group_count = count ? count : 1;
    g->map = map;
    g->texts = texts;
}

static const struct query_grouping *named_grouping(lua_State *L, struct bind_snapshot *owner,
                                                   int set_at, int key_at)
{
    const char *word = luaL_checkstring(L, key_at);
    enum query_key key = query_key_of(word);
    if (key == QUERY_KEY_COUNT)
        luaL_error(L,
                   "there is no key '%s'; use type, type_source, site, stack, function, file, module, "
                   "size, thread, age, tag, referrers, via or a function",
                   word);
    script_push_owner(L, set_at);
    const struct query_grouping *g = script_grouping(L, owner, lua_gettop(L), key);
    lua_pop(L, 1);
    return g;
}

static void group_by_referrers(lua_State *L, struct bind_set *s, int set_at, enum query_key key,
                               struct script_pieces *keep, struct query_grouping *by)
{
    struct script_pieces scratch;
    const struct graph *g = script_graph(L, s->owner, query_key_word(key));
    script_types(L, s->owner, set_at);
    script_push_pieces(L, &scratch);
    query_group_by_referrers(by, &s->set, g, key, &keep->memory, &scratch.memory);
    lua_pop(L, 1);
}

void script_push_grouped(lua_State *L, int set_at, const struct query_grouping *by)
{
    struct script_pieces keep, scratch;
    int memory = lua_gettop(L);
    set_at = lua_absindex(L, set_at);
    struct bind_set *s = script_check_set(L, set_at);
    script_pieces_init(&keep, L, memory);
    struct bind_partition *p = lua_newuserdatauv(L, sizeof *p, PARTITION_VALUES);
    memset(p, 0, sizeof *p);
    int at = lua_gettop(L);
    p->owner = s->owner;
    script_push_owner(L, set_at);
    lua_setiuservalue(L, at, PARTITION_SNAPSHOT);
    lua_pushvalue(L, set_at);
    lua_setiuservalue(L, at, PARTITION_SET);
    lua_pushvalue(L, memory);
    lua_setiuservalue(L, at, PARTITION_MEMORY);
    script_push_pieces(L, &scratch);
    query_partition_build(&p->partition, &s->set, by, &keep.memory, &scratch.memory);
    lua_settop(L, at);
    luaL_setmetatable(L, "partition");
}

void script_push_partition(lua_State *L, int set_at, int key_at)
{
    struct script_pieces keep;
    struct query_grouping by;
    set_at = lua_absindex(L, set_at);
    key_at = lua_absindex(L, key_at);
    struct bind_set *s = script_check_set(L, set_at);
    script_push_pieces(L, &keep);
    enum query_key key = lua_type(L, key_at) == LUA_TSTRING ? query_key_of(lua_tostring(L, key_at))
                                                            : QUERY_KEY_COUNT;
    if (lua_isfunction(L, key_at))
        group_by_function(L, s, set_at, key_at, &keep, &by);
    else if (key == QUERY_KEY_REFERRERS || key == QUERY_KEY_VIA)
        group_by_referrers(L, s, set_at, key, &keep, &by);
    else
        by = *named_grouping(L, s->owner, set_at, key_at);
    script_push_grouped(L, set_at, &by);
    lua_replace(L, keep.table);
}

static int partition_minus(lua_State *L)
{
    script_push_delta(L, 1, 2);
    return 1;
}

/* --- rows ---------------------------------------------------------------------------------- */

static void push_row(lua_State *L, struct bind_partition *p, int at, u32 index)
{
    struct bind_row *r = lua_newuserdatauv(L, sizeof *r, ROW_VALUES);
    *r = (struct bind_row){p, index};
    script_push_owner(L, at);
    lua_setiuservalue(L, -2, ROW_SNAPSHOT);
    lua_pushvalue(L, at);
    lua_setiuservalue(L, -2, ROW_PARTITION);
    luaL_setmetatable(L, "row");
}

static int push_rows(lua_State *L, struct bind_partition *p, lua_Integer limit)
{
    u32 n = p->partition.row_count;
    if (limit < n)
        n = limit > 0 ? (u32)limit : 0;
    lua_createtable(L, (int)n, 0);
    for (u32 i = 0; i < n; i++) {
        push_row(L, p, 1, i);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int partition_rows(lua_State *L)
{
    return push_rows(L, script_check_partition(L, 1), UINT32_MAX);
}

static int partition_top(lua_State *L)
{
    struct bind_partition *p = script_check_partition(L, 1);
    return push_rows(L, p, luaL_optinteger(L, 2, 10));
}

static int partition_len(lua_State *L)
{
    lua_pushinteger(L, script_check_partition(L, 1)->partition.row_count);
    return 1;
}

/* p:row(key), also for keys that are called like a method. */
static int partition_row(lua_State *L)
{
    struct bind_partition *p = script_check_partition(L, 1);
    u32 row = query_partition_find(&p->partition, luaL_checkstring(L, 2));
    if (row < p->partition.row_count)
        push_row(L, p, 1, row);
    else
        lua_pushnil(L);
    return 1;
}

/* Fields that are not methods: rows by number or key. */
static int partition_index(lua_State *L)
{
    struct bind_partition *p = script_check_partition(L, 1);
    if (lua_isinteger(L, 2)) {
        lua_Integer i = lua_tointeger(L, 2);
        if (i >= 1 && i <= p->partition.row_count)
            push_row(L, p, 1, (u32)(i - 1));
        else
            lua_pushnil(L);
        return 1;
    }
    return partition_row(L);
}

/* p.info: what it is by, and whether its figures are estimates; for those who print it. */
static int partition_info(lua_State *L)
{
    struct bind_partition *p = script_check_partition(L, 1);
    const char *word = query_key_word(p->partition.by.key);
    lua_pushstring(L, *word ? word : "key");
    lua_pushboolean(L, p->owner->view.sample_bytes != 0);
    return 2;
}

/* A plain copy that outlives the snapshot: a list of rows that is also a map by key. */
static int partition_table(lua_State *L)
{
    struct bind_partition *p = script_check_partition(L, 1);
    u32 n = p->partition.row_count;
    lua_createtable(L, (int)n, (int)n);
    for (u32 i = 0; i < n; i++) {
        script_push_key(L, &p->partition, i);
        lua_createtable(L, 0, 3);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, "key");
        lua_pushinteger(L, (lua_Integer)p->partition.rows[i].count);
        lua_setfield(L, -2, "count");
        lua_pushinteger(L, (lua_Integer)p->partition.rows[i].bytes);
        lua_setfield(L, -2, "bytes");
        script_push_error(L, p->partition.view, p->partition.rows[i].count_error);
        lua_setfield(L, -2, "count_error");
        script_push_error(L, p->partition.view, p->partition.rows[i].bytes_error);
        lua_setfield(L, -2, "bytes_error");
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, i + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

static int partition_tostring(lua_State *L)
{
    struct bind_partition *p = luaL_checkudata(L, 1, "partition");
    if (!p->owner->open) {
        lua_pushliteral(L, "partition: snapshot closed");
        return 1;
    }
    const char *word = query_key_word(p->partition.by.key);
    lua_pushfstring(L, "partition by %s: %I rows", *word ? word : "a function",
                    (LUAI_UACINT)p->partition.row_count);
    return 1;
}

/* --- one row ------------------------------------------------------------------------------- */

/* [-0, +1] the set of a row's blocks. */
static void push_row_set(lua_State *L, struct bind_row *r, int at)
{
    struct bind_partition *p = r->of;
    if (!p->partition.members) {
        struct script_pieces keep, scratch;
        lua_getiuservalue(L, at, ROW_PARTITION);
        lua_getiuservalue(L, -1, PARTITION_MEMORY);
        script_pieces_init(&keep, L, -1);
        script_push_pieces(L, &scratch);
        query_partition_members(&p->partition, &keep.memory, &scratch.memory);
        lua_pop(L, 3);
    }
    const struct query_row *row = &p->partition.rows[r->index];
    struct bind_set *s = script_push_set(L, p->owner, at);
    for (u32 i = 0; i < row->blocks; i++)
        query_set_add(&s->set, (block_id){p->partition.members[row->first + i]});
}

static bool push_row_field(lua_State *L, struct bind_row *r, int at, const char *name)
{
    const struct query_row *row = &r->of->partition.rows[r->index];
    if (!strcmp(name, "key"))
        script_push_key(L, &r->of->partition, r->index);
    else if (!strcmp(name, "count"))
        lua_pushinteger(L, (lua_Integer)row->count);
    else if (!strcmp(name, "bytes"))
        lua_pushinteger(L, (lua_Integer)row->bytes);
    else if (!strcmp(name, "count_error"))
        script_push_error(L, &r->of->owner->view, row->count_error);
    else if (!strcmp(name, "bytes_error"))
        script_push_error(L, &r->of->owner->view, row->bytes_error);
    else if (!strcmp(name, "estimated"))
        lua_pushboolean(L, r->of->owner->view.sample_bytes != 0);
    else if (!strcmp(name, "set"))
        push_row_set(L, r, at);
    else
        return false;
    return true;
}

static int row_index(lua_State *L)
{
    struct bind_row *r = script_check_row(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!push_row_field(L, r, 1, name))
        lua_pushnil(L);
    return 1;
}

/* pairs(row): key, count, bytes, and of estimates their errors. */
static int row_next(lua_State *L)
{
    static const char *const fields[] = {"key", "count", "bytes", "count_error", "bytes_error"};
    struct bind_row *r = script_check_row(L, 1);
    size_t i = 0, n = r->of->owner->view.sample_bytes ? COUNT_OF(fields) : 3;
    if (lua_type(L, 2) == LUA_TSTRING)
        while (i < n && strcmp(fields[i++], lua_tostring(L, 2)) != 0)
            continue;
    if (i >= n)
        return 0;
    lua_pushstring(L, fields[i]);
    push_row_field(L, r, 1, fields[i]);
    return 2;
}

static int row_pairs(lua_State *L)
{
    script_check_row(L, 1);
    lua_pushcfunction(L, row_next);
    lua_pushvalue(L, 1);
    return 2;
}

static int row_tostring(lua_State *L)
{
    struct bind_row *r = luaL_checkudata(L, 1, "row");
    if (!r->of->owner->open) {
        lua_pushliteral(L, "row: snapshot closed");
        return 1;
    }
    const struct query_row *row = &r->of->partition.rows[r->index];
    struct query_sum sum = {row->count, row->bytes, row->count_error, row->bytes_error};
    script_push_key(L, &r->of->partition, r->index);
    lua_pushliteral(L, ": ");
    script_push_sum(L, &r->of->owner->view, &sum);
    lua_concat(L, 3);
    return 1;
}

void script_open_partition(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"rows", partition_rows},   {"top", partition_top},   {"row", partition_row},
        {"table", partition_table}, {"info", partition_info}, {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {
        {"__len", partition_len},
        {"__sub", partition_minus},
        {"__tostring", partition_tostring},
        {NULL, NULL},
    };
    script_noun(L, "partition", methods, metamethods, partition_index);
}

void script_open_row(lua_State *L)
{
    static const luaL_Reg methods[] = {{NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__pairs", row_pairs}, {"__tostring", row_tostring}, {NULL, NULL}};
    script_noun(L, "row", methods, metamethods, row_index);
}
