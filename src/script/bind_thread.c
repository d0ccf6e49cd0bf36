/* SPDX-License-Identifier: MIT
 *
 * bind_thread.c - s:threads(): the threads of a snapshot, and where each of them stood.
 *
 * Context: pure.
 * Invariant: each thread has one row. One that could not be stopped has no stack but says why;
 * where nobody was stopped, those that are known since they have allocated are listed, without.
 */
#include "bind.h"

/* [-0, +1] */
static void push_row(lua_State *L, const char *name, u32 tid, u32 number)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, tid);
    lua_setfield(L, -2, "tid");
    if (number) {
        lua_pushinteger(L, number);
        lua_setfield(L, -2, "number");
    }
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
}

void script_push_threads(lua_State *L, const struct bind_snapshot *b)
{
    const struct snapshot *s = &b->snapshot;
    lua_Integer n = 0;
    lua_createtable(L, (int)s->standing_count, 0);
    for (u32 i = 0; i < s->standing_count; i++) {
        const struct snapshot_standing *t = &s->standing[i];
        push_row(L, s->strings + t->name, t->tid, t->thread);
        script_push_standing(L, &b->types, t);
        lua_setfield(L, -2, "stack");
        lua_rawseti(L, -2, ++n);
    }
    for (u32 i = 0; i < s->missed_count; i++) {
        const struct snapshot_missed *t = &s->missed[i];
        push_row(L, s->strings + t->name, t->tid, 0);
        lua_pushstring(L, s->strings + t->why);
        lua_setfield(L, -2, "why");
        lua_rawseti(L, -2, ++n);
    }
    for (u32 i = 0; n == 0 && i < s->thread_count; i++) {
        const struct snapshot_thread *t = &s->threads[i];
        if (!t->alive)
            continue;
        push_row(L, s->strings + t->name, t->tid, t->number);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
}

int script_snapshot_threads(lua_State *L)
{
    script_push_threads(L, script_check_snapshot(L, 1));
    return 1;
}
