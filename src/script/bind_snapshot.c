/* SPDX-License-Identifier: MIT
 *
 * bind_snapshot.c - snapshot: the blocks of one moment.
 *
 * Context: pure.
 * Invariant: what the file or the mapping holds is given back exactly once, by close, <close> or
 * the collector, whichever comes first.
 */
#include <string.h>

#include "bind.h"

struct bind_snapshot *script_check_snapshot(lua_State *L, int arg)
{
    struct bind_snapshot *b = luaL_checkudata(L, arg, "snapshot");
    if (!b->open)
        luaL_error(L, "snapshot closed");
    return b;
}

struct bind_snapshot *script_push_snapshot(lua_State *L)
{
    struct bind_snapshot *b = lua_newuserdatauv(L, sizeof *b, 1);
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, "snapshot");
    return b;
}

static void note_marks(struct script *s, struct bind_snapshot *b)
{
    for (u32 i = 0; i < s->mark_count; i++) {
        u64 at = s->marks[i].monotonic_ns, taken = b->snapshot.meta->monotonic_ns;
        if (at > taken)
            continue;
        u32 n = b->view.mark_count++;
        memcpy(b->mark_names[n], s->marks[i].name, SCRIPT_MARK_BYTES);
        b->marks[n] = (struct query_mark){b->mark_names[n], taken - at};
    }
    b->view.marks = b->marks;
}

void script_snapshot_ready(lua_State *L, struct bind_snapshot *b, bool live)
{
    struct script *s = script_of(L);
    struct script_pieces pieces;
    int at = lua_gettop(L);
    b->open = true;
    b->live = live;
    s->snapshot_bytes += snapshot_memory(&b->snapshot);
    s->held_count += b->held != NULL;
    script_push_pieces(L, &pieces);
    types_build(&b->types, &b->snapshot, &pieces.memory);
    query_view_init(&b->view, &b->snapshot, &b->types);
    if (live)
        note_marks(s, b);
    lua_setiuservalue(L, at, 1);
}

static int snapshot_close_it(lua_State *L)
{
    struct bind_snapshot *b = luaL_checkudata(L, 1, "snapshot");
    if (!b->open)
        return 0;
    struct script *s = script_of(L);
    b->open = false;
    s->snapshot_bytes -= snapshot_memory(&b->snapshot);
    script_graph_drop(b);
    if (b->held) {
        s->held_count--;
        s->host.drop_held(s->host.context, b->held);
        b->held = NULL;
    }
    types_free(&b->types);
    snapshot_close(&b->snapshot);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

struct bind_set *script_push_all(lua_State *L, struct bind_snapshot *owner, int at)
{
    struct bind_set *set = script_push_set(L, owner, at);
    query_set_fill(&set->set);
    return set;
}

static int snapshot_all(lua_State *L)
{
    script_push_all(L, script_check_snapshot(L, 1), 1);
    return 1;
}

static int snapshot_len(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    if (b->view.sample_bytes) {
        struct bind_set *all = script_push_all(L, b, 1);
        lua_pushinteger(L, (lua_Integer)query_set_sum(&all->set).count);
    } else {
        lua_pushinteger(L, b->snapshot.block_count);
    }
    return 1;
}

/* [-0, +1] blocks whose type (site) is called `name`, or matches it. */
static bool push_named(lua_State *L, struct bind_snapshot *b, bool site, const char *name,
                       bool pattern)
{
    struct script_pieces scratch;
    const struct types *t = site ? &b->types : script_types(L, b, 1);
    struct bind_set *out = script_push_set(L, b, 1), *all = script_push_all(L, b, 1);
    script_push_pieces(L, &scratch);
    u8 *ok = types_take(&scratch.memory, site ? t->sites.count : t->types.count, 1);
    bool any = site ? script_match_sites(L, t, name, pattern, &scratch.memory, ok)
                    : script_match_types(L, t, name, pattern, ok);
    struct query_filter filter = {.max_bytes = UINT64_MAX, .max_age_ns = UINT64_MAX};
    filter.nothing = !any;
    filter.type_ok = ok;
    if (site) {
        u32 stacks = b->snapshot.stack_count;
        u8 *stack_ok = types_take(&scratch.memory, (u64)stacks + 1, 1);
        for (u32 i = 0; i <= stacks; i++)
            stack_ok[i] = ok[t->site_of_stack[i]];
        filter.type_ok = NULL;
        filter.stack_ok = stack_ok;
    }
    query_set_filter(&out->set, &all->set, &filter);
    lua_pop(L, 2);
    return any;
}

static const char *const pattern_options[] = {"pattern", NULL};

static int snapshot_type(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    const char *name = luaL_checkstring(L, 2);
    script_check_options(L, 3, pattern_options);
    push_named(L, b, false, name, script_option_bool(L, 3, "pattern", false));
    return 1;
}

/* An exact site or function; when there is none of that name, a pattern. */
static int snapshot_site(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    const char *name = luaL_checkstring(L, 2);
    script_check_options(L, 3, pattern_options);
    bool pattern = script_option_bool(L, 3, "pattern", false);
    if (pattern || !push_named(L, b, true, name, false))
        push_named(L, b, true, name, true);
    return 1;
}

/* The first 64 KiB are never mapped (vm.mmap_min_addr), nor is the upper half of the addresses. */
static const char *what_holds_no_block(const struct snapshot *s, u64 address)
{
    if (address < 1 << 16 || address >> 47)
        return "unmapped";
    return s->edge_row ? "free memory of an allocator, or unmapped" : "not in a live block";
}

static int snapshot_at(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    u64 address = (u64)luaL_checkinteger(L, 2);
    block_id id = snapshot_block_at(&b->snapshot, address);
    if (id.v) {
        script_push_block(L, b, 1, id);
        return 1;
    }
    char text[SCRIPT_ROOT_BYTES];
    struct err e = {STATUS_NOT_FOUND, ""};
    err_set(&e, STATUS_NOT_FOUND, "%s", what_holds_no_block(&b->snapshot, address));
    if (script_address_text(b, address, text, sizeof text)) {
        err_set(&e, STATUS_NOT_FOUND, "%s", text);
        return script_fail(L, &e);
    }
    for (u32 i = 0; i < b->snapshot.module_count; i++) {
        const struct snapshot_module *m = &b->snapshot.modules[i];
        const char *path = b->snapshot.strings + m->path, *slash = strrchr(path, '/');
        if (address >= m->lo && address < m->hi && !m->gone)
            err_set(&e, STATUS_NOT_FOUND, "%s+0x%llx", slash ? slash + 1 : path,
                    (unsigned long long)(address - m->bias));
    }
    return script_fail(L, &e);
}

static int snapshot_by(lua_State *L)
{
    script_push_all(L, script_check_snapshot(L, 1), 1);
    script_push_partition(L, lua_gettop(L), 2);
    return 1;
}

static int snapshot_diff(lua_State *L)
{
    struct bind_snapshot *now = script_check_snapshot(L, 1), *then = script_check_snapshot(L, 2);
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_pushliteral(L, "type");
    }
    lua_settop(L, 3);
    script_push_all(L, now, 1);
    script_push_partition(L, 4, 3);
    script_push_all(L, then, 2);
    script_push_partition(L, 6, 3);
    script_push_delta(L, 5, 7);
    return 1;
}

static bool same_process(const struct bind_snapshot *a, const struct bind_snapshot *b)
{
    const struct snapshot_meta *x = a->snapshot.meta, *y = b->snapshot.meta;
    return x->pid == y->pid && x->process_start == y->process_start;
}

void script_check_recording(lua_State *L, const struct bind_snapshot *a,
                            const struct bind_snapshot *b)
{
    if (same_process(a, b) && !query_same_recording(&a->view, &b->view))
        luaL_error(L, "heap.start or heap.stop came between the two snapshots, so one of them knows "
                      "nothing of the other's blocks; take both after heap.start");
}

void script_check_process(lua_State *L, const struct bind_snapshot *a,
                          const struct bind_snapshot *b)
{
    if (!same_process(a, b))
        luaL_error(L, "the snapshots are of different processes, so no block of one is a block of "
                      "the other");
    script_check_recording(L, a, b);
}

static void field_recording(lua_State *L, struct bind_snapshot *b)
{
    const struct snapshot_recording *r = b->snapshot.recording;
    lua_pushinteger(L, r ? (lua_Integer)r->number : 0);
}

static int push_absent(lua_State *L, int in_at, struct bind_snapshot *in,
                       const struct bind_snapshot *other)
{
    script_check_process(L, in, other);
    struct bind_set *out = script_push_set(L, in, in_at), *all = script_push_all(L, in, in_at);
    query_set_absent(&out->set, &all->set, &other->view);
    lua_pop(L, 1);
    return 1;
}

static int snapshot_new_since(lua_State *L)
{
    struct bind_snapshot *now = script_check_snapshot(L, 1), *then = script_check_snapshot(L, 2);
    return push_absent(L, 1, now, then);
}

static int snapshot_gone_since(lua_State *L)
{
    struct bind_snapshot *now = script_check_snapshot(L, 1), *then = script_check_snapshot(L, 2);
    return push_absent(L, 2, then, now);
}

static int snapshot_save_it(lua_State *L)
{
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    struct err e = {0};
    if (!snapshot_save(&b->snapshot, luaL_checkstring(L, 2), &e))
        return script_fail(L, &e);
    lua_pushboolean(L, true);
    return 1;
}

/* --- fields -------------------------------------------------------------------------------- */

static void field_bytes(lua_State *L, struct bind_snapshot *b)
{
    struct bind_set *all = script_push_all(L, b, 1);
    lua_pushinteger(L, (lua_Integer)query_set_sum(&all->set).bytes);
}

static void field_time(lua_State *L, struct bind_snapshot *b)
{
    lua_pushnumber(L, (lua_Number)b->snapshot.meta->realtime_ns / 1e9);
}

static void field_pid(lua_State *L, struct bind_snapshot *b)
{
    lua_pushinteger(L, (lua_Integer)b->snapshot.meta->pid);
}

static void field_pause_ms(lua_State *L, struct bind_snapshot *b)
{
    lua_pushnumber(L, (lua_Number)b->snapshot.meta->pause_ns / 1e6);
}

static void field_build_ms(lua_State *L, struct bind_snapshot *b)
{
    lua_pushnumber(L, (lua_Number)b->snapshot.meta->build_ns / 1e6);
}

/* References are whole when every thread was stopped; without references there is nobody to stop.
 */
static void field_complete(lua_State *L, struct bind_snapshot *b)
{
    u64 flags = b->snapshot.meta->flags;
    lua_pushboolean(L, !(flags & SNAPSHOT_FLAG_GRAPH) || (flags & SNAPSHOT_FLAG_STOPPED));
}

static void field_stop(lua_State *L, struct bind_snapshot *b)
{
    lua_pushstring(L, snapshot_stop_word((enum snapshot_stop)b->snapshot.meta->stop));
}

/* {{tid=, name=, why=}...}: threads that could not be stopped */
static void field_missed(lua_State *L, struct bind_snapshot *b)
{
    const struct snapshot *s = &b->snapshot;
    lua_createtable(L, (int)s->missed_count, 0);
    for (u32 i = 0; i < s->missed_count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, s->missed[i].tid);
        lua_setfield(L, -2, "tid");
        lua_pushstring(L, s->strings + s->missed[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, s->strings + s->missed[i].why);
        lua_setfield(L, -2, "why");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void field_estimated(lua_State *L, struct bind_snapshot *b)
{
    lua_pushboolean(L, b->view.sample_bytes != 0);
}

static void field_peak(lua_State *L, struct bind_snapshot *b)
{
    lua_pushboolean(L, b->snapshot.meta->flags & SNAPSHOT_FLAG_PEAK);
}

static void field_sample(lua_State *L, struct bind_snapshot *b)
{
    if (b->view.sample_bytes)
        lua_pushinteger(L, (lua_Integer)b->view.sample_bytes);
    else
        lua_pushnil(L);
}

static void field_count_error(lua_State *L, struct bind_snapshot *b)
{
    struct bind_set *all = script_push_all(L, b, 1);
    script_push_error(L, &b->view, query_set_sum(&all->set).count_error);
}

static void field_bytes_error(lua_State *L, struct bind_snapshot *b)
{
    struct bind_set *all = script_push_all(L, b, 1);
    script_push_error(L, &b->view, query_set_sum(&all->set).bytes_error);
}

static void field_notes(lua_State *L, struct bind_snapshot *b)
{
    lua_pushstring(L, b->snapshot.strings + b->snapshot.meta->notes);
}

/* Their number; nil without any. */
static void field_references(lua_State *L, struct bind_snapshot *b)
{
    if (b->snapshot.edge_row)
        lua_pushinteger(L, (lua_Integer)b->snapshot.edge_count + b->snapshot.root_edge_count);
    else
        lua_pushnil(L);
}

static int snapshot_index(lua_State *L)
{
    static const struct {
        const char *name;
        void (*push)(lua_State *L, struct bind_snapshot *b);
    } fields[] = {
        {"bytes", field_bytes},
        {"time", field_time},
        {"pid", field_pid},
        {"pause_ms", field_pause_ms},
        {"build_ms", field_build_ms},
        {"complete", field_complete},
        {"stop", field_stop},
        {"missed", field_missed},
        {"notes", field_notes},
        {"estimated", field_estimated},
        {"sample", field_sample},
        {"peak", field_peak},
        {"recording", field_recording},
        {"count_error", field_count_error},
        {"bytes_error", field_bytes_error},
        {"references", field_references},
    };
    struct bind_snapshot *b = script_check_snapshot(L, 1);
    const char *name = lua_tostring(L, 2);
    for (size_t i = 0; name && i < COUNT_OF(fields); i++) {
        if (!strcmp(fields[i].name, name)) {
            fields[i].push(L, b);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static int snapshot_tostring(lua_State *L)
{
    struct bind_snapshot *b = luaL_checkudata(L, 1, "snapshot");
    if (b->open)
        lua_pushfstring(L, "snapshot: %I%s blocks, pid %I", (LUAI_UACINT)b->snapshot.block_count,
                        b->view.sample_bytes ? " sampled" : "",
                        (LUAI_UACINT)b->snapshot.meta->pid);
    else
        lua_pushliteral(L, "snapshot: closed");
    return 1;
}

void script_open_snapshot(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"all", snapshot_all},
        {"type", snapshot_type},
        {"site", snapshot_site},
        {"at", snapshot_at},
        {"by", snapshot_by},
        {"diff", snapshot_diff},
        {"new_since", snapshot_new_since},
        {"gone_since", snapshot_gone_since},
        {"unreachable", script_snapshot_unreachable},
        {"unknown", script_snapshot_unknown},
        {"roots", script_snapshot_roots},
        {"threads", script_snapshot_threads},
        {"save", snapshot_save_it},
        {"close", snapshot_close_it},
        {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {
        {"__len", snapshot_len},
        {"__tostring", snapshot_tostring},
        {"__gc", snapshot_close_it},
        {"__close", snapshot_close_it},
        {NULL, NULL},
    };
    script_noun(L, "snapshot", methods, metamethods, snapshot_index);
}
