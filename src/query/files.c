/* SPDX-License-Identifier: MIT
 *
 * files.c - sends stacks to the source file of their site.
 *
 * Context: pure.
 * Invariant: two different files are never one group.
 * Why not always the whole path: it is as long as a build machine's folders are deep, and says
 * nothing more than the name where the name is the only one.
 */
#include <string.h>

#include "files.h"

const char *query_module_name(const struct snapshot *s, u32 module)
{
    const char *path = module ? s->strings + s->modules[module - 1].path : "";
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *path_of(const struct query_view *v, u32 stack)
{
    u32 file = v->types->places[v->types->site_place[stack]].file;
    return v->snapshot->names + file;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* first[id] is the path of the first file of that name; shared[id] says that there are others. */
static void find_shared(const struct query_view *v, struct types_names *names, const char **first,
                        u8 *shared)
{
    for (u32 i = 1; i <= v->snapshot->stack_count; i++) {
        const char *path = path_of(v, i);
        if (!*path)
            continue;
        u32 id = types_names_add(names, name_of(path));
        if (!first[id])
            first[id] = path;
        else if (strcmp(first[id], path) != 0)
            shared[id] = 1;
    }
}

void query_group_by_file(const struct query_view *v, struct query_grouping *g,
                         const struct types_memory *m)
{
    const struct snapshot *s = v->snapshot;
    struct types_names names, shown;
    types_names_init(&names, s->stack_count, m);
    types_names_init(&shown, s->stack_count, m);
    const char **first = types_take(m, names.capacity, sizeof *first);
    u8 *shared = types_take(m, names.capacity, 1);
    find_shared(v, &names, first, shared);

    u32 *map = types_take(m, (u64)s->stack_count + 1, sizeof *map);
    for (u32 i = 1; i <= s->stack_count; i++) {
        const char *path = path_of(v, i), *text = name_of(path);
        if (*path && shared[types_names_find(&names, text)])
            text = path;
        if (!*text)
            text = query_module_name(s, s->frames[v->types->site_frame[i] - 1].module);
        map[i] = *text ? types_names_add(&shown, text) : 0;
    }
    g->map = map;
    g->texts = shown.text;
    g->group_count = shown.count;
}
