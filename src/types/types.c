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

#include "types.h"

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

static const char *symbol_of(const struct snapshot *s, u32 frame)
{
    const char *name = s->frame_names ? s->names + s->frame_names[frame - 1] : "";
    return *name ? name : NULL;
}

/* Gives every frame its function and says which frames are passed over. */
static void name_frames(struct types *t, u32 *functions, u8 *passed, const struct types_memory *m)
{
    const struct snapshot *s = t->snapshot;
    char text[NAME_BYTES];
    for (u32 f = 1; f <= s->frame_count; f++) {
        const char *symbol = symbol_of(s, f);
        u32 module = s->frames[f - 1].module;
        if (symbol) {
            functions[f] = types_names_add(&t->functions, symbol);
        } else {
            snapshot_frame_text(s, (frame_id){f}, text, sizeof text);
            functions[f] = types_names_copy(&t->functions, text, m);
        }
        const char *file = module ? s->strings + s->modules[module - 1].path : "";
        passed[f] = types_site_passes_over(file, symbol);
    }
}

static void find_sites(struct types *t, u32 *site_frame, const u8 *passed, u32 *nearest)
{
    const struct snapshot *s = t->snapshot;
    for (u32 i = 1; i <= s->stack_count; i++) {
        const struct snapshot_stack *node = &s->stacks[i - 1];
        u32 frame = node->frame & ~SNAPSHOT_STACK_CUT;
        nearest[i] = frame && !passed[frame] ? frame : nearest[node->parent];
        site_frame[i] = nearest[i] ? nearest[i] : frame;
    }
}

static u32 site_type(struct types *t, u32 function, u8 *sources, const struct types_memory *m)
{
    char text[NAME_BYTES];
    text_format(text, sizeof text, "site:%s", t->functions.text[function]);
    u32 type = types_names_copy(&t->types, text, m);
    sources[type] = TYPES_SOURCE_SITE;
    return type;
}

void types_build(struct types *t, const struct snapshot *s, const struct types_memory *m)
{
    memset(t, 0, sizeof *t);
    t->snapshot = s;
    u32 *functions = types_take(m, (u64)s->frame_count + 1, sizeof(u32));
    u32 *site_frame = types_take(m, (u64)s->stack_count + 1, sizeof(u32));
    u32 *sites = types_take(m, (u64)s->stack_count + 1, sizeof(u32));
    u32 *nearest = types_take(m, (u64)s->stack_count + 1, sizeof(u32));
    u32 *vtable_types = types_take(m, (u64)s->vtable_count + 1, sizeof(u32));
    u8 *passed = types_take(m, (u64)s->frame_count + 1, 1);

    types_names_init(&t->functions, s->frame_count, m);
    name_frames(t, functions, passed, m);
    find_sites(t, site_frame, passed, nearest);

    types_names_init(&t->types, s->vtable_count + t->functions.count, m);
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

    u32 *type_of_function = types_take(m, t->functions.count, sizeof(u32));
    u32 *stack_types = nearest; /* no longer needed as what it was */
    stack_types[0] = 0;
    for (u32 i = 1; i <= s->stack_count; i++) {
        u32 function = functions[site_frame[i]];
        sites[i] = function;
        if (function && !type_of_function[function])
            type_of_function[function] = site_type(t, function, sources, m);
        stack_types[i] = type_of_function[function];
    }
    t->sources = sources;
    t->function_of_frame = functions;
    t->site_frame = site_frame;
    t->site_of_stack = sites;
    t->type_of_stack = stack_types;
    t->type_of_vtable = vtable_types;
}
