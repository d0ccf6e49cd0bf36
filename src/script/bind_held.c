/* SPDX-License-Identifier: MIT
 *
 * bind_held.c - the references of one block, and what goes with a block or a set.
 *
 * Context: pure.
 * Invariant: lists of references are plain tables of all of them, weak ones too, each of which says
 * what makes it weak; what is retained counts what holds (bind_reach.c).
 */
#include "bind.h"

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, u64 n)
{
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

/* [-0, +1] {block= or root=, offset=, field=, target_offset=, weak=} */
static void push_ref(lua_State *L, struct bind_snapshot *owner, const struct graph_ref *ref,
                     block_id other)
{
    char text[SCRIPT_ROOT_BYTES];
    const struct snapshot *s = &owner->snapshot;
    u64 offset = ref->offset;
    lua_createtable(L, 0, 5);
    if (!ref->root_edge && offset == GRAPH_PART) {
        script_push_block(L, owner, 1, other);
        lua_setfield(L, -2, "block");
        set_text(L, "field", "part of it");
        return;
    }
    if (ref->root_edge) {
        const struct snapshot_root *root = &s->roots[s->root_edges[ref->root_edge - 1].root - 1];
        script_root_text(owner, ref->root_edge, false, text, sizeof text);
        set_text(L, "root", text);
        set_text(L, "kind", query_root_word((enum snapshot_root_kind)root->kind));
        offset -= root->lo;
    } else {
        script_push_block(L, owner, 1, other);
        lua_setfield(L, -2, "block");
    }
    if (ref->root_edge)
        text_format(text, sizeof text, "+0x%llx", (unsigned long long)offset);
    else
        script_field_text(owner, ref->source, offset, text, sizeof text);
    set_integer(L, "offset", offset);
    set_text(L, "field", *text == '.' ? text + 1 : text);
    set_integer(L, "target_offset", ref->into);
    if (ref->class)
        set_text(L, "weak", graph_class_word(ref->class));
}

/* [-0, +1] the list of what a walk finds. */
static int push_refs(lua_State *L, struct bind_block *b, struct graph_walk w)
{
    struct graph_ref ref;
    script_types(L, b->owner, 1);
    lua_newtable(L);
    for (lua_Integer i = 1; graph_next(&w, &ref); i++) {
        push_ref(L, b->owner, &ref, w.back ? ref.source : ref.target);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

int script_block_referrers(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    const struct graph *g = script_graph(L, b->owner, "referrers");
    return push_refs(L, b, graph_referrers(g, GRAPH_ANY, b->id));
}

int script_block_referents(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    const struct graph *g = script_edges(L, b->owner, "referents");
    return push_refs(L, b, graph_referents(g, GRAPH_ANY, b->id));
}

static void retain(lua_State *L, struct graph *g, const u64 *set, u64 *out)
{
    struct err e = {0};
    if (!graph_retained_set(g, GRAPH_HOLDING, set, out, &e))
        luaL_error(L, "retained: %s", e.text);
}

int script_set_retained(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    struct graph *g = script_graph(L, s->owner, "retained");
    struct bind_set *out = script_push_set(L, s->owner, 1);
    retain(L, g, s->set.bits, out->set.bits);
    return 1;
}

/* Of a block that no root reaches: all that hangs on it. */
int script_block_retained(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    struct graph *g = script_graph(L, b->owner, "retained");
    struct bind_set *out = script_push_set(L, b->owner, 1);
    if (graph_set_has(script_reached(L, b->owner, "retained"), b->id)) {
        graph_retained_block(g, script_dominators(L, b->owner, "retained"), b->id, out->set.bits);
        return 1;
    }
    struct bind_set *alone = script_push_set(L, b->owner, 1);
    query_set_add(&alone->set, b->id);
    retain(L, g, alone->set.bits, out->set.bits);
    lua_pop(L, 1);
    return 1;
}

int script_block_dominator(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    block_id id = graph_dominator(script_dominators(L, b->owner, "dominator"), b->id);
    if (id.v)
        script_push_block(L, b->owner, 1, id);
    else
        lua_pushnil(L);
    return 1;
}
