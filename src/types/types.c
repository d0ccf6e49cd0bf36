/* SPDX-License-Identifier: MIT
 *
 * types.c - a type for every block, from the best source that there is.
 *
 * Context: pure.
 * Invariant: after types_build every array of struct types covers all ids of its snapshot, 0 too.
 * Why over stacks and not blocks: there are a thousand times fewer of them. The trie lists parents
 * first, so one pass carries "the nearest frame that is not a wrapper" from caller to callee.
 *
 * A vtable names its block only when it is the primary one (to_top is 0): a block is known by its
 * start, and an object that begins with a secondary vtable is a part of another that begins before
 * the block, which cannot be.
 */
#include <string.h>

#include "places.h"

enum { NAME_BYTES = 4096 };

const char *types_source_word(enum types_source source)
{
    static const char *const words[] = {
#define X(name, word) [TYPES_SOURCE_##name] = word,
        TYPES_SOURCES(X)
#undef X
    };
    return words[source];
}

/* Which places are passed over in search of a site. */
static void judge_places(const struct types *t, u8 *passed)
{
    const struct snapshot *s = t->snapshot;
    for (u32 f = 1; f <= s->frame_count; f++) {
        u32 module = s->frames[f - 1].module;
        const char *file = module ? s->strings + s->modules[module - 1].path : "";
        for (u32 p = t->place_row[f]; p < t->place_row[f + 1]; p++) {
            const struct types_place *place = &t->places[p];
            const char *function = place->named ? t->functions.text[place->function] : NULL;
            passed[p] = types_site_passes_over(file, function) ||
                        types_site_is_library(s->names + place->file);
        }
    }
}

struct site {
    u32 frame, place;
};

/* nearest[i] is the innermost place of stack i that is not passed over, if there is one. */
static void find_sites(const struct types *t, u32 *site_frame, u32 *site_place, const u8 *passed,
                       struct site *nearest)
{
    const struct snapshot *s = t->snapshot;
    for (u32 i = 1; i <= s->stack_count; i++) {
        const struct snapshot_stack *node = &s->stacks[i - 1];
        u32 frame = node->frame & ~SNAPSHOT_STACK_CUT;
        u32 place = t->place_row[frame], end = t->place_row[frame + 1];
        while (place < end && passed[place])
            place++;
        nearest[i] = place < end ? (struct site){frame, place} : nearest[node->parent];
        site_frame[i] = nearest[i].frame ? nearest[i].frame : frame;
        site_place[i] = nearest[i].frame ? nearest[i].place : t->place_row[frame];
    }
}

/* Gives sites their names, equal ones the same id. */
static void name_sites(struct types *t, u32 *sites, const struct types_memory *m)
{
    const struct snapshot *s = t->snapshot;
    char text[NAME_BYTES];
    u32 *site_of_place = types_take(m, t->place_count, sizeof *site_of_place);
    types_names_init(&t->sites, t->place_count, m);
    u32 *functions = types_take(m, t->sites.capacity, sizeof *functions);
    for (u32 i = 1; i <= s->stack_count; i++) {
        u32 place = t->site_place[i];
        if (!site_of_place[place]) {
            types_place_text(t, place, text, sizeof text);
            site_of_place[place] = types_names_copy(&t->sites, text, m);
            functions[site_of_place[place]] = t->places[place].function;
        }
        sites[i] = site_of_place[place];
    }
    t->site_of_stack = sites;
    t->function_of_site = functions;
}

static u32 site_type(struct types *t, u32 site, u8 *sources, const struct types_memory *m)
{
    char text[NAME_BYTES];
    text_format(text, sizeof text, "site:%s", t->sites.text[site]);
    u32 type = types_names_copy(&t->types, text, m);
    sources[type] = TYPES_SOURCE_SITE;
    return type;
}

static void build_sites(struct types *t, const struct types_memory *m)
{
    u64 stacks = (u64)t->snapshot->stack_count + 1;
    u32 *site_frame = types_take(m, stacks, sizeof(u32));
    u32 *site_place = types_take(m, stacks, sizeof(u32));
    struct site *nearest = types_take(m, stacks, sizeof *nearest);
    u8 *passed = types_take(m, t->place_count, 1);
    judge_places(t, passed);
    find_sites(t, site_frame, site_place, passed, nearest);
    t->site_frame = site_frame;
    t->site_place = site_place;
    name_sites(t, types_take(m, stacks, sizeof(u32)), m);
}

void types_build(struct types *t, const struct snapshot *s, const struct types_memory *m)
{
    memset(t, 0, sizeof *t);
    t->snapshot = s;
    types_places_build(t, m);
    build_sites(t, m);

    u32 *vtable_types = types_take(m, (u64)s->vtable_count + 1, sizeof(u32));
    types_names_init(&t->types, s->vtable_count + s->tag_count + t->sites.count, m);
    u8 *sources = types_take(m, t->types.capacity, 1);
    char text[NAME_BYTES];
    for (u32 v = 1; v <= s->vtable_count; v++) {
        types_rtti_name(s->strings + s->vtables[v - 1].name, text, sizeof text);
        if (s->vtables[v - 1].to_top || !*text)
            continue;
        vtable_types[v] = types_names_copy(&t->types, text, m);
        if (vtable_types[v])
            sources[vtable_types[v]] = TYPES_SOURCE_RTTI;
    }

    u32 *tag_types = types_take(m, (u64)s->tag_count + 1, sizeof(u32));
    for (u32 i = 1; i <= s->tag_count; i++)
        tag_types[i] = types_names_add(&t->types, s->strings + s->tags[i - 1]);
    t->type_of_tag = tag_types;

    u32 *type_of_site = types_take(m, t->sites.count, sizeof(u32));
    u32 *stack_types = types_take(m, (u64)s->stack_count + 1, sizeof(u32));
    for (u32 site = 1; site < t->sites.count; site++)
        type_of_site[site] = site_type(t, site, sources, m);
    for (u32 i = 1; i <= s->stack_count; i++)
        stack_types[i] = type_of_site[t->site_of_stack[i]];
    t->sources = sources;
    t->type_of_site = type_of_site;
    t->type_of_stack = stack_types;
    t->type_of_vtable = vtable_types;
}
