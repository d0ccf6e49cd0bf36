/* SPDX-License-Identifier: MIT
 *
 * bind_reach.c - what roots reach: s:unreachable, s:roots, set:referrers, referents, closure.
 *
 * Context: pure.
 * Invariant: references count as they do for LeakSanitizer: interior pointers hold, dead stack
 * slots do not. An answer about leaks from a snapshot that missed a thread says so, once a
 * snapshot.
 */
#include <string.h>

#include "bind.h"

static void warn_incomplete(lua_State *L, struct bind_snapshot *b)
{
    if (b->references.warned || (b->snapshot.meta->flags & SNAPSHOT_FLAG_STOPPED))
        return;
    const char *notes = b->snapshot.strings + b->snapshot.meta->notes;
    b->references.warned = true;
    lua_pushfstring(L,
                    "note: not every thread was stopped, so blocks that only such a thread holds "
                    "look unreachable%s%s\n",
                    *notes ? ": " : "", notes);
    script_print(script_of(L), lua_tostring(L, -1), lua_rawlen(L, -1));
    lua_pop(L, 1);
}

/* [-0, +1] */
static struct bind_set *push_unreachable(lua_State *L, struct bind_snapshot *b, int at)
{
    const u64 *reached = script_reached(L, b, "unreachable");
    struct bind_set *out = script_push_all(L, b, at);
    for (u32 i = 0; i < out->set.words; i++)
        out->set.bits[i] &= ~reached[i];
    warn_incomplete(L, b);
    return out;
}

int script_snapshot_unreachable(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    struct bind_snapshot *older = lua_isnoneornil(L, 2) ? NULL : script_check_snapshot(L, 2);
    lua_settop(L, 2);
    if (older)
        script_check_process(L, b, older);
    struct bind_set *out = push_unreachable(L, b, 1);
    if (older) {
        struct bind_set *before = push_unreachable(L, older, 2);
        graph_confirm(&b->snapshot, out->set.bits, &older->snapshot, before->set.bits);
        lua_pop(L, 1);
    }
    return 1;
}

/* [-0, +1] {key=, roots=, references=, count=, bytes=, set=} */
static void push_roots_of(lua_State *L, struct bind_snapshot *b, u32 kind, u32 roots,
                          u32 references)
{
    struct err e = {0};
    struct graph_ask ask = {.include = GRAPH_ANY, .root_kinds = 1u << kind};
    lua_createtable(L, 0, 6);
    lua_pushstring(L, query_root_word((enum snapshot_root_kind)kind));
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, roots);
    lua_setfield(L, -2, "roots");
    lua_pushinteger(L, references);
    lua_setfield(L, -2, "references");
    struct bind_set *set = script_push_set(L, b, 1);
    if (!graph_reach(&b->references.graph, &ask, set->set.bits, &e))
        luaL_error(L, "roots: %s", e.text);
    struct query_sum sum = query_set_sum(&set->set);
    lua_setfield(L, -2, "set");
    lua_pushinteger(L, (lua_Integer)sum.count);
    lua_setfield(L, -2, "count");
    lua_pushinteger(L, (lua_Integer)sum.bytes);
    lua_setfield(L, -2, "bytes");
}

int script_snapshot_roots(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    const struct snapshot *s = &b->snapshot;
    u32 roots[SNAPSHOT_ROOT_LIMIT] = {0}, references[SNAPSHOT_ROOT_LIMIT] = {0};
    script_edges(L, b, "roots");
    for (u32 i = 0; i < s->root_count; i++)
        roots[s->roots[i].kind]++;
    for (u32 i = 0; i < s->root_edge_count; i++)
        references[s->roots[s->root_edges[i].root - 1].kind]++;
    lua_newtable(L);
    for (u32 kind = 1; kind < SNAPSHOT_ROOT_LIMIT; kind++)
        if (roots[kind]) {
            push_roots_of(L, b, kind, roots[kind], references[kind]);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
    return 1;
}

int script_set_referrers(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    const struct graph *g = script_graph(L, s->owner, "referrers");
    struct bind_set *out = script_push_set(L, s->owner, 1);
    graph_set_referrers(g, GRAPH_HOLDING, s->set.bits, out->set.bits);
    return 1;
}

int script_set_referents(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    const struct graph *g = script_edges(L, s->owner, "referents");
    struct bind_set *out = script_push_set(L, s->owner, 1);
    graph_set_referents(g, GRAPH_HOLDING, s->set.bits, out->set.bits);
    return 1;
}

int script_set_closure(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    struct graph *g = script_edges(L, s->owner, "closure");
    struct graph_ask ask = {.include = GRAPH_HOLDING};
    struct err e = {0};
    struct bind_set *out = script_push_set(L, s->owner, 1);
    if (!graph_closure(g, &ask, s->set.bits, out->set.bits, &e))
        luaL_error(L, "closure: %s", e.text);
    return 1;
}
