/* SPDX-License-Identifier: MIT
 *
 * script.c - one Lua state and its runs.
 *
 * Context: pure.
 * Invariant: between runs the Lua stack is empty and no hook is set. Every call that can throw is
 * inside a protected call; what a failed run leaves behind is garbage.
 *
 * A run is a coroutine, so that heap.wait can end it in the middle: the coroutine is then kept
 * under the script's path, with its environment and the stamp of its file, and the next run of
 * that path resumes it, unless the file changed.
 */
#include <stdlib.h>
#include <string.h>

#include "bind.h"

/* --- life ---------------------------------------------------------------------------------- */

/* The script that runs; for what is kept by script. */
static int script_path(lua_State *L)
{
    lua_pushstring(L, script_of(L)->run->path);
    return 1;
}

static int open_state(lua_State *L)
{
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_DATA);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_WAITING);
    script_sandbox_open(L);
#define X(noun, word) script_open_##noun(L);
    BIND_NOUNS(X)
#undef X
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_MASTER);
    int master = lua_gettop(L);
    script_open_heap(L);
    lua_setfield(L, master, "heap");

    /* What is written in Lua sees the master's tables, which no script can reach. */
    lua_pushvalue(L, master);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    script_modules_open(L);
    lua_getfield(L, -1, "require");
    lua_setfield(L, master, "require");
    luaL_getsubtable(L, master, LUA_LOADLIBNAME);
    lua_getfield(L, -2, "searchpath");
    lua_setfield(L, -2, "searchpath");
    struct err e = {0};
    if (!script_load_embedded(L, "heap", &e))
        luaL_error(L, "%s", e.text);
    lua_getfield(L, master, "heap");
    script_push_methods(L, "partition");
    script_push_methods(L, "delta");
    lua_pushcfunction(L, script_path);
    lua_call(L, 4, 0);
    return 0;
}

/* The last resort of Lua, never reached: all is inside protected calls. */
static int on_panic(lua_State *L)
{
    (void)L;
    abort();
}

struct script *script_create(const struct host *host, const struct script_limits *limits,
                             struct err *e)
{
    struct script *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, STATUS_NO_MEMORY, "no memory for Lua");
        return NULL;
    }
    s->host = *host;
    s->limits = *limits;
    if (!s->limits.memory_bytes)
        s->limits.memory_bytes = UINT64_MAX / 2;
    s->cap_bytes = s->limits.memory_bytes;
    s->timer.every_ns = limits->every_ns;
    s->L = lua_newstate(script_allocate, s);
    if (!s->L) {
        free(s);
        err_set(e, STATUS_NO_MEMORY, "no memory for Lua; raise MOONHEAP_LUA_MEMORY");
        return NULL;
    }
    *(struct script **)lua_getextraspace(s->L) = s;
    lua_atpanic(s->L, on_panic);
    lua_pushcfunction(s->L, open_state);
    if (lua_pcall(s->L, 0, 0, 0) != LUA_OK) {
        const char *text = lua_tostring(s->L, -1);
        err_set(e, STATUS_SCRIPT, "cannot start Lua: %s; raise MOONHEAP_LUA_MEMORY",
                text ? text : "?");
        script_destroy(s);
        return NULL;
    }
    return s;
}

void script_destroy(struct script *s)
{
    if (!s)
        return;
    lua_close(s->L);
    free(s);
}

u64 script_memory_bytes(const struct script *s)
{
    return s->used_bytes;
}

/* --- a run --------------------------------------------------------------------------------- */

static void say(struct script *s, const char *text)
{
    script_print(s, text, strlen(text));
}

struct attempt {
    struct script *s;
    struct script_outcome *outcome;
};

static bool is_bare_word(const char *path)
{
    return *path && !strchr(path, '/');
}

/* [-0, +1] the script as a function, from its file or built in; false when it was reported. */
static bool load_script(lua_State *L, struct script *s, char stamp[SCRIPT_STAMP_BYTES])
{
    char text[700], chunk_name[300];
    const char *path = s->run->path, *slash = strrchr(path, '/');
    struct err e = {0};
    text_format(chunk_name, sizeof chunk_name, "@%s", slash ? slash + 1 : path);
    if (script_load_file(L, path, chunk_name, stamp, &e))
        return true;
    if (e.status == STATUS_NOT_FOUND && is_bare_word(path) && script_is_canned(path)) {
        stamp[0] = 0;
        if (script_load_embedded(L, path, &e))
            return true;
    }
    text_format(text, sizeof text, "%s%s\n", e.text,
                e.status == STATUS_NOT_FOUND ? "; create it or set MOONHEAP_SCRIPT" : "");
    say(s, text);
    return false;
}

static void set_integer(lua_State *L, const char *name, u64 value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* Puts `run` and `args` into the environment at `env`. */
static void set_run(lua_State *L, const struct script_run *run, int env)
{
    lua_newtable(L);
    set_integer(L, "n", run->n);
    set_integer(L, "pid", (u64)run->pid);
    set_string(L, "cause", run->cause);
    set_string(L, "script", run->path);
    lua_pushnumber(L, (lua_Number)run->elapsed_ns / 1e9);
    lua_setfield(L, -2, "elapsed");
    lua_setfield(L, env, "run");

    lua_newtable(L);
    lua_Integer count = 0;
    for (const char *at = run->args ? run->args : ""; *at;) {
        size_t word = strcspn(at, " ");
        if (word) {
            lua_pushlstring(L, at, word);
            lua_rawseti(L, -2, ++count);
        }
        at += word;
        at += *at == ' ';
    }
    lua_setfield(L, env, "args");
}

/* [-0, +0] a script may replace `data` by another table. */
static void keep_data(lua_State *L, int env)
{
    if (lua_getfield(L, env, "data") == LUA_TTABLE)
        lua_setfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_DATA);
    else
        lua_pop(L, 1);
}

/* [-0, +3 coroutine, environment, stamp] when a run of this path waits; it no longer does. */
static bool take_waiting(lua_State *L, const char *path)
{
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_WAITING);
    if (lua_getfield(L, -1, path) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_pushnil(L);
    lua_setfield(L, -3, path);
    lua_remove(L, -2);
    int at = lua_gettop(L);
    for (int i = 1; i <= 3; i++)
        lua_rawgeti(L, at, i);
    lua_remove(L, at);
    return true;
}

/* [-0, +0] keeps the run for the next trigger. */
static void put_waiting(lua_State *L, const char *path, int co_at, int env_at, const char *stamp)
{
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_WAITING);
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, co_at);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, env_at);
    lua_rawseti(L, -2, 2);
    lua_pushstring(L, stamp);
    lua_rawseti(L, -2, 3);
    lua_setfield(L, -2, path);
    lua_pop(L, 1);
}

/* A coroutine that will not go on: closes what it left to be closed, within limits. */
static void drop(struct script *s, lua_State *co)
{
    script_limits_begin(s, co);
    lua_resetthread(co);
    script_limits_end(s, co);
}

/* --- in the coroutine ---------------------------------------------------------------------- */

/* Message handler: any error becomes a text with its traceback. */
static int explain(lua_State *L)
{
    const char *text = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, text, 1);
    return 1;
}

static int body_end(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    script_of(L)->failed = status != LUA_OK && status != LUA_YIELD;
    return script_of(L)->failed;
}

/* The script runs in a pcall of its coroutine, not bare: what it left to be closed is then closed
 * with the hook at work, which Lua does not see to when an error of a hook ends a coroutine. */
static int body(lua_State *L)
{
    lua_pushcfunction(L, explain);
    lua_insert(L, 1);
    return body_end(L, lua_pcallk(L, lua_gettop(L) - 2, 0, 1, 0, body_end), 0);
}

/* Says why the coroutine ended, without taking memory. */
static void report(struct script *s, lua_State *co)
{
    const char *text = lua_type(co, -1) == LUA_TSTRING ? lua_tostring(co, -1) : "the script failed";
    char hint[200], bytes[32];
    say(s, text);
    say(s, "\n");
    if (s->memory_refused && strstr(text, "not enough memory")) {
        text_bytes(bytes, sizeof bytes, s->limits.memory_bytes);
        text_format(hint, sizeof hint, "scripts may hold %s in all; raise MOONHEAP_LUA_MEMORY\n",
                    bytes);
        say(s, hint);
    }
}

/* Resumes the coroutine at `co_at` and deals with what comes of it. */
static void resume(lua_State *L, struct attempt *a, int co_at, int env_at, int count,
                   const char *stamp)
{
    struct script *s = a->s;
    lua_State *co = lua_tothread(L, co_at);
    int results = 0;
    s->coroutine = co;
    s->waits = s->failed = false;
    s->wait_ns = 0;
    script_limits_begin(s, co);
    int status = lua_resume(co, L, count, &results);
    script_limits_end(s, co);
    keep_data(L, env_at);
    if (status == LUA_YIELD && s->waits) {
        lua_pop(co, results);
        put_waiting(L, s->run->path, co_at, env_at, stamp);
        a->outcome->ok = a->outcome->waiting = true;
        a->outcome->wait_ns = s->wait_ns;
    } else if (status == LUA_YIELD) {
        say(s, "the script yielded outside of a coroutine; heap.wait() waits for a trigger\n");
        drop(s, co);
    } else if (status != LUA_OK || s->failed) {
        report(s, co);
    } else {
        a->outcome->ok = true;
    }
}

static void run_afresh(lua_State *L, struct attempt *a)
{
    struct script *s = a->s;
    char stamp[SCRIPT_STAMP_BYTES];
    lua_State *co = lua_newthread(L);
    int co_at = lua_gettop(L);
    script_sandbox_fresh(L);
    int env_at = lua_gettop(L);
    set_run(L, s->run, env_at);
    if (!load_script(L, s, stamp))
        return;
    lua_getfield(L, env_at, "args");
    lua_len(L, -1);
    int count = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, count + 1, "too many arguments");
    int args_at = lua_gettop(L);
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, args_at, i);
    lua_remove(L, args_at);
    if (!lua_checkstack(co, count + LUA_MINSTACK))
        luaL_error(L, "too many arguments");
    lua_pushcfunction(co, body);
    lua_xmove(L, co, count + 1);
    resume(L, a, co_at, env_at, count + 1, stamp);
}

static int run_protected(lua_State *L)
{
    struct attempt *a = lua_touserdata(L, 1);
    struct script *s = a->s;
    lua_gc(L, LUA_GCRESTART);
    lua_gc(L, LUA_GCINC, 0, 0, 0);
    lua_settop(L, 1);
    if (!take_waiting(L, s->run->path)) {
        run_afresh(L, a);
        return 0;
    }
    char stamp[SCRIPT_STAMP_BYTES];
    script_guard_stamp(s->run->path, stamp);
    if (strcmp(stamp, lua_tostring(L, 4)) != 0) {
        say(s, "the script changed while it waited: it starts afresh\n");
        drop(s, lua_tothread(L, 2));
        lua_settop(L, 1);
        run_afresh(L, a);
        return 0;
    }
    script_sandbox_enter(L, 3);
    set_run(L, s->run, 3);
    lua_getfield(L, LUA_REGISTRYINDEX, SCRIPT_SLOT_DATA);
    lua_setfield(L, 3, "data");
    lua_State *co = lua_tothread(L, 2);
    lua_pushstring(co, s->run->cause);
    resume(L, a, 2, 3, 1, stamp);
    return 0;
}

struct script_outcome script_run(struct script *s, const struct script_run *run)
{
    struct script_outcome outcome = {0};
    struct attempt attempt = {s, &outcome};
    s->run = run;
    s->pause_ns = 0;
    script_memory_begin(s);
    lua_pushcfunction(s->L, run_protected);
    lua_pushlightuserdata(s->L, &attempt);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        outcome.ok = outcome.waiting = false;
        const char *text = lua_tostring(s->L, -1);
        say(s, text ? text : "the run failed");
        say(s, s->memory_refused ? ": raise MOONHEAP_LUA_MEMORY\n" : "\n");
    }
    lua_settop(s->L, 0);
    if (s->memory_refused)
        lua_gc(s->L, LUA_GCCOLLECT);
    s->memory_refused = false;
    s->coroutine = NULL;
    s->run = NULL;
    outcome.pause_ns = s->pause_ns;
    return outcome;
}
