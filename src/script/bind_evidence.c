/* SPDX-License-Identifier: MIT
 *
 * bind_evidence.c - b.type_evidence: what the references to a block say of its type.
 *
 * Context: pure.
 * Invariant: every type that any of them says is shown, also those that were outweighed.
 */
#include <stdlib.h>
#include <string.h>

#include "bind.h"

enum { OPINIONS_MOST = 16 };

struct opinion {
    const char *type;
    u64 weight;
    u32 count;
    struct graph_ref first;
};

static int by_weight(const void *left, const void *right)
{
    const struct opinion *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return strcmp(a->type, b->type);
}

static struct types_witness witness(const struct bind_snapshot *b, const struct graph_ref *ref)
{
    const struct snapshot *s = &b->snapshot;
    struct types_witness w = {
        .source = ref->source, .offset = ref->offset, .target = ref->target, .into = ref->into};
    if (ref->root_edge) {
        const struct snapshot_root *root = &s->roots[s->root_edges[ref->root_edge - 1].root - 1];
        w.place = types_variable_place(s, root, ref->offset);
    }
    return w;
}

static u32 listen(struct bind_block *b, const struct graph *g, struct opinion *opinions)
{
    struct graph_ref ref;
    u32 count = 0, weight, i;
    for (struct graph_walk w = graph_referrers(g, GRAPH_HOLDING, b->id); graph_next(&w, &ref);) {
        struct types_witness said = witness(b->owner, &ref);
        const char *type = types_hear(&b->owner->types, &said, &weight);
        if (!type)
            continue;
        for (i = 0; i < count && strcmp(opinions[i].type, type) != 0; i++)
            continue;
        if (i == OPINIONS_MOST)
            continue;
        if (i == count)
            opinions[count++] = (struct opinion){.type = type, .first = ref};
        opinions[i].weight += weight;
        opinions[i].count++;
    }
    qsort(opinions, count, sizeof *opinions, by_weight);
    return count;
}

/* [-0, +1] "session.next" or "global sessions" */
static void push_place(lua_State *L, const struct bind_snapshot *b, const struct graph_ref *ref)
{
    char text[SCRIPT_ROOT_BYTES], type[SCRIPT_FIELD_BYTES];
    const struct types *t = &b->types;
    if (ref->root_edge) {
        script_root_text(b, ref->root_edge, false, text, sizeof text);
        lua_pushstring(L, text);
        return;
    }
    script_field_text(b, ref->source, ref->offset, text, sizeof text);
    text_format(type, sizeof type, "%s", t->types.text[types_of_block(t, ref->source).v]);
    if (*text == '[')
        script_element_text(t->types.text[types_of_block(t, ref->source).v], type, sizeof type);
    lua_pushfstring(L, "%s%s", type, text);
}

void script_push_evidence(lua_State *L, struct bind_block *b)
{
    struct opinion opinions[OPINIONS_MOST];
    const struct graph *g = script_graph(L, b->owner, "type_evidence");
    script_types(L, b->owner, 1);
    u32 count = listen(b, g, opinions);
    lua_createtable(L, (int)count, 0);
    for (u32 i = 0; i < count; i++) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, opinions[i].type);
        lua_setfield(L, -2, "type");
        lua_pushinteger(L, (lua_Integer)opinions[i].weight);
        lua_setfield(L, -2, "weight");
        lua_pushinteger(L, opinions[i].count);
        lua_setfield(L, -2, "count");
        push_place(L, b->owner, &opinions[i].first);
        lua_setfield(L, -2, "by");
        lua_rawseti(L, -2, i + 1);
    }
}
