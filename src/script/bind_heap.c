/* SPDX-License-Identifier: MIT
 *
 * bind_heap.c - heap: the module that scripts begin with.
 *
 * Context: pure. All that is live goes through struct host; a host without a function answers
 * nil, "not available offline".
 * Invariant: these are mechanisms; what builds on them (growth, tables) is in lua/heap.lua.
 */
#include <string.h>

#include "bind.h"

/* Snapshots that a script forgot to close go before the next is taken when they grow too many:
 * the collector does not see how large they are, nor that they keep a process. */
static void collect_forgotten(lua_State *L, bool contents)
{
    struct script *s = script_of(L);
    if (s->snapshot_bytes > s->limits.memory_bytes || (contents && s->held_count))
        lua_gc(L, LUA_GCCOLLECT);
}

static int heap_snapshot(lua_State *L)
{
    static const char *const options[] = {"graph", "contents", NULL};
    struct script *s = script_of(L);
    struct err e = {0};
    script_check_options(L, 1, options);
    bool graph = script_option_bool(L, 1, "graph", true);
    bool contents = script_option_bool(L, 1, "contents", false);
    if (!s->host.snapshot)
        return script_offline(L);
    collect_forgotten(L, contents);
    struct bind_snapshot *b = script_push_snapshot(L);
    struct host_held **held = contents ? &b->held : NULL;
    b->contents = contents;
    bool taken = s->host.snapshot(s->host.context, graph, &b->snapshot, held, &e);
    if (!taken && graph && e.status == STATUS_UNSUPPORTED) /* then what there is without them */
        taken = s->host.snapshot(s->host.context, false, &b->snapshot, held, &e);
    if (!taken)
        return script_fail(L, &e);
    s->pause_ns += s->host.live ? b->snapshot.meta->pause_ns : 0;
    script_snapshot_ready(L, b, s->host.live);
    return 1;
}

static int heap_load(lua_State *L)
{
    struct err e = {0};
    const char *path = luaL_checkstring(L, 1);
    collect_forgotten(L, false);
    struct bind_snapshot *b = script_push_snapshot(L);
    if (!snapshot_open_file(&b->snapshot, path, &e))
        return script_fail(L, &e);
    script_snapshot_ready(L, b, false);
    return 1;
}

static int heap_stats(lua_State *L)
{
    struct script *s = script_of(L);
    struct host_stats stats = {0};
    struct err e = {0};
    if (!s->host.stats)
        return script_offline(L);
    if (!s->host.stats(s->host.context, &stats, &e))
        return script_fail(L, &e);
    lua_newtable(L);
#define X(name)                                                                                    \
    lua_pushinteger(L, (lua_Integer)stats.name);                                                   \
    lua_setfield(L, -2, #name);
    HOST_STATS(X)
#undef X
#define X(name, in_file)                                                                           \
    lua_pushinteger(L, (lua_Integer)stats.name);                                                   \
    lua_setfield(L, -2, #name);
    HOST_CUSTOM_STATS(X)
#undef X
    if (stats.sample_bytes) {
        lua_pushinteger(L, (lua_Integer)stats.sample_bytes);
        lua_setfield(L, -2, "sample");
        lua_pushinteger(L, (lua_Integer)stats.live_blocks_error);
        lua_setfield(L, -2, "live_blocks_error");
        lua_pushinteger(L, (lua_Integer)stats.live_bytes_error);
        lua_setfield(L, -2, "live_bytes_error");
    }
    lua_pushnumber(L, (lua_Number)stats.started_ns / 1e9);
    lua_setfield(L, -2, "started");
    return 1;
}

/* They stand as briefly as for a snapshot; nothing but the list is kept of it. */
static int heap_threads(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e = {0};
    if (!s->host.stand)
        return script_offline(L);
    struct bind_snapshot *b = script_push_snapshot(L);
    if (!s->host.stand(s->host.context, &b->snapshot, &e))
        return script_fail(L, &e);
    s->pause_ns += s->host.live ? b->snapshot.meta->pause_ns : 0;
    script_snapshot_ready(L, b, s->host.live);
    script_push_threads(L, b);
    lua_getfield(L, -2, "close");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 0);
    return 1;
}

/* heap.peak(): a snapshot of the blocks that were there then. */
static int heap_peak(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e = {0};
    if (!s->host.peak)
        return script_offline(L);
    collect_forgotten(L, false);
    struct bind_snapshot *b = script_push_snapshot(L);
    if (!s->host.peak(s->host.context, &b->snapshot, &e))
        return script_fail(L, &e);
    script_snapshot_ready(L, b, s->host.live);
    return 1;
}

static int heap_reset_peak(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e = {0};
    if (!s->host.reset_peak)
        return script_offline(L);
    if (!s->host.reset_peak(s->host.context, &e))
        return script_fail(L, &e);
    lua_pushboolean(L, true);
    return 1;
}

/* --- recording ----------------------------------------------------------------------------- */

static int record(lua_State *L, const struct option_track *how, u32 stack, bool keep_peak)
{
    struct script *s = script_of(L);
    struct err e = {0};
    if (!s->host.record)
        return script_offline(L);
    if (!s->host.record(s->host.context, how, stack, keep_peak, &e))
        return script_fail(L, &e);
    lua_pushboolean(L, true);
    return 1;
}

static int heap_start(lua_State *L)
{
    static const char *const options[] = {"stack", "sample", "peak", NULL};
    struct option_track how = {TRACK_FULL, 0};
    double stack = 64, sample;
    script_check_options(L, 1, options);
    if (script_option_number(L, 1, "stack", &stack) && !(stack >= 1 && stack <= 256))
        return luaL_error(L, "option 'stack' must be 1 to 256");
    if (script_option_number(L, 1, "sample", &sample)) {
        if (!(sample >= 1 && sample <= 1e15))
            return luaL_error(L, "option 'sample' must be a number of bytes, 1 or more");
        how = (struct option_track){TRACK_SAMPLE, (u64)sample};
    }
    return record(L, &how, (u32)stack, script_option_bool(L, 1, "peak", false));
}

static int heap_stop(lua_State *L)
{
    struct option_track how = {TRACK_OFF, 0};
    return record(L, &how, 64, false);
}

/* heap.tracking(): is anything recorded, and how: "full", "off" or "sample:BYTES". */
static int heap_tracking(lua_State *L)
{
    struct script *s = script_of(L);
    char text[40] = "full";
    if (!s->host.recording)
        return script_offline(L);
    struct option_track how = s->host.recording(s->host.context);
    if (how.mode == TRACK_OFF)
        text_format(text, sizeof text, "off");
    if (how.mode == TRACK_SAMPLE)
        text_format(text, sizeof text, "sample:%llu", (unsigned long long)how.sample_bytes);
    lua_pushboolean(L, how.mode != TRACK_OFF);
    lua_pushstring(L, text);
    return 2;
}

/* --- when ---------------------------------------------------------------------------------- */

static int heap_wait(lua_State *L)
{
    struct script *s = script_of(L);
    u64 ns = 0;
    if (!lua_isnoneornil(L, 1)) {
        lua_Number seconds = luaL_checknumber(L, 1);
        luaL_argcheck(L, seconds > 0, 1, "must be more than 0 seconds");
        ns = script_seconds(seconds);
        ns = ns ? ns : 1;
    }
    if (L != s->coroutine)
        return luaL_error(L, "heap.wait works in the script itself, not in its coroutines");
    if (!lua_isyieldable(L))
        return luaL_error(L, "heap.wait cannot wait inside a function that C calls "
                             "(a metamethod, a sort, a where, a require)");
    s->waits = true;
    s->wait_ns = ns;
    return lua_yield(L, 0);
}

static int heap_mark(lua_State *L)
{
    struct script *s = script_of(L);
    const char *name = luaL_checkstring(L, 1);
    if (!s->host.live)
        return script_offline(L);
    if (s->mark_count == SCRIPT_MARKS_MAX)
        memmove(s->marks, s->marks + 1, --s->mark_count * sizeof *s->marks);
    struct script_mark *m = &s->marks[s->mark_count++];
    text_format(m->name, sizeof m->name, "%s", name);
    m->monotonic_ns = sys_monotonic_ns();
    lua_pushboolean(L, true);
    return 1;
}

static int heap_every(lua_State *L)
{
    struct script *s = script_of(L);
    u64 ns = 0;
    if (!lua_isnoneornil(L, 1)) {
        lua_Number seconds = luaL_checknumber(L, 1);
        luaL_argcheck(L, seconds >= 0, 1, "must be 0 or more seconds");
        ns = script_seconds(seconds);
    }
    if (!s->host.every)
        return script_offline(L);
    script_timer_every(s, ns);
    lua_pushboolean(L, true);
    return 1;
}

static u64 bytes_option(lua_State *L, const char *word)
{
    double n = 0;
    script_option_number(L, 1, word, &n);
    return n < 9e18 ? (u64)n : (u64)9e18;
}

static int heap_pressure(lua_State *L)
{
    static const char *const options[] = {"live", "rss", "growth", NULL};
    struct script *s = script_of(L);
    struct err e = {0};
    script_check_options(L, 1, options);
    if (!s->host.every || !s->host.stats || !s->host.live)
        return script_offline(L);
    if (!script_timer_pressure(s, bytes_option(L, "live"), bytes_option(L, "rss"),
                               bytes_option(L, "growth"), &e))
        return script_fail(L, &e);
    lua_pushboolean(L, true);
    return 1;
}

/* --- figures as people read them ----------------------------------------------------------- */

static int push_text(lua_State *L, size_t (*text)(char *out, size_t size, u64 n))
{
    char number[40], error[40];
    text(number, sizeof number, (u64)luaL_checkinteger(L, 1));
    if (lua_isnoneornil(L, 2)) {
        lua_pushstring(L, number);
        return 1;
    }
    text(error, sizeof error, (u64)luaL_checkinteger(L, 2));
    lua_pushfstring(L, "\u2248 %s \u00b1 %s", number, error);
    return 1;
}

/* heap.text_count(18099) = "18 099"; with what it may be wrong by, "≈ 18 099 ± 900" */
static int heap_text_count(lua_State *L)
{
    return push_text(L, text_count);
}

/* heap.text_bytes(2 << 20) = "2.0 MiB"; the same */
static int heap_text_bytes(lua_State *L)
{
    return push_text(L, text_bytes);
}

void script_open_heap(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"snapshot", heap_snapshot},
        {"load", heap_load},
        {"stats", heap_stats},
        {"threads", heap_threads},
        {"peak", heap_peak},
        {"reset_peak", heap_reset_peak},
        {"start", heap_start},
        {"stop", heap_stop},
        {"tracking", heap_tracking},
        {"wait", heap_wait},
        {"mark", heap_mark},
        {"every", heap_every},
        {"pressure", heap_pressure},
        {"istype", script_heap_istype},
        {"subtype", script_heap_subtype},
        {"text_count", heap_text_count},
        {"text_bytes", heap_text_bytes},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
