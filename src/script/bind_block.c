/* SPDX-License-Identifier: MIT
 *
 * bind_block.c - block: one allocation of a snapshot.
 *
 * Context: pure.
 * Invariant: the block's memory is never followed by pointer: bytes come through the host, which
 * cannot fault, and no more of them than the block has. Those of a snapshot with contents are of
 * its moment: where they are not to be had, those of now are not given instead.
 */
#include <string.h>

#include "bind.h"

enum { READ_MAX = 16 << 20, HEXDUMP_BYTES = 256, HEXDUMP_COLUMNS = 16 };

struct bind_block *script_check_block(lua_State *L, int arg)
{
    struct bind_block *b = luaL_checkudata(L, arg, "block");
    if (!b->owner->open)
        luaL_error(L, "snapshot closed");
    return b;
}

void script_push_block(lua_State *L, struct bind_snapshot *owner, int at, block_id id)
{
    at = lua_absindex(L, at);
    struct bind_block *b = lua_newuserdatauv(L, sizeof *b, 1);
    *b = (struct bind_block){owner, id};
    script_push_owner(L, at);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "block");
}

static u64 bytes_of(const struct bind_block *b)
{
    return snapshot_block_bytes(&b->owner->snapshot, b->id);
}

/* --- fields -------------------------------------------------------------------------------- */

static void field_addr(lua_State *L, struct bind_block *b)
{
    lua_pushinteger(L, (lua_Integer)snapshot_block_addr(&b->owner->snapshot, b->id));
}

static void field_size(lua_State *L, struct bind_block *b)
{
    lua_pushinteger(L, (lua_Integer)bytes_of(b));
}

/* How many blocks of the program it stands for. */
static void field_weight(lua_State *L, struct bind_block *b)
{
    lua_pushnumber(L, query_weight(&b->owner->view, bytes_of(b)));
}

static void field_type(lua_State *L, struct bind_block *b)
{
    const struct types *t = script_types(L, b->owner, 1);
    lua_pushstring(L, t->types.text[types_of_block(t, b->id).v]);
}

static void field_type_source(lua_State *L, struct bind_block *b)
{
    const struct types *t = script_types(L, b->owner, 1);
    lua_pushstring(L, types_source_word(types_source_of_block(t, b->id)));
}

static void field_type_evidence(lua_State *L, struct bind_block *b)
{
    script_push_evidence(L, b);
}

static void field_site(lua_State *L, struct bind_block *b)
{
    const struct types *t = &b->owner->types;
    lua_pushstring(L, t->sites.text[types_site_of_block(t, b->id).v]);
}

static void field_age(lua_State *L, struct bind_block *b)
{
    lua_pushnumber(L, (lua_Number)snapshot_block_age_ns(&b->owner->snapshot, b->id) / 1e9);
}

static void field_stack(lua_State *L, struct bind_block *b)
{
    stack_id stack = {b->owner->snapshot.block_stack[b->id.v - 1]};
    script_push_stack_places(L, &b->owner->view, stack);
}

/* The same text as the key of a partition by thread. */
static void field_thread(lua_State *L, struct bind_block *b)
{
    script_push_owner(L, 1);
    const struct query_grouping *g = script_grouping(L, b->owner, lua_gettop(L), QUERY_KEY_THREAD);
    lua_pushstring(L, g->texts[query_group_of(&b->owner->view, g, b->id)]);
}

static void field_tag(lua_State *L, struct bind_block *b)
{
    const struct snapshot *s = &b->owner->snapshot;
    u32 tag = s->block_tag ? s->block_tag[b->id.v - 1] : 0;
    if (tag)
        lua_pushstring(L, s->strings + s->tags[tag - 1]);
    else
        lua_pushnil(L);
}

static void field_reachable(lua_State *L, struct bind_block *b)
{
    lua_pushboolean(L, graph_set_has(script_reached(L, b->owner, "reachable"), b->id));
}

static int block_index(lua_State *L)
{
    static const struct {
        const char *name;
        void (*push)(lua_State *L, struct bind_block *b);
    } fields[] = {
        {"addr", field_addr},
        {"size", field_size},
        {"weight", field_weight},
        {"type", field_type},
        {"site", field_site},
        {"stack", field_stack},
        {"type_evidence", field_type_evidence},
        {"type_source", field_type_source},
        {"age", field_age},
        {"thread", field_thread},
        {"reachable", field_reachable},
        {"tag", field_tag},
    };
    struct bind_block *b = script_check_block(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!strcmp(fields[i].name, name)) {
            fields[i].push(L, b);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static int block_equal(lua_State *L)
{
    struct bind_block *a = script_check_block(L, 1), *b = script_check_block(L, 2);
    lua_pushboolean(L, a->owner == b->owner && a->id.v == b->id.v);
    return 1;
}

static int block_tostring(lua_State *L)
{
    struct bind_block *b = luaL_checkudata(L, 1, "block");
    char address[32], bytes[32], age[32];
    if (!b->owner->open) {
        lua_pushliteral(L, "block: snapshot closed");
        return 1;
    }
    u64 ms = snapshot_block_age_ns(&b->owner->snapshot, b->id) / 1000000;
    text_format(address, sizeof address, "0x%llx",
                (unsigned long long)snapshot_block_addr(&b->owner->snapshot, b->id));
    text_bytes(bytes, sizeof bytes, bytes_of(b));
    text_format(age, sizeof age, "%llu.%llu s", (unsigned long long)(ms / 1000),
                (unsigned long long)(ms / 100 % 10));
    field_type(L, b);
    field_site(L, b);
    lua_pushfstring(L, "%s  %s  %s  from %s  %s old", address, bytes, lua_tostring(L, -2),
                    lua_tostring(L, -1), age);
    return 1;
}

/* --- bytes --------------------------------------------------------------------------------- */

/* As they were when the snapshot was taken, or as they are now. */
static bool read_bytes(struct script *s, const struct bind_snapshot *owner, u64 address, char *out,
                       size_t bytes, struct err *e)
{
    if (owner->held)
        return s->host.read_held(s->host.context, owner->held, address, out, bytes, e);
    if (owner->contents)
        return err_set(e, STATUS_UNSUPPORTED, "its contents could not be kept (see s.notes)");
    return s->host.read(s->host.context, address, out, bytes) == bytes ||
           err_set(e, STATUS_NOT_FOUND, "its memory is not there any more");
}

/* What was kept is read whole or not at all, so what ends in the middle is read page by page. */
size_t script_read_memory(struct script *s, const struct bind_snapshot *b, u64 address, void *out,
                          size_t bytes)
{
    struct err e;
    size_t got = 0;
    if (!b->live || !s->host.read)
        return 0;
    if (!b->contents)
        return s->host.read(s->host.context, address, out, bytes);
    if (read_bytes(s, b, address, out, bytes, &e))
        return bytes;
    while (got < bytes) {
        size_t want = PAGE_BYTES - (address + got) % PAGE_BYTES;
        want = want < bytes - got ? want : bytes - got;
        if (!read_bytes(s, b, address + got, (char *)out + got, want, &e))
            break;
        got += want;
    }
    return got;
}

bool script_push_bytes(lua_State *L, struct bind_block *b, u64 offset, u64 bytes)
{
    struct script *s = script_of(L);
    struct err e = {STATUS_UNSUPPORTED, ""};
    u64 size = bytes_of(b);
    if (!b->owner->live || !s->host.read) {
        err_set(&e, STATUS_UNSUPPORTED, "not saved");
        return script_fail(L, &e) == 0;
    }
    if (offset > size)
        offset = size;
    if (bytes > size - offset)
        bytes = size - offset;
    luaL_Buffer out;
    char *room = luaL_buffinitsize(L, &out, (size_t)bytes);
    u64 address = snapshot_block_addr(&b->owner->snapshot, b->id) + offset;
    bool got = read_bytes(s, b->owner, address, room, (size_t)bytes, &e);
    luaL_pushresultsize(&out, got ? (size_t)bytes : 0);
    return got || script_fail(L, &e) == 0;
}

/* [-0, +1] string.FUNCTION of this run's master. */
static void push_string_function(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_MASTER);
    lua_getfield(L, -1, LUA_STRLIBNAME);
    lua_getfield(L, -1, name);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Bytes that a format needs from the offset on; a format of variable size gets all there is. */
static u64 format_bytes(lua_State *L, int format)
{
    push_string_function(L, "packsize");
    lua_pushvalue(L, format);
    u64 bytes = lua_pcall(L, 1, 1, 0) == LUA_OK ? (u64)lua_tointeger(L, -1) : READ_MAX;
    lua_pop(L, 1);
    return bytes;
}

/* b:read(format [, offset]): string.unpack on its bytes. */
static int block_read(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    luaL_checkstring(L, 2);
    lua_Integer offset = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, offset >= 0 && (u64)offset <= bytes_of(b), 3, "outside of the block");
    lua_settop(L, 2);
    if (!script_push_bytes(L, b, (u64)offset, format_bytes(L, 2)))
        return 2;
    push_string_function(L, "unpack");
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 2, LUA_MULTRET);
    lua_pop(L, 1); /* the position after what was read */
    return lua_gettop(L) - 3;
}

static void dump_line(luaL_Buffer *out, const u8 *bytes, size_t count, size_t offset)
{
    char text[16];
    luaL_addlstring(out, text, text_format(text, sizeof text, "%08x ", (unsigned)offset));
    for (size_t i = 0; i < HEXDUMP_COLUMNS; i++) {
        if (i < count)
            luaL_addlstring(out, text, text_format(text, sizeof text, " %02x", bytes[i]));
        else
            luaL_addstring(out, "   ");
    }
    luaL_addstring(out, "  |");
    for (size_t i = 0; i < count; i++)
        luaL_addchar(out, bytes[i] >= ' ' && bytes[i] < 127 ? (char)bytes[i] : '.');
    luaL_addstring(out, "|\n");
}

static int block_hexdump(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    lua_Integer wanted = luaL_optinteger(L, 2, HEXDUMP_BYTES);
    luaL_argcheck(L, wanted >= 0, 2, "must be 0 or more");
    lua_settop(L, 1);
    if (!script_push_bytes(L, b, 0, wanted < READ_MAX ? (u64)wanted : READ_MAX))
        return 2;
    size_t bytes;
    const u8 *data = (const u8 *)lua_tolstring(L, 2, &bytes);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (size_t at = 0; at < bytes; at += HEXDUMP_COLUMNS)
        dump_line(&out, data + at, bytes - at < HEXDUMP_COLUMNS ? bytes - at : HEXDUMP_COLUMNS, at);
    luaL_pushresult(&out);
    return 1;
}

static int block_alive(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    struct script *s = script_of(L);
    if (!b->owner->live || !s->host.alive)
        return script_offline(L);
    lua_pushboolean(L,
                    s->host.alive(s->host.context, snapshot_block_addr(&b->owner->snapshot, b->id),
                                  b->owner->snapshot.block_birth[b->id.v - 1]));
    return 1;
}

void script_open_block(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"read", block_read},
        {"field", script_block_field},
        {"hexdump", block_hexdump},
        {"alive", block_alive},
        {"why", script_block_why},
        {"referrers", script_block_referrers},
        {"referents", script_block_referents},
        {"retained", script_block_retained},
        {"dominator", script_block_dominator},
        {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {
        {"__eq", block_equal}, {"__tostring", block_tostring}, {NULL, NULL}};
    script_noun(L, "block", methods, metamethods, block_index);
}
