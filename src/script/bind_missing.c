/* SPDX-License-Identifier: MIT
 *
 * bind_missing.c - what the API promises and this version cannot answer yet.
 *
 * Context: pure.
 * Invariant: each of these raises an error that says what is missing; none is silently nil.
 */
#include <string.h>

#include "bind.h"

enum want { REFERENCES, DEBUG_INFORMATION };

/* X(noun, name, what it needs) */
#define MISSING(X)                                                                                 \
    X("heap", "istype", DEBUG_INFORMATION)                                                         \
    X("heap", "subtype", DEBUG_INFORMATION)                                                        \
    X("snapshot", "unreachable", REFERENCES)                                                       \
    X("snapshot", "roots", REFERENCES)                                                             \
    X("set", "referrers", REFERENCES)                                                              \
    X("set", "referents", REFERENCES)                                                              \
    X("set", "closure", REFERENCES)                                                                \
    X("set", "retained", REFERENCES)                                                               \
    X("set", "paths", REFERENCES)                                                                  \
    X("set", "clusters", REFERENCES)                                                               \
    X("set", "dot", REFERENCES)                                                                    \
    X("block", "referrers", REFERENCES)                                                            \
    X("block", "referents", REFERENCES)                                                            \
    X("block", "why", REFERENCES)                                                                  \
    X("block", "retained", REFERENCES)                                                             \
    X("block", "dominator", REFERENCES)                                                            \
    X("block", "field", DEBUG_INFORMATION)                                                         \
    X("field", "reachable", REFERENCES)                                                            \
    X("key", "referrers", REFERENCES)                                                              \
    X("key", "via", REFERENCES)

static const struct {
    const char *noun, *name;
    enum want want;
} missing[] = {
#define X(noun, name, want) {noun, name, want},
    MISSING(X)
#undef X
};

static const char *const wants[] = {
    [REFERENCES] = "needs references, which this version does not record yet",
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

void script_check_missing(lua_State *L, const char *noun, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(missing); i++)
        if (!strcmp(missing[i].noun, noun) && !strcmp(missing[i].name, name))
            luaL_error(L, "'%s' %s", name, wants[missing[i].want]);
}
