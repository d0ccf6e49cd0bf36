/* SPDX-License-Identifier: MIT
 *
 * bind_missing.c - what the API promises and this version cannot answer yet.
 *
 * Context: pure.
 * Invariant: each of these raises an error that says what is missing; none is silently nil.
 */
#include <string.h>

#include "bind.h"

enum want { DEBUG_INFORMATION };

/* X(noun, name, what it needs) */
#define MISSING(X)                                                                                 \
    X("heap", "istype", DEBUG_INFORMATION)                                                         \
    X("heap", "subtype", DEBUG_INFORMATION)                                                        \
    X("block", "field", DEBUG_INFORMATION)

static const struct {
    const char *noun, *name;
    enum want want;
} missing[] = {
#define X(noun, name, want) {noun, name, want},
    MISSING(X)
#undef X
};

static const char *const wants[] = {
    [DEBUG_INFORMATION] = "needs debug information, which this version does not read yet",
};

static int raise_missing(lua_State *L)
{
    return luaL_error(L, "%s %s", lua_tostring(L, lua_upvalueindex(1)),
                      lua_tostring(L, lua_upvalueindex(2)));
}

void script_add_missing(lua_State *L, const char *noun)
{
    for (size_t i = 0; i < COUNT_OF(missing); i++) {
        if (strcmp(missing[i].noun, noun) != 0)
            continue;
        lua_pushstring(L, missing[i].name);
        lua_pushstring(L, wants[missing[i].want]);
        lua_pushcclosure(L, raise_missing, 2);
        lua_setfield(L, -2, missing[i].name);
    }
}
