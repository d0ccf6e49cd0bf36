/* SPDX-License-Identifier: MIT
 *
 * bind_path.c - path: how a root comes to a block.
 *
 * Context: pure.
 * Invariant: a path's steps are part of its handle's own memory. As text, steps of one type by one
 * offset in a row are one step "xN", and a path of too many different ones is cut in the middle.
 */
#include <string.h>

#include "bind.h"

enum { TEXT_STEPS = 40, PRINT_STEPS = 200, PATHS_LIMIT = 10 };

struct bind_path *script_check_path(lua_State *L, int arg)
{
    struct bind_path *p = luaL_checkudata(L, arg, "path");
    if (!p->owner->open)
        luaL_error(L, "snapshot closed");
    return p;
}

/* [-0, +1] a handle for what was found; `at` is where the snapshot is. */
static void push_path(lua_State *L, struct bind_snapshot *owner, int at,
                      const struct graph_path *found)
{
    at = lua_absindex(L, at);
    size_t bytes = found->count * sizeof *found->steps;
    struct bind_path *p = lua_newuserdatauv(L, sizeof *p + bytes, 1);
    *p = (struct bind_path){.owner = owner, .path = *found};
    memcpy(p->steps, found->steps, bytes);
    p->path.steps = p->steps;
    for (u32 i = 0; i < found->count; i++)
        p->classes |= graph_path_ref(&owner->references.graph, &p->path, i).class;
    script_push_owner(L, at);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "path");
}

/* --- finding ------------------------------------------------------------------------------- */

int script_block_why(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    struct bind_snapshot *owner = b->owner;
    struct graph *g = script_graph(L, owner, "why");
    script_types(L, owner, 1);
    struct err e = {0};
    struct graph_path *found = script_graph_paths(L, owner, 1);
    if (!graph_why(g, b->id, found, &e))
        luaL_error(L, "why: %s", e.text);
    owner->references.path_count = found->count > 0;
    if (found->count)
        push_path(L, owner, 1, found);
    else
        lua_pushnil(L);
    script_graph_paths(L, owner, 0);
    return 1;
}

/* Paths to one block come from different places; to several, one to each. */
static void find_paths(lua_State *L, struct bind_set *s, u32 limit)
{
    struct bind_graph *r = &s->owner->references;
    struct err e = {0};
    block_id b = query_set_next(&s->set, (block_id){0});
    bool ok = true;
    if (query_set_blocks(&s->set) == 1) {
        u32 found = 0;
        ok = graph_paths(&r->graph, GRAPH_HOLDING, b, r->paths, limit, &found, &e);
        r->path_count = ok ? found : 0;
    } else
        for (; ok && b.v && r->path_count < limit; b = query_set_next(&s->set, b)) {
            struct graph_path *p = &r->paths[r->path_count];
            ok = graph_tree_path(&r->graph, &r->tree, b, p, &e);
            r->path_count += ok && p->count > 0;
        }
    if (!ok)
        luaL_error(L, "paths: %s", e.text);
}

int script_set_paths(lua_State *L)
{
    static const char *const options[] = {"limit", NULL};
    struct bind_set *s = script_check_set(L, 1);
    double limit = PATHS_LIMIT;
    script_check_options(L, 2, options);
    script_option_number(L, 2, "limit", &limit);
    script_tree(L, s->owner, "paths");
    script_types(L, s->owner, 1);
    u64 most = s->owner->snapshot.root_edge_count, blocks = query_set_blocks(&s->set);
    most = most > blocks ? most : blocks;
    script_graph_paths(L, s->owner, limit < (double)most ? (u32)limit : (u32)most);
    struct bind_graph *r = &s->owner->references;
    find_paths(L, s, r->path_room);
    lua_createtable(L, (int)r->path_count, 0);
    for (u32 i = 0; i < r->path_count; i++) {
        push_path(L, s->owner, 1, &r->paths[i]);
        lua_rawseti(L, -2, i + 1);
    }
    script_graph_paths(L, s->owner, 0);
    return 1;
}

/* --- as text ------------------------------------------------------------------------------- */

static const char *type_of(const struct bind_path *p, u32 step)
{
    const struct types *t = &p->owner->types;
    return t->types.text[types_of_block(t, p->path.steps[step]).v];
}

/* The offset by which a step leads to the next; the last leads nowhere. */
static u64 offset_of(const struct bind_path *p, u32 step)
{
    if (step + 1 == p->path.count)
        return UINT64_MAX;
    return graph_path_ref(&p->owner->references.graph, &p->path, step + 1).offset;
}

/* How many steps from `step` on look like it. */
static u32 run_of(const struct bind_path *p, u32 step)
{
    u64 offset = offset_of(p, step);
    u32 type = types_of_block(&p->owner->types, p->path.steps[step]).v, n = 1;
    while (step + n < p->path.count &&
           types_of_block(&p->owner->types, p->path.steps[step + n]).v == type &&
           offset_of(p, step + n) == offset)
        n++;
    return n;
}

static void add_step(luaL_Buffer *out, const struct bind_path *p, u32 step, u32 run)
{
    char text[SCRIPT_FIELD_BYTES], type[SCRIPT_FIELD_BYTES];
    u64 offset = offset_of(p, step);
    if (offset == UINT64_MAX) {
        luaL_addstring(out, type_of(p, step));
    } else {
        script_field_text(p->owner, p->path.steps[step], offset, text, sizeof text);
        if (*text == '[')
            script_element_text(type_of(p, step), type, sizeof type);
        luaL_addstring(out, *text == '[' ? type : type_of(p, step));
        luaL_addstring(out, text);
    }
    if (run > 1) {
        text_format(text, sizeof text, " x%u", run);
        luaL_addstring(out, text);
    }
}

static void add_root(luaL_Buffer *out, const struct bind_path *p)
{
    char text[SCRIPT_ROOT_BYTES];
    script_root_text(p->owner, p->path.root_edge, false, text, sizeof text);
    luaL_addstring(out, text);
}

/* " (only by a dead stack slot)": what makes it weak. */
static void add_weakness(luaL_Buffer *out, const struct bind_path *p)
{
    const char *before = " (only by: ";
    for (u32 bit = GRAPH_WEAK_ROOT; bit; bit >>= 1)
        if (p->classes & bit) {
            luaL_addstring(out, before);
            luaL_addstring(out, graph_class_word(bit));
            before = ", ";
        }
    if (p->classes)
        luaL_addchar(out, ')');
}

static void add_where(luaL_Buffer *out, const struct bind_path *p, u32 step)
{
    char text[64], bytes[32];
    const struct snapshot *s = &p->owner->snapshot;
    const struct types *t = &p->owner->types;
    block_id b = p->path.steps[step];
    text_bytes(bytes, sizeof bytes, snapshot_block_bytes(s, b));
    text_format(text, sizeof text, "  0x%llx  %s  from ",
                (unsigned long long)snapshot_block_addr(s, b), bytes);
    luaL_addstring(out, text);
    luaL_addstring(out, t->sites.text[types_site_of_block(t, b).v]);
}

/* [-0, +1] the whole path; `lines`: one step a line, with addresses. */
static void push_text(lua_State *L, const struct bind_path *p, bool lines)
{
    luaL_Buffer out;
    u32 most = lines ? PRINT_STEPS : TEXT_STEPS, shown = 0, last = p->path.count - 1;
    luaL_buffinit(L, &out);
    add_root(&out, p);
    for (u32 i = 0, run; i < p->path.count; i += run) {
        run = run_of(p, i);
        luaL_addstring(&out, lines ? "\n  \u2192 " : " \u2192 ");
        if (++shown == most && i + run <= last) {
            luaL_addstring(&out, "...");
            run = last - i;
            continue;
        }
        add_step(&out, p, i, run);
        if (lines)
            add_where(&out, p, i);
    }
    if (lines && p->classes)
        luaL_addstring(&out, "\n ");
    add_weakness(&out, p);
    if (lines)
        luaL_addchar(&out, '\n');
    luaL_pushresult(&out);
}

static int path_tostring(lua_State *L)
{
    struct bind_path *p = luaL_checkudata(L, 1, "path");
    if (p->owner->open)
        push_text(L, p, false);
    else
        lua_pushliteral(L, "path: snapshot closed");
    return 1;
}

static int path_print(lua_State *L)
{
    push_text(L, script_check_path(L, 1), true);
    script_print(script_of(L), lua_tostring(L, -1), lua_rawlen(L, -1));
    return 0;
}

/* p[i] is the i-th block, p.root what holds the first, p.weak what makes it weak. */
static int path_index(lua_State *L)
{
    struct bind_path *p = script_check_path(L, 1);
    if (lua_isinteger(L, 2)) {
        lua_Integer i = lua_tointeger(L, 2);
        if (i >= 1 && i <= p->path.count)
            script_push_block(L, p->owner, 1, p->steps[i - 1]);
        else
            lua_pushnil(L);
        return 1;
    }
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    luaL_Buffer out;
    u32 strongest_needed = 0;
    for (u32 bit = 1; bit <= GRAPH_WEAK_ROOT; bit <<= 1)
        strongest_needed = p->classes & bit ? bit : strongest_needed;
    if (!strcmp(name, "root")) {
        luaL_buffinit(L, &out);
        add_root(&out, p);
        luaL_pushresult(&out);
    } else if (!strcmp(name, "weak") && strongest_needed) {
        lua_pushstring(L, graph_class_word(strongest_needed));
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int path_len(lua_State *L)
{
    lua_pushinteger(L, script_check_path(L, 1)->path.count);
    return 1;
}

void script_open_path(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"print", path_print}, {"dot", script_path_dot}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__tostring", path_tostring}, {"__len", path_len}, {NULL, NULL}};
    script_noun(L, "path", methods, metamethods, path_index);
}
