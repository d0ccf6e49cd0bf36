/* SPDX-License-Identifier: MIT
 *
 * bind_unknown.c - s:unknown(): which sites to tell the type of first (heap.istype).
 *
 * Context: pure.
 * Invariant: "unlocks" of a site is the bytes of all blocks without a type that its blocks lead to
 * over blocks without a type, its own among them: as far as a type for them could carry.
 * Why only some: each is a walk of its own, and the sites with the most bytes are the ones to begin
 * with; the idea is that of mdb's ::typeunknown.
 */
#include <stdlib.h>
#include <string.h>

#include "bind.h"

enum { SITES_MOST = 200, SITES_LIMIT = 20 };

struct unknown {
    u32 site, count;
    u64 bytes, unlocks;
};

static int by_bytes(const void *left, const void *right)
{
    const struct unknown *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->site < b->site ? -1 : 1;
}

static int by_unlocks(const void *left, const void *right)
{
    const struct unknown *a = left, *b = right;
    return a->unlocks != b->unlocks ? a->unlocks > b->unlocks ? -1 : 1 : by_bytes(left, right);
}

static bool is_unknown(const struct types *t, block_id b)
{
    return types_source_of_block(t, b) <= TYPES_SOURCE_SITE;
}

/* [-0, +1] the set of blocks of a site that have no type. */
static struct bind_set *push_set(lua_State *L, struct bind_snapshot *b, u32 site)
{
    struct bind_set *set = script_push_set(L, b, 1);
    for (block_id id = {1}; id.v <= b->snapshot.block_count; id.v++)
        if (is_unknown(&b->types, id) && types_site_of_block(&b->types, id).v == site)
            query_set_add(&set->set, id);
    return set;
}

static u64 unlocked_bytes(lua_State *L, struct bind_snapshot *b, struct graph *g,
                          const struct bind_set *from, const struct bind_set *typed)
{
    struct graph_ask ask = {.include = GRAPH_HOLDING, .without = typed->set.bits};
    struct err e = {0};
    struct bind_set *closure = script_push_set(L, b, 1);
    if (!graph_closure(g, &ask, from->set.bits, closure->set.bits, &e))
        luaL_error(L, "unknown: %s", e.text);
    u64 bytes = query_set_sum(&closure->set).bytes;
    lua_pop(L, 1);
    return bytes;
}

/* [-0, +1] {key=, count=, bytes=, unlocks=, set=} */
static void push_row(lua_State *L, const struct bind_snapshot *b, const struct unknown *row,
                     int set_at)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, b->types.sites.text[row->site]);
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, row->count);
    lua_setfield(L, -2, "count");
    lua_pushinteger(L, (lua_Integer)row->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, (lua_Integer)row->unlocks);
    lua_setfield(L, -2, "unlocks");
    lua_pushvalue(L, set_at);
    lua_setfield(L, -2, "set");
}

/* s:unknown{limit=20} */
int script_snapshot_unknown(lua_State *L)
{
    static const char *const options[] = {"limit", NULL};
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    double limit = SITES_LIMIT;
    struct script_pieces scratch;
    script_check_options(L, 2, options);
    script_option_number(L, 2, "limit", &limit);
    lua_settop(L, 1);
    const struct types *t = script_types(L, b, 1);
    struct graph *g = b->snapshot.edge_row ? script_graph(L, b, "unknown") : NULL;

    script_push_pieces(L, &scratch);
    struct unknown *rows = types_take(&scratch.memory, t->sites.count, sizeof *rows);
    struct bind_set *typed = script_push_set(L, b, 1);
    for (block_id id = {1}; id.v <= b->snapshot.block_count; id.v++) {
        if (!is_unknown(t, id)) {
            query_set_add(&typed->set, id);
            continue;
        }
        struct unknown *row = &rows[types_site_of_block(t, id).v];
        row->count++;
        row->bytes += snapshot_block_bytes(&b->snapshot, id);
    }
    u32 count = 0;
    for (u32 site = 0; site < t->sites.count; site++) {
        struct unknown row = rows[site];
        row.site = site;
        if (row.count)
            rows[count++] = row;
    }
    qsort(rows, count, sizeof *rows, by_bytes);
    u32 most = limit < SITES_MOST ? (u32)limit : SITES_MOST;
    count = count < most ? count : most;
    for (u32 i = 0; i < count; i++) {
        struct bind_set *set = push_set(L, b, rows[i].site);
        rows[i].unlocks = g ? unlocked_bytes(L, b, g, set, typed) : rows[i].bytes;
        lua_pop(L, 1);
    }
    qsort(rows, count, sizeof *rows, by_unlocks);
    lua_createtable(L, (int)count, 0);
    for (u32 i = 0; i < count; i++) {
        push_set(L, b, rows[i].site);
        push_row(L, b, &rows[i], lua_gettop(L));
        lua_rawseti(L, -3, i + 1);
        lua_pop(L, 1);
    }
    return 1;
}
