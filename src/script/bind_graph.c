/* SPDX-License-Identifier: MIT
 *
 * bind_graph.c - what is worked out about a snapshot's references: made at the first use, kept
 * until the snapshot is closed.
 *
 * Context: pure.
 * Invariant: whatever takes C memory is a field of the snapshot's handle before anything can throw,
 * so the handle's end frees it. Results that are only on their way into a handle (paths, clusters)
 * have one place each; the next one, or the end, frees what an error left there.
 * Why kept: a script asks about many blocks, and the passes cost the same for one as for all.
 */
#include <stdlib.h>

#include "bind.h"

struct graph *script_edges(lua_State *L, struct bind_snapshot *b, const char *what)
{
    struct bind_graph *r = &b->references;
    struct err e = {0};
    u64 limit = script_of(L)->limits.graph_bytes;
    if (r->opened)
        return &r->graph;
    if (!b->snapshot.edge_row)
        luaL_error(L, "%s: needs references, and this snapshot was taken without", what);
    if (!graph_open(&r->graph, &b->snapshot, limit ? limit : UINT64_MAX, &e))
        luaL_error(L, "%s: %s", what, e.text);
    r->opened = true;
    return &r->graph;
}

struct graph *script_graph(lua_State *L, struct bind_snapshot *b, const char *what)
{
    struct graph *g = script_edges(L, b, what);
    struct err e = {0};
    if (!graph_rows(g, &e))
        luaL_error(L, "%s: %s", what, e.text);
    return g;
}

const u64 *script_reached(lua_State *L, struct bind_snapshot *b, const char *what)
{
    struct graph *g = script_edges(L, b, what);
    struct bind_graph *r = &b->references;
    struct graph_ask ask = {.include = GRAPH_HOLDING};
    struct err e = {0};
    if (r->reached)
        return r->reached;
    u64 *reached = calloc((size_t)graph_set_words(&b->snapshot) + 1, sizeof *reached);
    if (!reached)
        luaL_error(L, "%s: out of memory for a set of blocks", what);
    if (!graph_reach(g, &ask, reached, &e)) {
        free(reached);
        luaL_error(L, "%s: %s", what, e.text);
    }
    r->reached = reached;
    return reached;
}

const struct graph_dominators *script_dominators(lua_State *L, struct bind_snapshot *b,
                                                 const char *what)
{
    struct graph *g = script_graph(L, b, what);
    struct bind_graph *r = &b->references;
    struct err e = {0};
    if (!r->dominated && !graph_dominators(g, GRAPH_HOLDING, &r->dominators, &e))
        luaL_error(L, "%s: %s", what, e.text);
    r->dominated = true;
    return &r->dominators;
}

const struct graph_tree *script_tree(lua_State *L, struct bind_snapshot *b, const char *what)
{
    struct graph *g = script_graph(L, b, what);
    struct bind_graph *r = &b->references;
    struct graph_ask ask = {.include = GRAPH_HOLDING};
    struct err e = {0};
    if (!r->treed && !graph_tree(g, &ask, &r->tree, &e))
        luaL_error(L, "%s: %s", what, e.text);
    r->treed = true;
    return &r->tree;
}

static void drop_paths(struct bind_graph *r)
{
    for (u32 i = 0; i < r->path_count; i++)
        graph_path_free(&r->graph, &r->paths[i]);
    free(r->paths);
    r->paths = NULL;
    r->path_count = r->path_room = 0;
}

struct graph_path *script_graph_paths(lua_State *L, struct bind_snapshot *b, u32 room)
{
    struct bind_graph *r = &b->references;
    drop_paths(r);
    if (!room)
        return NULL;
    r->paths = calloc(room, sizeof *r->paths);
    if (!r->paths)
        luaL_error(L, "out of memory for %d paths", (int)room);
    r->path_room = room;
    return r->paths;
}

void script_graph_drop(struct bind_snapshot *b)
{
    struct bind_graph *r = &b->references;
    if (!r->opened)
        return;
    drop_paths(r);
    free(r->reached);
    graph_clusters_free(&r->graph, &r->clusters);
    if (r->treed)
        graph_tree_free(&r->graph, &r->tree);
    if (r->dominated)
        graph_dominators_free(&r->graph, &r->dominators);
    graph_free(&r->graph);
    *r = (struct bind_graph){0};
}
