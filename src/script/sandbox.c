/* SPDX-License-Identifier: MIT
 *
 * sandbox.c - the globals of a run: fresh copies of what a guest may use.
 *
 * Context: pure.
 * Invariant: what a script does to its globals, library tables included, ends with its run; there
 * is no way from here to bytecode, to other programs, to the process's end or to its terminal.
 * Why lists of what is allowed: what a later Lua adds stays out until someone has looked at it.
 */
#include <string.h>

#include "bind.h"

enum { PATH_BYTES = 4096 };

struct library {
    const char *name;
    lua_CFunction open;
    const char *allowed; /* words, " a b "; NULL = all */
};

static const struct library libraries[] = {
    {LUA_GNAME, luaopen_base,
     " assert collectgarbage error getmetatable ipairs next pairs pcall rawequal rawget rawlen "
     "rawset select tonumber tostring type _VERSION "},
    {LUA_STRLIBNAME, luaopen_string,
     " byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack "
     "upper "},
    {LUA_TABLIBNAME, luaopen_table, NULL},
    {LUA_MATHLIBNAME, luaopen_math, NULL},
    {LUA_UTF8LIBNAME, luaopen_utf8, NULL},
    {LUA_COLIBNAME, luaopen_coroutine, " close isyieldable resume running status yield "},
    {LUA_OSLIBNAME, luaopen_os, " clock date difftime getenv remove rename time "},
    {LUA_IOLIBNAME, luaopen_io, " type "},
    {LUA_DBLIBNAME, luaopen_debug, " traceback getinfo "},
};

/* X(library, function, why it is not there) */
#define REFUSED(X)                                                                                 \
    X("os", "exit", "it would end the program")                                                    \
    X("os", "execute", "it would start another program")                                           \
    X("os", "setlocale", "it would change the program's locale")                                   \
    X("os", "tmpname", "it would leave a file behind")                                             \
    X("io", "popen", "it would start another program")                                             \
    X("io", "read", "the program's standard input is not the script's")                            \
    X("io", "input", "the program's standard input is not the script's")                           \
    X("io", "output", "the program's standard output is not the script's")                         \
    X("io", "tmpfile", "it would leave a file behind")                                             \
    X("string", "dump", "scripts are text, not bytecode")                                          \
    X("package", "loadlib", "scripts cannot load native code")

static const struct {
    const char *library, *function, *why;
} refused[] = {
#define X(library, function, why) {library, function, why},
    REFUSED(X)
#undef X
};

static int refuse(lua_State *L)
{
    return luaL_error(L, "%s is not available in a Moonheap script: %s",
                      lua_tostring(L, lua_upvalueindex(1)), lua_tostring(L, lua_upvalueindex(2)));
}

/* --- output -------------------------------------------------------------------------------- */

void script_print(struct script *s, const char *text, size_t bytes)
{
    if (s->host.print && bytes)
        s->host.print(s->host.context, text, bytes);
}

static int base_print(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&out, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&out);
    }
    luaL_addchar(&out, '\n');
    luaL_pushresult(&out);
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    script_print(script_of(L), text, bytes);
    return 0;
}

static int base_printf(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_FORMAT);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    script_print(script_of(L), text, bytes);
    return 0;
}

static int base_warn(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checkstring(L, 1);
    lua_pushliteral(L, "Lua warning: ");
    lua_insert(L, 1);
    lua_pushliteral(L, "\n");
    lua_concat(L, n + 2);
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    script_print(script_of(L), text, bytes);
    return 0;
}

/* io.write(...) and io.stdout:write(...): from the argument that upvalue 1 names. */
static int io_write(lua_State *L)
{
    int first = (int)lua_tointeger(L, lua_upvalueindex(1));
    for (int i = first; i <= lua_gettop(L); i++) {
        size_t bytes;
        const char *text = luaL_checklstring(L, i, &bytes);
        script_print(script_of(L), text, bytes);
    }
    lua_settop(L, 1);
    return first == 2 ? 1 : 0;
}

static int io_nothing(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

/* [-0, +1] what stands for io.stdout and io.stderr. */
static void push_output(lua_State *L)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, 2);
    lua_pushcclosure(L, io_write, 1);
    lua_setfield(L, -2, "write");
    static const char *const idle[] = {"flush", "setvbuf", "close"};
    for (size_t i = 0; i < COUNT_OF(idle); i++) {
        lua_pushcfunction(L, io_nothing);
        lua_setfield(L, -2, idle[i]);
    }
}

/* --- files --------------------------------------------------------------------------------- */

/* Unbuffered: a buffer that a fork doubled would be written twice. */
static int io_open(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    luaL_Stream *file = luaL_testudata(L, 1, LUA_FILEHANDLE);
    if (file && file->f)
        setvbuf(file->f, NULL, _IONBF, 0);
    return lua_gettop(L);
}

/* The io functions that fall back on a standard stream get their file named. */
static int io_with_file(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int push_failure(lua_State *L, const struct err *e)
{
    lua_pushnil(L);
    lua_pushstring(L, e->text);
    return 2;
}

static int load_file(lua_State *L, int environment)
{
    char stamp[SCRIPT_STAMP_BYTES], chunk_name[300];
    struct err e = {0};
    const char *path = luaL_checkstring(L, 1);
    text_format(chunk_name, sizeof chunk_name, "@%s", path);
    if (!script_load_file(L, path, chunk_name, stamp, &e))
        return push_failure(L, &e);
    if (environment) {
        lua_pushvalue(L, environment);
        lua_setupvalue(L, -2, 1);
    }
    return 1;
}

static int base_loadfile(lua_State *L)
{
    return load_file(L, lua_isnone(L, 3) ? 0 : 3);
}

static int done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return lua_gettop(L) - (int)context;
}

static int base_dofile(lua_State *L)
{
    lua_settop(L, 1);
    if (load_file(L, 0) != 1)
        return lua_error(L);
    lua_callk(L, 0, LUA_MULTRET, 1, done);
    return done(L, LUA_OK, 1);
}

/* load(chunk [, name [, mode [, env]]]): Lua's own, with the mode nailed down. */
static int base_load(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING && lua_tostring(L, 1)[0] == LUA_SIGNATURE[0]) {
        struct err e;
        err_set(&e, STATUS_UNSAFE, "cannot load the chunk: " SCRIPT_BYTECODE);
        return push_failure(L, &e);
    }
    int n = lua_gettop(L);
    if (n < 3)
        lua_settop(L, n = 3);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

/* Finalizers run where no limit reaches them (see limits.c). */
static int base_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not available in a Moonheap script; use <close>");
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* --- errors of the hook -------------------------------------------------------------------- */

static int all_results(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* The message handler in upvalue 1, but not once the time is over: it would run without hook. */
static int handle_message(lua_State *L)
{
    lua_settop(L, 1);
    if (script_of(L)->expired)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle_message, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, all_results);
    return lua_gettop(L);
}

static int body_end(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L);
}

/* A coroutine's function in a pcall, so that the hook is at work when it is closed. */
static int coroutine_body(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, body_end);
    return body_end(L, status, 0);
}

/* coroutine.create and coroutine.wrap, which is upvalue 1. */
static int coroutine_make(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, coroutine_body, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* --- the master and its copies ------------------------------------------------------------- */

static bool allowed(const char *words, const char *name)
{
    char word[40];
    text_format(word, sizeof word, " %s ", name);
    return !words || strstr(words, word);
}

/* [-1 library, +0] copies what is allowed into the table at `into`. */
static void copy_allowed(lua_State *L, const char *words, int into)
{
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING && allowed(words, lua_tostring(L, -2))) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, into);
        }
    }
    lua_pop(L, 1);
}

/* The library's own function becomes upvalue 1 of the one that takes its place. */
static void wrap(lua_State *L, int into, const char *name, lua_CFunction f)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, into, name);
}

/* [-0, +2] the master's library, and Lua's own on top; returns where the former is. */
static int push_both(lua_State *L, int master, const char *name)
{
    lua_getfield(L, master, name);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return lua_gettop(L) - 1;
}

static void open_coroutine(lua_State *L, int master)
{
    int library = push_both(L, master, LUA_COLIBNAME);
    wrap(L, library, "create", coroutine_make);
    wrap(L, library, "wrap", coroutine_make);
    lua_settop(L, master);
}

static void open_io(lua_State *L, int master)
{
    int io = push_both(L, master, LUA_IOLIBNAME);
    wrap(L, io, "open", io_open);
    wrap(L, io, "lines", io_with_file);
    wrap(L, io, "close", io_with_file);
    lua_pushinteger(L, 1);
    lua_pushcclosure(L, io_write, 1);
    lua_setfield(L, io, "write");
    push_output(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, io, "stdout");
    lua_setfield(L, io, "stderr");
    lua_settop(L, master);
}

static void open_refused(lua_State *L, int master)
{
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        luaL_getsubtable(L, master, refused[i].library);
        lua_pushfstring(L, "%s.%s", refused[i].library, refused[i].function);
        lua_pushstring(L, refused[i].why);
        lua_pushcclosure(L, refuse, 2);
        lua_setfield(L, -2, refused[i].function);
        lua_pop(L, 1);
    }
}

void script_sandbox_open(lua_State *L)
{
    static const luaL_Reg own[] = {
        {"print", base_print},
        {"printf", base_printf},
        {"warn", base_warn},
        {"loadfile", base_loadfile},
        {"dofile", base_dofile},
        {"setmetatable", base_setmetatable},
        {NULL, NULL},
    };
    lua_newtable(L);
    int master = lua_gettop(L);
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        bool base = !strcmp(libraries[i].name, LUA_GNAME);
        luaL_requiref(L, libraries[i].name, libraries[i].open, 0);
        if (base) {
            wrap(L, master, "load", base_load);
            wrap(L, master, "xpcall", base_xpcall);
            copy_allowed(L, libraries[i].allowed, master);
        } else {
            lua_newtable(L);
            lua_insert(L, -2);
            copy_allowed(L, libraries[i].allowed, lua_gettop(L) - 1);
            lua_setfield(L, master, libraries[i].name);
        }
    }
    luaL_setfuncs(L, own, 0);
    open_coroutine(L, master);
    open_io(L, master);
    open_refused(L, master);

    lua_getfield(L, master, LUA_STRLIBNAME);
    lua_getfield(L, -1, "find");
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_FIND);
    lua_getfield(L, -1, "format");
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_FORMAT);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_STRINGS);
    lua_settop(L, master);
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_MASTER);
}

/* [-0, +1] a copy of the table at `index`; tables in it are copied to `depth` levels. */
static void push_copy(lua_State *L, int index, int depth)
{
    index = lua_absindex(L, index);
    luaL_checkstack(L, 6, NULL);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, index);) {
        if (depth && lua_istable(L, -1)) {
            push_copy(L, -1, depth - 1);
            lua_remove(L, -2);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

void script_sandbox_enter(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_pushvalue(L, index);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushliteral(L, "");
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_STRINGS);
    push_copy(L, -1, 0);
    lua_remove(L, -2);
    lua_getfield(L, index, LUA_STRLIBNAME);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void script_sandbox_fresh(lua_State *L)
{
    char folder[PATH_BYTES];
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_MASTER);
    push_copy(L, -1, 2);
    lua_remove(L, -2);
    int environment = lua_gettop(L);
    lua_pushvalue(L, environment);
    lua_setfield(L, environment, LUA_GNAME);
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_DATA);
    lua_setfield(L, environment, "data");

    luaL_getsubtable(L, environment, LUA_LOADLIBNAME);
    lua_newtable(L); /* package.loaded: this run's tables */
    for (lua_pushnil(L); lua_next(L, environment); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1) &&
            strcmp(lua_tostring(L, -2), "data") != 0) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
    }
    lua_setfield(L, -2, "loaded");
    lua_newtable(L);
    lua_setfield(L, -2, "preload");
    script_folder(script_of(L)->run->path, folder, sizeof folder);
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", folder, folder);
    lua_setfield(L, -2, "path");
    lua_pop(L, 1);
    script_sandbox_enter(L, environment);
}
