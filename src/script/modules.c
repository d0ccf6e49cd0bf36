/* SPDX-License-Identifier: MIT
 *
 * modules.c - what lua/modules.lua needs from below to find and load modules.
 *
 * Context: pure.
 * Invariant: a module comes through the same guard as a script, or is built in.
 */
#include <string.h>

#include "state.h"

enum { PATH_BYTES = 4096 };

void script_folder(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        text_format(out, size, ".");
    else if (slash == path)
        text_format(out, size, "/");
    else
        text_format(out, size, "%.*s", (int)(slash - path), path);
}

/* stamp(path): a text that changes with the file, or nil when there is none. */
static int module_stamp(lua_State *L)
{
    char stamp[SCRIPT_STAMP_BYTES];
    script_guard_stamp(luaL_checkstring(L, 1), stamp);
    if (*stamp)
        lua_pushstring(L, stamp);
    else
        lua_pushnil(L);
    return 1;
}

/* load(path, chunk name, environment): the function and its stamp, or nil and a message. */
static int module_load(lua_State *L)
{
    char stamp[SCRIPT_STAMP_BYTES];
    struct err e = {0};
    if (!script_load_file(L, luaL_checkstring(L, 1), luaL_checkstring(L, 2), stamp, &e)) {
        lua_pushnil(L);
        lua_pushstring(L, e.text);
        return 2;
    }
    lua_pushvalue(L, 3);
    lua_setupvalue(L, -2, 1);
    lua_pushstring(L, stamp);
    return 2;
}

/* embedded(name, environment): the function of a built-in module, or nil. */
static int module_embedded(lua_State *L)
{
    struct err e = {0};
    const char *name = luaL_checkstring(L, 1);
    if (!script_is_embedded(name)) {
        lua_pushnil(L);
        return 1;
    }
    if (!script_load_embedded(L, name, &e))
        return luaL_error(L, "%s", e.text);
    lua_pushvalue(L, 2);
    lua_setupvalue(L, -2, 1);
    return 1;
}

/* globals(): the environment of the run. */
static int module_globals(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    return 1;
}

/* folder(): where the run's script is. */
static int module_folder(lua_State *L)
{
    char folder[PATH_BYTES];
    script_folder(script_of(L)->run->path, folder, sizeof folder);
    lua_pushstring(L, folder);
    return 1;
}

void script_modules_open(lua_State *L)
{
    static const luaL_Reg below[] = {
        {"stamp", module_stamp},     {"load", module_load},     {"embedded", module_embedded},
        {"globals", module_globals}, {"folder", module_folder}, {NULL, NULL},
    };
    struct err e = {0};
    if (!script_load_embedded(L, "modules", &e))
        luaL_error(L, "%s", e.text);
    luaL_newlib(L, below);
    lua_call(L, 1, 1);
}
