/* SPDX-License-Identifier: MIT
 *
 * bind_picture.c - path:dot and set:dot: text for Graphviz, or a picture where the host can make one.
 *
 * Context: pure.
 * Invariant: a file is written only where the script says; the text of a picture stands beside it,
 * so that it can be made elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"

enum { DOT_LIMIT = 200 };

struct picture {
    struct bind_snapshot *b;
    luaL_Buffer out;
};

static bool picture_write(void *context, const char *text, size_t bytes)
{
    luaL_addlstring(&((struct picture *)context)->out, text, bytes);
    return true;
}

static size_t picture_block(void *context, block_id b, char *out, size_t size)
{
    const struct bind_snapshot *owner = ((struct picture *)context)->b;
    char bytes[32];
    text_bytes(bytes, sizeof bytes, snapshot_block_bytes(&owner->snapshot, b));
    return text_format(out, size, "%s\n0x%llx\n%s",
                       owner->types.types.text[types_of_block(&owner->types, b).v],
                       (unsigned long long)snapshot_block_addr(&owner->snapshot, b), bytes);
}

static size_t picture_root(void *context, u32 root_edge, char *out, size_t size)
{
    return script_root_text(((struct picture *)context)->b, root_edge, false, out, size);
}

static size_t picture_ref(void *context, const struct graph_ref *ref, char *out, size_t size)
{
    const struct bind_snapshot *b = ((struct picture *)context)->b;
    if (ref->root_edge)
        return text_format(out, size, "%s", graph_class_word(ref->class));
    size_t used = script_field_text(b, ref->source, ref->offset, out, size);
    return used + text_format(out + used, size - used, "%s%s", ref->class ? "\n" : "",
                              graph_class_word(ref->class));
}

static struct graph_dot picture_begin(lua_State *L, struct picture *x, struct bind_snapshot *b)
{
    x->b = b;
    luaL_buffinit(L, &x->out);
    return (struct graph_dot){picture_write, picture_block, picture_root, picture_ref, x};
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Writes the text to a file; false with the reason. */
static bool write_file(const char *path, const char *text, size_t bytes, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    bool ok = fd >= 0 && write_all(fd, text, bytes);
    if (!ok)
        err_set(e, STATUS_IO, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

/* "svg" of a name that ends so; NULL when it is to hold the text. */
static const char *picture_format(const char *path)
{
    static const char *const formats[] = {"svg", "png", "pdf"};
    const char *dot = strrchr(path, '.');
    for (u32 i = 0; dot && i < COUNT_OF(formats); i++)
        if (!strcmp(dot + 1, formats[i]))
            return formats[i];
    return NULL;
}

/* The text goes beside the picture. The program under observation starts no other, so there the
 * run's output says how to go on. */
static bool make_picture(lua_State *L, const char *path, const char *format, const char *text,
                         size_t bytes, struct err *e)
{
    struct script *s = script_of(L);
    const char *beside = lua_pushfstring(L, "%s.dot", path);
    if (!write_file(beside, text, bytes, e))
        return false;
    if (s->host.render)
        return s->host.render(s->host.context, beside, path, format, e);
    lua_pushfstring(L, "%s is written; the picture: dot -T%s -o '%s' '%s'\n", beside, format, path,
                    beside);
    script_print(s, lua_tostring(L, -1), lua_rawlen(L, -1));
    return true;
}

/* The text itself, or with a file's name true: the text, or the picture, is in the file. */
static int picture_end(lua_State *L, struct picture *x, int file)
{
    size_t bytes;
    luaL_pushresult(&x->out);
    const char *text = lua_tolstring(L, -1, &bytes), *path = luaL_optstring(L, file, NULL);
    if (!path)
        return 1;
    struct err e = {0};
    const char *format = picture_format(path);
    bool ok = format ? make_picture(L, path, format, text, bytes, &e)
                     : write_file(path, text, bytes, &e);
    if (!ok)
        return script_fail(L, &e);
    lua_pushboolean(L, true);
    return 1;
}

int script_path_dot(lua_State *L)
{
    struct picture x;
    struct bind_path *p = script_check_path(L, 1);
    lua_settop(L, 2);
    luaL_optstring(L, 2, NULL);
    struct graph_dot dot = picture_begin(L, &x, p->owner);
    graph_dot_path(&p->owner->references.graph, &p->path, &dot);
    return picture_end(L, &x, 2);
}

/* set:dot([file][, {limit=}]) */
int script_set_dot(lua_State *L)
{
    static const char *const options[] = {"limit", NULL};
    struct picture x;
    struct bind_set *s = script_check_set(L, 1);
    double limit = DOT_LIMIT;
    if (lua_istable(L, 2)) {
        lua_pushnil(L);
        lua_insert(L, 2);
    }
    lua_settop(L, 3);
    luaL_optstring(L, 2, NULL);
    script_check_options(L, 3, options);
    script_option_number(L, 3, "limit", &limit);
    const struct graph *g = script_graph(L, s->owner, "dot");
    script_types(L, s->owner, 1);
    struct graph_dot dot = picture_begin(L, &x, s->owner);
    graph_dot_set(g, GRAPH_ANY, s->set.bits, limit < UINT32_MAX ? (u32)limit : UINT32_MAX, &dot);
    return picture_end(L, &x, 2);
}
