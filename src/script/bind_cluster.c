/* SPDX-License-Identifier: MIT
 *
 * bind_cluster.c - set:clusters(): a set put together by the shape of the paths that hold it.
 *
 * Context: pure.
 * Invariant: the kind of a block is its type, that of a root is what a person would name it by: a
 * thread's stack, a global, an array. So "a slot of one global array" is one shape however many
 * slots there are.
 */
#include <string.h>

#include "bind.h"

enum { ARRAY_WORDS = 16, CHAIN_BYTES = 2000, CHAIN_LINKS = 64 };

struct kinds {
    const struct bind_snapshot *b;
    u32 *root_of; /* by root edge from 0: the first root edge of its kind, from 1 */
};

static u32 block_kind(void *context, block_id b)
{
    return types_of_block(&((struct kinds *)context)->b->types, b).v;
}

static u32 root_kind(void *context, u32 root_edge)
{
    return ((struct kinds *)context)->root_of[root_edge - 1];
}

/* Of threads, only which thread counts, and on its stack in which function; but a variable of a
 * thread's is a variable. */
static bool is_of_thread(const struct snapshot_root *root)
{
    return root->kind == SNAPSHOT_ROOT_STACK || root->kind == SNAPSHOT_ROOT_DEAD_STACK ||
           root->kind == SNAPSHOT_ROOT_REGISTER ||
           (root->kind == SNAPSHOT_ROOT_THREAD_LOCAL && !root->module);
}

/* The function whose frame has the word; TYPES_NO_NAME = unknown. */
static u32 function_of(const struct kinds *k, const struct snapshot_root_edge *edge)
{
    const struct snapshot *s = &k->b->snapshot;
    const struct types *t = &k->b->types;
    const struct snapshot_call *c =
        script_root_call(s, &s->roots[edge->root - 1], snapshot_root_edge_address(s, edge));
    return c ? t->places[t->place_row[c->frame + 1] - 1].function : TYPES_NO_NAME;
}

/* The same function further in on the same stack, or the edge itself. */
static u32 first_in_function(const struct kinds *k, u32 edge, u32 function)
{
    const struct snapshot_root_edge *edges = k->b->snapshot.root_edges;
    u32 found = edge;
    for (u32 i = edge; i-- > 0 && edges[i].root == edges[edge].root;)
        if (k->root_of[i] == i + 1 && function_of(k, &edges[i]) == function)
            found = i;
    return found;
}

/* References in so many words one after another are an array. */
static void find_root_kinds(struct kinds *k)
{
    const struct snapshot *s = &k->b->snapshot;
    u32 end;
    for (u32 first = 0; first < s->root_edge_count; first = end) {
        const struct snapshot_root_edge *r = &s->root_edges[first];
        bool whole = is_of_thread(&s->roots[r->root - 1]);
        u32 function = whole ? function_of(k, r) : TYPES_NO_NAME;
        for (end = first + 1; end < s->root_edge_count; end++)
            if (s->root_edges[end].root != r->root ||
                (whole ? function_of(k, &s->root_edges[end]) != function
                       : s->root_edges[end].at != r->at + (end - first)))
                break;
        bool folded = whole || end - first >= ARRAY_WORDS;
        u32 kind = whole ? first_in_function(k, first, function) : first;
        for (u32 i = first; i < end; i++)
            k->root_of[i] = (folded ? kind : i) + 1;
    }
}

static size_t root_text(const struct kinds *k, u32 root_edge, char *out, size_t size)
{
    const struct snapshot *s = &k->b->snapshot;
    bool whole = is_of_thread(&s->roots[s->root_edges[root_edge - 1].root - 1]);
    bool array = !whole && root_edge < s->root_edge_count && k->root_of[root_edge] == root_edge;
    size_t used = script_root_text(k->b, root_edge, whole, out, size);
    return used + text_format(out + used, size - used, "%s", array ? "[]" : "");
}

/* "global server+0x4040 → table → node*"; a * stands where paths came back to a kind. */
static const char *shape_text(const struct kinds *k, const struct graph_clusters *c, u32 shape,
                              const struct types_memory *m)
{
    char text[CHAIN_BYTES];
    u32 chain[CHAIN_LINKS], links = 0;
    const struct types_names *types = &k->b->types.types;
    if (!shape)
        return "unreachable";
    u32 at = shape;
    for (; c->shapes[at].parent; at = c->shapes[at].parent)
        chain[links < CHAIN_LINKS ? links++ : links - 1] = at; /* of too many, some are left out */
    size_t used = root_text(k, c->shapes[at].kind, text, sizeof text);
    while (links-- > 0) {
        const struct graph_shape *link = &c->shapes[chain[links]];
        used += text_format(text + used, sizeof text - used, " \u2192 %s%s",
                            types->text[link->kind], link->folded ? "*" : "");
    }
    char *out = types_take(m, used + 1, 1);
    memcpy(out, text, used);
    return out;
}

/* [-0, +0] groups in the order of the clusters. */
static void group_by_cluster(struct bind_set *s, const struct kinds *k, struct query_grouping *by,
                             const struct types_memory *keep, const struct types_memory *scratch)
{
    const struct graph_clusters *c = &s->owner->references.clusters;
    u32 *group_of = types_take(scratch, c->shape_count, sizeof *group_of);
    const char **texts = types_take(keep, (u64)c->cluster_count + 1, sizeof *texts);
    u32 *map = types_take(keep, s->owner->snapshot.block_count, sizeof *map);
    texts[0] = "";
    for (u32 i = 0; i < c->cluster_count; i++) {
        group_of[c->order[i]] = i;
        texts[i] = shape_text(k, c, c->order[i], keep);
    }
    block_id b = {0};
    QUERY_EACH (&s->set, b)
        map[b.v - 1] = group_of[c->shape_of[b.v]];
    memset(by, 0, sizeof *by);
    by->key = QUERY_KEY_CLUSTER;
    by->map = map;
    by->texts = texts;
    by->group_count = c->cluster_count ? c->cluster_count : 1;
}

int script_set_clusters(lua_State *L)
{
    struct bind_set *s = script_check_set(L, 1);
    const struct graph_tree *tree = script_tree(L, s->owner, "clusters");
    script_types(L, s->owner, 1);
    struct bind_graph *r = &s->owner->references;
    struct script_pieces keep, scratch;
    struct query_grouping by;
    struct err e = {0};
    lua_settop(L, 1);
    script_push_pieces(L, &scratch);
    script_push_pieces(L, &keep);
    struct kinds k = {s->owner, types_take(&scratch.memory, s->owner->snapshot.root_edge_count,
                                           sizeof *k.root_of)};
    find_root_kinds(&k);
    struct graph_kinds kinds = {block_kind, root_kind, &k};
    graph_clusters_free(&r->graph, &r->clusters);
    if (!graph_clusters(&r->graph, tree, s->set.bits, &kinds, &r->clusters, &e))
        luaL_error(L, "clusters: %s", e.text);
    group_by_cluster(s, &k, &by, &keep.memory, &scratch.memory);
    graph_clusters_free(&r->graph, &r->clusters);
    script_push_grouped(L, 1, &by);
    return 1;
}
