/* SPDX-License-Identifier: MIT
 *
 * limits.c - the end of a run's time.
 *
 * Context: pure.
 * Invariant: once the time is over, every coroutine of the script fails at its next instruction,
 * so no pcall can go on: the instruction after it fails again, one level further out.
 * Why a count hook: it is the one thing that stops Lua code at any place. Coroutines inherit the
 * hook of their maker; one that `data` kept from an earlier run gets its pace back here. Finalizers
 * run without hooks (Lua 5.4, GCTM), which is why scripts may not set __gc; and so does what is
 * called while an error of the hook itself is on its way, which is why sandbox.c wraps xpcall and
 * the makers of coroutines.
 * What it does not reach is a single call of C that never ends, such as a pattern made to
 * backtrack for ever: that holds up further scripts, not the program.
 */
#include "state.h"

enum { CLOCK_EVERY = 10000 };

static void on_count(lua_State *L, lua_Debug *where)
{
    (void)where;
    struct script *s = script_of(L);
    if (!s->expired && sys_monotonic_ns() < s->deadline_ns) {
        if (lua_gethookcount(L) != CLOCK_EVERY)
            lua_sethook(L, on_count, LUA_MASKCOUNT, CLOCK_EVERY);
        return;
    }
    s->expired = true;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    u64 ms = s->limits.timeout_ns / 1000000;
    luaL_where(L, 0); /* in a hook, level 0 is the function that it interrupts */
    lua_pushfstring(L, "%sthe run took longer than %d.%d s; raise MOONHEAP_SCRIPT_TIMEOUT",
                    lua_tostring(L, -1), (int)(ms / 1000), (int)(ms / 100 % 10));
    lua_error(L);
}

void script_limits_begin(struct script *s, lua_State *co)
{
    u64 now = sys_monotonic_ns(), span = s->limits.timeout_ns;
    s->deadline_ns = span && now + span > now ? now + span : UINT64_MAX;
    s->expired = false;
    lua_sethook(co, on_count, LUA_MASKCOUNT, CLOCK_EVERY);
}

void script_limits_end(struct script *s, lua_State *co)
{
    lua_sethook(co, NULL, 0, 0);
    s->expired = false;
}
