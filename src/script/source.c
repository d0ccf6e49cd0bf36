/* SPDX-License-Identifier: MIT
 *
 * source.c - Lua source text becomes a function.
 *
 * Context: pure.
 * Invariant: text only: the undumper is never reached, since crafted bytecode can do anything to
 * the process. Nothing is open and nothing is held when Lua unwinds: lua_load does not throw.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

struct file_reader {
    int fd;
    bool first;
    int failed; /* errno of a read */
    bool bytecode;
    char buffer[4096];
};

/* A first line "#!..." is commented out in place, so that line numbers stay right. */
static const char *read_piece(lua_State *L, void *context, size_t *bytes)
{
    (void)L;
    struct file_reader *r = context;
    ssize_t n;
    do
        n = read(r->fd, r->buffer, sizeof r->buffer);
    while (n < 0 && errno == EINTR);
    *bytes = n > 0 ? (size_t)n : 0;
    if (n < 0)
        r->failed = errno;
    char *text = r->buffer;
    if (r->first) {
        r->first = false;
        if (*bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {
            text += 3;
            *bytes -= 3;
        }
        if (*bytes && *text == LUA_SIGNATURE[0]) {
            r->bytecode = true;
            *bytes = 0;
        }
        if (*bytes >= 2 && text[0] == '#')
            text[0] = text[1] = '-';
    }
    return *bytes ? text : NULL;
}

static bool take_error(lua_State *L, struct err *e)
{
    const char *text = lua_tostring(L, -1);
    err_set(e, STATUS_SCRIPT, "%s", text ? text : "it cannot be read");
    lua_pop(L, 1);
    return false;
}

bool script_load_file(lua_State *L, const char *path, const char *chunk_name,
                      char stamp[SCRIPT_STAMP_BYTES], struct err *e)
{
    struct file_reader r = {.first = true};
    if (!script_guard_open(path, &r.fd, stamp, e))
        return false;
    int status = lua_load(L, read_piece, &r, chunk_name, "t");
    close(r.fd);
    if (r.bytecode || r.failed) {
        lua_pop(L, 1);
        if (r.bytecode)
            return err_set(e, STATUS_UNSAFE, "refused to run %s: " SCRIPT_BYTECODE, path);
        return err_set(e, STATUS_IO, "cannot read %s: %s", path, strerror(r.failed));
    }
    return status == LUA_OK || take_error(L, e);
}

bool script_load_text(lua_State *L, const char *text, size_t bytes, const char *chunk_name,
                      struct err *e)
{
    return luaL_loadbufferx(L, text, bytes, chunk_name, "t") == LUA_OK || take_error(L, e);
}
