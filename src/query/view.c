/* SPDX-License-Identifier: MIT
 *
 * view.c - sends the blocks of a snapshot to groups, for every key.
 *
 * Context: pure.
 * Invariant: a grouping's map covers every value of the column that its key looks at (stacks,
 * epochs, thread numbers), so a block's group is one array read, and two for its type.
 * Why folded stacks: call stacks that differ only in line are one row to a person. The fold is a
 * trie over functions in place of return addresses, inlined ones among them, made in one pass since
 * parents come first.
 */
#include <string.h>

#include "files.h"
#include "query.h"

enum { STACK_JOINER_BYTES = 3, TEXT_BYTES = 160, PLACE_BYTES = 4096 };

static const char *const key_words[] = {
#define X(name, word) [QUERY_KEY_##name] = word,
    QUERY_KEYS(X)
#undef X
};

static const char *const source_words[] = {
#define X(name, word) [TYPES_SOURCE_##name] = word,
    TYPES_SOURCES(X)
#undef X
};

enum query_key query_key_of(const char *word)
{
    for (u32 k = 0; k < QUERY_KEY_CALLBACK; k++)
        if (!strcmp(word, key_words[k]))
            return (enum query_key)k;
    return QUERY_KEY_COUNT;
}

const char *query_key_word(enum query_key key)
{
    return key_words[key];
}

void query_view_init(struct query_view *v, const struct snapshot *s, const struct types *t)
{
    memset(v, 0, sizeof *v);
    v->snapshot = s;
    v->types = t;
    if (s->meta->flags & SNAPSHOT_FLAG_SAMPLED)
        v->sample_bytes = s->meta->sample_bytes;
}

/* --- sizes --------------------------------------------------------------------------------- */

/* Class 0 holds 0 bytes, class 1 up to 16, class k up to 2^(k+3), the last one the rest. */
static const char *const size_classes[] = {
    "0 B",         "1-16 B",       "17-32 B",         "33-64 B",      "65-128 B",    "129-256 B",
    "257-512 B",   "513-1024 B",   "1-2 KiB",         "2-4 KiB",      "4-8 KiB",     "8-16 KiB",
    "16-32 KiB",   "32-64 KiB",    "64-128 KiB",      "128-256 KiB",  "256-512 KiB", "512-1024 KiB",
    "1-2 MiB",     "2-4 MiB",      "4-8 MiB",         "8-16 MiB",     "16-32 MiB",   "32-64 MiB",
    "64-128 MiB",  "128-256 MiB",  "256-512 MiB",     "512-1024 MiB", "1-2 GiB",     "2-4 GiB",
    "4-8 GiB",     "8-16 GiB",     "16-32 GiB",       "32-64 GiB",    "64-128 GiB",  "128-256 GiB",
    "256-512 GiB", "512-1024 GiB", "more than 1 TiB",
};

static u32 size_class(u64 bytes)
{
    if (bytes <= 16)
        return bytes ? 1 : 0;
    u32 k = 61 - (u32)__builtin_clzll(bytes - 1);
    return k < COUNT_OF(size_classes) ? k : COUNT_OF(size_classes) - 1;
}

/* --- ages ---------------------------------------------------------------------------------- */

#define SECOND_NS 1000000000ull
static const struct {
    u64 below_ns;
    const char *text;
} age_classes[] = {
    {SECOND_NS, "<1s"},        {10 * SECOND_NS, "<10s"},  {60 * SECOND_NS, "<1m"},
    {600 * SECOND_NS, "<10m"}, {3600 * SECOND_NS, "<1h"}, {86400 * SECOND_NS, "<1d"},
    {UINT64_MAX, ">=1d"},
};

static void group_by_age(struct query_view *v, struct query_grouping *g,
                         const struct types_memory *m)
{
    u32 classes = COUNT_OF(age_classes);
    g->group_count = classes * (v->mark_count + 1);
    const char **texts = types_take(m, g->group_count, sizeof *texts);
    for (u32 i = 0; i < g->group_count; i++) {
        texts[i] = age_classes[i % classes].text;
        if (i >= classes) {
            char *text = types_take(m, TEXT_BYTES, 1);
            text_format(text, TEXT_BYTES, "%s, since %s", texts[i], v->marks[i / classes - 1].name);
            texts[i] = text;
        }
    }
    u32 *map = types_take(m, v->snapshot->epoch_count, sizeof *map);
    for (u32 e = 0; e < v->snapshot->epoch_count; e++) {
        u64 age = v->snapshot->epoch_age_ns[e];
        u32 band = 0, mark = 0;
        while (band + 1 < classes && age >= age_classes[band].below_ns)
            band++;
        while (mark < v->mark_count && age <= v->marks[mark].age_ns)
            mark++;
        map[e] = mark * classes + band;
    }
    g->map = map;
    g->texts = texts;
}

/* --- stacks, modules, threads -------------------------------------------------------------- */

static u64 mix(u64 a, u64 b)
{
    u64 h = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}

/* A trie of functions while it grows. */
struct fold {
    u32 *table, *parent, *function;
    u64 *hash;
    u64 mask;
    u32 count;
};

static u32 fold_under(struct fold *f, u32 up, u32 function, u64 function_hash)
{
    u64 h = mix(f->hash[up], function_hash);
    u64 at = h & f->mask;
    while (f->table[at] && (f->parent[f->table[at]] != up || f->function[f->table[at]] != function))
        at = (at + 1) & f->mask;
    if (!f->table[at]) {
        f->table[at] = f->count;
        f->parent[f->count] = up;
        f->function[f->count] = function;
        f->hash[f->count++] = h;
    }
    return f->table[at];
}

static void fold_stacks(struct query_view *v, struct query_grouping *g,
                        const struct types_memory *m)
{
    const struct snapshot *s = v->snapshot;
    const struct types *t = v->types;
    u64 places = 1, slots = 16;
    for (u32 i = 0; i < s->stack_count; i++) {
        u32 frame = s->stacks[i].frame & ~SNAPSHOT_STACK_CUT;
        places += t->place_row[frame + 1] - t->place_row[frame];
    }
    while (slots < 2 * places)
        slots *= 2;
    struct fold fold = {.table = types_take(m, slots, sizeof(u32)),
                        .parent = types_take(m, places, sizeof(u32)),
                        .function = types_take(m, places, sizeof(u32)),
                        .hash = types_take(m, places, sizeof(u64)),
                        .mask = slots - 1,
                        .count = 1};
    u32 *map = types_take(m, (u64)s->stack_count + 1, sizeof *map);
    for (u32 i = 1; i <= s->stack_count; i++) {
        u32 frame = s->stacks[i - 1].frame & ~SNAPSHOT_STACK_CUT;
        map[i] = map[s->stacks[i - 1].parent];
        for (u32 p = t->place_row[frame + 1]; p-- > t->place_row[frame];) {
            u32 function = t->places[p].function;
            map[i] = fold_under(&fold, map[i], function, t->functions.hash[function]);
        }
    }
    g->group_count = fold.count;
    g->map = map;
    g->fold_parent = fold.parent;
    g->fold_function = fold.function;
    g->fold_hash = fold.hash;
}

static void group_by_module(struct query_view *v, struct query_grouping *g,
                            const struct types_memory *m)
{
    const struct snapshot *s = v->snapshot;
    struct types_names names;
    types_names_init(&names, s->module_count, m);
    u32 *of_module = types_take(m, (u64)s->module_count + 1, sizeof *of_module);
    for (u32 i = 1; i <= s->module_count; i++)
        of_module[i] = types_names_add(&names, query_module_name(s, i));
    u32 *map = types_take(m, (u64)s->stack_count + 1, sizeof *map);
    for (u32 i = 1; i <= s->stack_count; i++) {
        u32 frame = v->types->site_frame[i];
        map[i] = of_module[s->frames[frame - 1].module];
    }
    g->map = map;
    g->texts = names.text;
    g->group_count = names.count;
}

static void group_by_function(struct query_view *v, struct query_grouping *g,
                              const struct types_memory *m)
{
    const struct types *t = v->types;
    u32 *map = types_take(m, (u64)v->snapshot->stack_count + 1, sizeof *map);
    for (u32 i = 1; i <= v->snapshot->stack_count; i++)
        map[i] = t->function_of_site[t->site_of_stack[i]];
    g->map = map;
    g->texts = t->functions.text;
    g->group_count = t->functions.count;
}

static void group_by_thread(struct query_view *v, struct query_grouping *g,
                            const struct types_memory *m)
{
    const struct snapshot *s = v->snapshot;
    struct types_names names;
    types_names_init(&names, s->thread_count, m);
    u32 *map = types_take(m, UINT16_MAX + 1, sizeof *map);
    for (u32 i = 0; i < s->thread_count; i++) {
        const struct snapshot_thread *t = &s->threads[i];
        char text[TEXT_BYTES];
        text_format(text, sizeof text, "%s %u", s->strings + t->name, t->tid);
        if (t->number <= UINT16_MAX)
            map[t->number] = types_names_copy(&names, text, m);
    }
    g->map = map;
    g->texts = names.text;
    g->group_count = names.count;
}

static const char *const untagged[] = {"untagged"};

/* Tags are distinct names, so each is a group; group 0 has none. */
static void group_by_tag(struct query_view *v, struct query_grouping *g,
                         const struct types_memory *m)
{
    const struct snapshot *s = v->snapshot;
    const char **texts = types_take(m, (u64)s->tag_count + 1, sizeof *texts);
    u32 *map = types_take(m, (u64)s->tag_count + 1, sizeof *map);
    texts[0] = untagged[0];
    for (u32 i = 1; i <= s->tag_count; i++) {
        texts[i] = s->strings + s->tags[i - 1];
        map[i] = i;
    }
    g->map = map;
    g->texts = texts;
    g->group_count = s->tag_count + 1;
}

/* --- the door ------------------------------------------------------------------------------ */

const struct query_grouping *query_grouping(struct query_view *v, enum query_key key,
                                            const struct types_memory *m)
{
    if (v->made[key])
        return &v->groupings[key];
    struct query_grouping *g = &v->groupings[key];
    memset(g, 0, sizeof *g);
    g->key = key;
    switch (key) {
    case QUERY_KEY_TYPE:
        g->texts = v->types->types.text;
        g->group_count = v->types->types.count;
        break;
    case QUERY_KEY_TYPE_SOURCE:
        g->texts = source_words;
        g->group_count = TYPES_SOURCE_COUNT;
        break;
    case QUERY_KEY_SITE:
        g->map = v->types->site_of_stack;
        g->texts = v->types->sites.text;
        g->group_count = v->types->sites.count;
        break;
    case QUERY_KEY_FUNCTION:
        group_by_function(v, g, m);
        break;
    case QUERY_KEY_STACK:
        fold_stacks(v, g, m);
        break;
    case QUERY_KEY_FILE:
        query_group_by_file(v, g, m);
        break;
    case QUERY_KEY_MODULE:
        group_by_module(v, g, m);
        break;
    case QUERY_KEY_SIZE:
        g->texts = size_classes;
        g->group_count = COUNT_OF(size_classes);
        break;
    case QUERY_KEY_THREAD:
        group_by_thread(v, g, m);
        break;
    case QUERY_KEY_AGE:
        group_by_age(v, g, m);
        break;
    case QUERY_KEY_TAG:
        group_by_tag(v, g, m);
        break;
    case QUERY_KEY_REFERRERS:
    case QUERY_KEY_VIA:
    case QUERY_KEY_CALLBACK:
    case QUERY_KEY_CLUSTER:
    case QUERY_KEY_COUNT:
        g->texts = untagged;
        g->group_count = 1;
        break;
    }
    v->made[key] = true;
    return g;
}

u32 query_group_of(const struct query_view *v, const struct query_grouping *g, block_id b)
{
    const struct snapshot *s = v->snapshot;
    switch (g->key) {
    case QUERY_KEY_TYPE:
        return types_of_block(v->types, b).v;
    case QUERY_KEY_TYPE_SOURCE:
        return types_source_of_block(v->types, b);
    case QUERY_KEY_SITE:
    case QUERY_KEY_FUNCTION:
    case QUERY_KEY_STACK:
    case QUERY_KEY_FILE:
    case QUERY_KEY_MODULE:
        return g->map[s->block_stack[b.v - 1]];
    case QUERY_KEY_SIZE:
        return size_class(snapshot_block_bytes(s, b));
    case QUERY_KEY_THREAD:
        return g->map[s->block_thread[b.v - 1]];
    case QUERY_KEY_AGE:
        return g->map[s->block_birth[b.v - 1]];
    case QUERY_KEY_REFERRERS:
    case QUERY_KEY_VIA:
    case QUERY_KEY_CALLBACK:
    case QUERY_KEY_CLUSTER:
        return g->map[b.v - 1];
    case QUERY_KEY_TAG:
        return s->block_tag ? g->map[s->block_tag[b.v - 1]] : 0;
    case QUERY_KEY_COUNT:
        break;
    }
    return 0;
}

void query_stack_text(const struct query_view *v, const struct query_grouping *g, u32 group,
                      void (*out)(void *context, const char *function), void *context)
{
    if (!group)
        out(context, v->types->functions.text[0]);
    for (; group; group = g->fold_parent[group])
        out(context, v->types->functions.text[g->fold_function[group]]);
}

void query_stack_places(const struct query_view *v, stack_id stack,
                        void (*out)(void *context, const char *place), void *context)
{
    const struct types *t = v->types;
    char text[PLACE_BYTES];
    if (!stack.v)
        out(context, t->sites.text[0]);
    for (u32 i = stack.v; i; i = v->snapshot->stacks[i - 1].parent) {
        u32 frame = v->snapshot->stacks[i - 1].frame & ~SNAPSHOT_STACK_CUT;
        for (u32 p = t->place_row[frame]; p < t->place_row[frame + 1]; p++) {
            types_place_text(t, p, text, sizeof text);
            out(context, text);
        }
    }
}

struct comparison {
    const char *rest; /* what is left of the text; NULL once they differ */
    bool first;
};

static void compare_function(void *context, const char *function)
{
    struct comparison *c = context;
    if (c->rest && !c->first)
        c->rest = strncmp(c->rest, " < ", STACK_JOINER_BYTES) ? NULL : c->rest + STACK_JOINER_BYTES;
    c->first = false;
    size_t length = strlen(function);
    if (c->rest)
        c->rest = strncmp(c->rest, function, length) ? NULL : c->rest + length;
}

bool query_group_is(const struct query_view *v, const struct query_grouping *g, u32 group,
                    const char *text)
{
    if (g->texts)
        return !strcmp(g->texts[group], text);
    struct comparison c = {text, true};
    query_stack_text(v, g, group, compare_function, &c);
    return c.rest && !*c.rest;
}

u64 query_group_hash(const struct query_grouping *g, u32 group)
{
    return g->texts ? types_hash(g->texts[group]) : g->fold_hash[group];
}

bool query_group_same(const struct query_view *v, const struct query_grouping *g, u32 group,
                      const struct query_view *other_v, const struct query_grouping *other,
                      u32 other_group)
{
    if (g->texts)
        return !strcmp(g->texts[group], other->texts[other_group]);
    while (group && other_group) {
        const char *a = v->types->functions.text[g->fold_function[group]];
        const char *b = other_v->types->functions.text[other->fold_function[other_group]];
        if (strcmp(a, b) != 0)
            return false;
        group = g->fold_parent[group];
        other_group = other->fold_parent[other_group];
    }
    return !group && !other_group;
}
