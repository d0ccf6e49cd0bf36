/* SPDX-License-Identifier: MIT
 *
 * embedded.c - the Lua files that are built in, so that the library alone is enough.
 *
 * Context: pure.
 * Invariant: a built-in file is a canned script, a part of the API, or a module for scripts.
 */
#include <string.h>

#include "lua_embedded.h"
#include "state.h"

/* Scripts that run by their bare name. */
#define CANNED_SCRIPTS(X)                                                                          \
    X(growth) X(holders) X(hunt) X(peak) X(threads) X(top) X(unreachable) X(why) X(window)
/* Files that make up the API itself; neither scripts nor modules. */
#define API_PARTS(X) X(heap) X(modules)

static bool listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static const struct lua_embedded *find(const char *name)
{
    const struct lua_embedded *file = lua_embedded;
    while (file->name && strcmp(file->name, name) != 0)
        file++;
    return file->name ? file : NULL;
}

bool script_is_canned(const char *name)
{
#define X(name) #name,
    static const char *const canned[] = {CANNED_SCRIPTS(X)};
#undef X
    return listed(canned, COUNT_OF(canned), name) && find(name);
}

bool script_is_embedded(const char *name)
{
#define X(name) #name,
    static const char *const parts[] = {API_PARTS(X)};
#undef X
    return find(name) && !listed(parts, COUNT_OF(parts), name) && !script_is_canned(name);
}

bool script_load_embedded(lua_State *L, const char *name, struct err *e)
{
    const struct lua_embedded *file = find(name);
    char chunk_name[80];
    if (!file)
        return err_set(e, STATUS_NOT_FOUND, "there is no built-in file %s.lua", name);
    text_format(chunk_name, sizeof chunk_name, "@%s.lua", name);
    return script_load_text(L, (const char *)file->text, file->bytes, chunk_name, e);
}
