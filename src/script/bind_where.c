/* SPDX-License-Identifier: MIT
 *
 * bind_where.c - set:where{...}: the blocks of a set that fit a description.
 *
 * Context: pure.
 * Invariant: names and patterns are tried once per type, function or thread; per block only
 * numbers are compared. fn comes last, on what is left.
 */
#include <string.h>

#include "bind.h"

static const char *const where_options[] = {
    "type",    "site",      "thread",      "tag",       "min_size", "max_size", "older",
    "younger", "stack_has", "stack_lacks", "reachable", "fn",       "pattern",  NULL,
};

/* What a where{} being put together refers to. */
struct where {
    lua_State *L;
    struct bind_snapshot *b;
    struct script_pieces scratch;
    bool pattern;
    struct query_filter filter;
    u8 *stack_ok;
};

/* [-0, +1 when true] the text of an option. */
static const char *text_option(struct where *w, const char *word)
{
    if (lua_getfield(w->L, 2, word) == LUA_TNIL) {
        lua_pop(w->L, 1);
        return NULL;
    }
    if (!lua_isstring(w->L, -1))
        luaL_error(w->L, "option '%s' must be a text", word);
    return lua_tostring(w->L, -1);
}

static void want_type(struct where *w)
{
    const char *name = text_option(w, "type");
    if (!name)
        return;
    const struct types *t = script_types(w->L, w->b, 1);
    u8 *ok = types_take(&w->scratch.memory, t->types.count, 1);
    if (!script_match_types(w->L, t, name, w->pattern, ok))
        w->filter.nothing = true;
    w->filter.type_ok = ok;
    lua_pop(w->L, 1);
}

static u8 *stack_filter(struct where *w)
{
    u32 stacks = w->b->snapshot.stack_count;
    if (!w->stack_ok) {
        w->stack_ok = types_take(&w->scratch.memory, (u64)stacks + 1, 1);
        memset(w->stack_ok, 1, (size_t)stacks + 1);
        w->filter.stack_ok = w->stack_ok;
    }
    return w->stack_ok;
}

static void want_site(struct where *w)
{
    const struct types *t = &w->b->types;
    const char *name = text_option(w, "site");
    if (!name)
        return;
    u8 *ok = types_take(&w->scratch.memory, t->sites.count, 1);
    if (!script_match_sites(w->L, t, name, w->pattern, &w->scratch.memory, ok))
        w->filter.nothing = true;
    u8 *stack_ok = stack_filter(w);
    for (u32 i = 0; i <= w->b->snapshot.stack_count; i++)
        stack_ok[i] &= ok[t->site_of_stack[i]];
    lua_pop(w->L, 1);
}

/* ok[frame] = 1 where a function, or a function with its file and line, matches. */
static void match_frames(struct where *w, const char *pattern, u8 *ok)
{
    const struct types *t = &w->b->types;
    struct types_names texts;
    char text[4096];
    u8 *function_ok = types_take(&w->scratch.memory, t->functions.count, 1);
    script_match_names(w->L, &t->functions, pattern, true, function_ok);

    u32 *text_of = types_take(&w->scratch.memory, t->place_count, sizeof *text_of);
    types_names_init(&texts, t->place_count, &w->scratch.memory);
    for (u32 p = 1; p < t->place_count; p++) {
        types_place_text(t, p, text, sizeof text);
        text_of[p] = types_names_copy(&texts, text, &w->scratch.memory);
    }
    u8 *text_ok = types_take(&w->scratch.memory, texts.count, 1);
    script_match_names(w->L, &texts, pattern, true, text_ok);

    for (u32 f = 1; f <= w->b->snapshot.frame_count; f++)
        for (u32 p = t->place_row[f]; p < t->place_row[f + 1]; p++)
            ok[f] |= function_ok[t->places[p].function] | text_ok[text_of[p]];
}

/* stack_has: a frame matches; stack_lacks: none does. Parents come first in the trie. */
static void want_frames(struct where *w, const char *word, bool wanted)
{
    const struct snapshot *s = &w->b->snapshot;
    const char *name = text_option(w, word);
    if (!name)
        return;
    u8 *ok = types_take(&w->scratch.memory, (u64)s->frame_count + 1, 1);
    match_frames(w, name, ok);
    u8 *has = types_take(&w->scratch.memory, (u64)s->stack_count + 1, 1);
    u8 *stack_ok = stack_filter(w);
    stack_ok[0] &= !wanted;
    for (u32 i = 1; i <= s->stack_count; i++) {
        const struct snapshot_stack *node = &s->stacks[i - 1];
        has[i] = has[node->parent] | ok[node->frame & ~SNAPSHOT_STACK_CUT];
        stack_ok[i] &= has[i] == wanted;
    }
    lua_pop(w->L, 1);
}

/* A thread by its number as the kernel counts (tid), its name, or its key in a partition. */
static void want_thread(struct where *w)
{
    const struct snapshot *s = &w->b->snapshot;
    const char *name = text_option(w, "thread");
    if (!name)
        return;
    u64 tid = 0;
    bool number = text_parse_u64(name, &tid);
    u8 *ok = types_take(&w->scratch.memory, UINT16_MAX + 1, 1);
    ok[0] = !strcmp(name, "unknown");
    for (u32 i = 0; i < s->thread_count; i++) {
        const struct snapshot_thread *t = &s->threads[i];
        const char *its = s->strings + t->name;
        char key[160];
        text_format(key, sizeof key, "%s %u", its, t->tid);
        if (t->number <= UINT16_MAX &&
            ((number && t->tid == tid) || !strcmp(name, its) || !strcmp(name, key)))
            ok[t->number] = 1;
    }
    w->filter.thread_ok = ok;
    lua_pop(w->L, 1);
}

static void want_tag(struct where *w)
{
    const struct snapshot *s = &w->b->snapshot;
    const char *name = text_option(w, "tag");
    if (!name)
        return;
    u8 *ok = types_take(&w->scratch.memory, (u64)s->tag_count + 1, 1);
    ok[0] = !strcmp(name, "untagged");
    for (u32 i = 1; i <= s->tag_count; i++)
        ok[i] = !strcmp(name, s->strings + s->tags[i - 1]);
    w->filter.tag_ok = ok;
    lua_pop(w->L, 1);
}

static void want_numbers(struct where *w)
{
    double n;
    struct query_filter *f = &w->filter;
    f->max_bytes = f->max_age_ns = UINT64_MAX;
    if (script_option_number(w->L, 2, "min_size", &n))
        f->min_bytes = n < 1e18 ? (u64)n : UINT64_MAX;
    if (script_option_number(w->L, 2, "max_size", &n))
        f->max_bytes = n < 1e18 ? (u64)n : UINT64_MAX;
    if (script_option_number(w->L, 2, "older", &n))
        f->min_age_ns = script_seconds(n);
    if (script_option_number(w->L, 2, "younger", &n))
        f->max_age_ns = script_seconds(n);
}

static void want_reachable(struct where *w, struct bind_set *out)
{
    if (lua_getfield(w->L, 2, "reachable") != LUA_TNIL) {
        const u64 *reached = script_reached(w->L, w->b, "reachable");
        u64 others = lua_toboolean(w->L, -1) ? 0 : UINT64_MAX;
        for (u32 i = 0; i < out->set.words; i++)
            out->set.bits[i] &= reached[i] ^ others;
    }
    lua_pop(w->L, 1);
}

/* [-1 set, +1 set] those for which the function at the top's neighbour says yes. */
static void keep_by_function(lua_State *L, struct bind_snapshot *b, int function_at,
                             const struct bind_set *in)
{
    struct bind_set *out = script_push_set(L, b, 1);
    for (block_id id = query_set_next(&in->set, (block_id){0}); id.v;
         id = query_set_next(&in->set, id)) {
        lua_pushvalue(L, function_at);
        script_push_block(L, b, 1, id);
        lua_call(L, 1, 1);
        if (!b->open)
            luaL_error(L, "snapshot closed");
        if (lua_toboolean(L, -1))
            query_set_add(&out->set, id);
        lua_pop(L, 1);
    }
}

int script_set_where(lua_State *L)
{
    struct bind_set *in = script_check_set(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    script_check_options(L, 2, where_options);
    lua_getfield(L, 2, "fn");
    int function_at = lua_gettop(L);
    if (!lua_isnil(L, function_at))
        luaL_checktype(L, function_at, LUA_TFUNCTION);

    struct where w = {.L = L, .b = in->owner};
    script_push_pieces(L, &w.scratch);
    w.pattern = script_option_bool(L, 2, "pattern", false);
    want_type(&w);
    want_site(&w);
    want_frames(&w, "stack_has", true);
    want_frames(&w, "stack_lacks", false);
    want_thread(&w);
    want_tag(&w);
    want_numbers(&w);
    struct bind_set *out = script_push_set(L, in->owner, 1);
    query_set_filter(&out->set, &in->set, &w.filter);
    want_reachable(&w, out);
    if (!lua_isnil(L, function_at))
        keep_by_function(L, in->owner, function_at, out);
    return 1;
}
