/* SPDX-License-Identifier: MIT
 *
 * referrers.c - blocks put together by what refers to them: by the kinds of their referrers
 * (Heapy's byrcs), or by kind and place (byvia).
 *
 * Context: pure.
 * Invariant: two blocks are in one group exactly when the kinds noted of them are the same; of more
 * than KINDS_MAX kinds the lowest are noted, and that there are more.
 * Why lists of numbers: a kind is a type's id or a root's kind, with a place for "via", so a block
 * costs some comparisons of integers, and text is made once a group.
 */
#include <stdlib.h>
#include <string.h>

#include "query.h"

enum { KINDS_MAX = 16, KIND_TEXT_BYTES = 200, PLACES = 64, PLACE_BITS = 8 };

/* A kind: source << PLACE_BITS | place + 1, where the source is a type's id, or a root's kind above
 * all of those; places are words of 8 bytes, the last one standing for all that follow. */
struct kinds {
    u32 count;
    bool more;
    u64 kind[KINDS_MAX];
};

struct groups {
    const struct query_view *v;
    const struct types_memory *scratch;
    struct kinds **list; /* by group */
    u32 *slots;          /* group + 1, 0 = free; at most half full */
    u32 count, slot_count;
};

const char *query_root_word(enum snapshot_root_kind kind)
{
    return kind == SNAPSHOT_ROOT_DATA ? "global" : snapshot_root_word(kind);
}

static void note_kind(struct kinds *k, u64 kind)
{
    u32 at = 0;
    while (at < k->count && k->kind[at] < kind)
        at++;
    if (at < k->count && k->kind[at] == kind)
        return;
    if (k->count == KINDS_MAX) {
        k->more = true;
        if (at == KINDS_MAX)
            return;
        k->count--;
    }
    memmove(&k->kind[at + 1], &k->kind[at], (k->count - at) * sizeof k->kind[0]);
    k->kind[at] = kind;
    k->count++;
}

static u64 kind_of(const struct query_view *v, const struct graph_ref *ref, bool via)
{
    if (ref->root_edge) {
        const struct snapshot *s = v->snapshot;
        u32 kind = s->roots[s->root_edges[ref->root_edge - 1].root - 1].kind;
        return ((u64)v->types->types.count + kind) << PLACE_BITS;
    }
    u64 kind = (u64)types_of_block(v->types, ref->source).v << PLACE_BITS, word = ref->offset / 8;
    return via && ref->offset != GRAPH_PART ? kind | ((word < PLACES ? word : PLACES) + 1) : kind;
}

static void kinds_of_block(const struct query_view *v, const struct graph *g, block_id b, bool via,
                           struct kinds *k)
{
    struct graph_ref ref;
    memset(k, 0, sizeof *k);
    for (struct graph_walk w = graph_referrers(g, GRAPH_HOLDING, b); graph_next(&w, &ref);)
        note_kind(k, kind_of(v, &ref, via));
}

static u64 hash_of(const struct kinds *k)
{
    u64 h = k->count + k->more;
    for (u32 i = 0; i < k->count; i++) {
        h = (h ^ k->kind[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static void grow(struct groups *x)
{
    u32 slots = x->slot_count ? 2 * x->slot_count : 64;
    struct kinds **list = types_take(x->scratch, slots / 2, sizeof(struct kinds *));
    if (x->count)
        memcpy(list, x->list, x->count * sizeof *list);
    x->list = list;
    x->slots = types_take(x->scratch, slots, sizeof *x->slots);
    x->slot_count = slots;
    for (u32 i = 0; i < x->count; i++) {
        u64 at = hash_of(list[i]) & (slots - 1);
        while (x->slots[at])
            at = (at + 1) & (slots - 1);
        x->slots[at] = i + 1;
    }
}

static u32 group_of(struct groups *x, const struct kinds *k)
{
    if (2 * x->count >= x->slot_count)
        grow(x);
    u64 at = hash_of(k) & (x->slot_count - 1);
    for (; x->slots[at]; at = (at + 1) & (x->slot_count - 1))
        if (!memcmp(x->list[x->slots[at] - 1], k, sizeof *k))
            return x->slots[at] - 1;
    struct kinds *kept = types_take(x->scratch, 1, sizeof *kept);
    memcpy(kept, k, sizeof *kept); /* with its padding: they are compared whole */
    x->list[x->count++] = kept;
    x->slots[at] = x->count;
    return x->count - 1;
}

static void kind_text(const struct query_view *v, u64 kind, char out[KIND_TEXT_BYTES])
{
    u64 source = kind >> PLACE_BITS, place = kind & ((1 << PLACE_BITS) - 1);
    u32 types = v->types->types.count;
    const char *name = source < types ? v->types->types.text[source]
                                      : query_root_word((enum snapshot_root_kind)(source - types));
    char member[KIND_TEXT_BYTES];
    u64 offset = 8 * (place - 1);
    size_t used = text_format(out, KIND_TEXT_BYTES, "%s", name);
    bool known = place && place <= PLACES && source < types &&
                 types_member_text(v->types, (type_id){(u32)source}, offset, member, sizeof member);
    if (known)
        text_format(out + used, KIND_TEXT_BYTES - used, "%s%s", *member == '[' ? "" : ".", member);
    else if (place)
        text_format(out + used, KIND_TEXT_BYTES - used, "+0x%x%s", (u32)(8 * (place - 1)),
                    place == PLACES + 1 ? ".." : "");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static const char *group_text(const struct query_view *v, const struct kinds *k,
                              const struct types_memory *keep)
{
    enum { TEXT_BYTES = KINDS_MAX * (KIND_TEXT_BYTES + 2) + 8 };
    char each[KINDS_MAX][KIND_TEXT_BYTES], text[TEXT_BYTES];
    if (!k->count)
        return "nothing";
    for (u32 i = 0; i < k->count; i++)
        kind_text(v, k->kind[i], each[i]);
    qsort(each, k->count, sizeof each[0], by_text);
    size_t used = 0;
    for (u32 i = 0; i < k->count; i++)
        used += text_format(text + used, sizeof text - used, "%s%s", i ? ", " : "", each[i]);
    if (k->more)
        used += text_format(text + used, sizeof text - used, ", ...");
    char *out = types_take(keep, used + 1, 1);
    memcpy(out, text, used);
    return out;
}

void query_group_by_referrers(struct query_grouping *by, const struct query_set *set,
                              const struct graph *g, enum query_key key,
                              const struct types_memory *keep, const struct types_memory *scratch)
{
    struct groups x = {.v = set->view, .scratch = scratch};
    struct kinds k;
    u32 *map = types_take(keep, set->view->snapshot->block_count, sizeof *map);
    block_id b = {0};
    QUERY_EACH (set, b) {
        kinds_of_block(set->view, g, b, key == QUERY_KEY_VIA, &k);
        map[b.v - 1] = group_of(&x, &k);
    }
    const char **texts = types_take(keep, (u64)x.count + 1, sizeof *texts);
    texts[0] = "nothing";
    for (u32 i = 0; i < x.count; i++)
        texts[i] = group_text(set->view, x.list[i], keep);
    memset(by, 0, sizeof *by);
    by->key = key;
    by->map = map;
    by->texts = texts;
    by->group_count = x.count ? x.count : 1;
}
