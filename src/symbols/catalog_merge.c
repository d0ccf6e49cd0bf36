/* SPDX-License-Identifier: MIT
 *
 * catalog_merge.c - from shapes, tags and what each unit knows to the types of a catalogue.
 *
 * Context: tool, in the builder's child process.
 * Invariant: two types are one exactly when nothing that can be reached from them differs. A tag
 * that was only declared stands for its definition in another unit when there is one for it, or
 * when the unit knows which; else it stays opaque.
 * How: most tags have one definition in the whole module, so most shapes mean the same wherever
 * they are met and become one type each. The rest, where a tag with several definitions can be
 * reached, are told apart by unit and then merged again by partition refinement: first all of one
 * shape are one class, and a class is split while two in it lead to different classes (Hopcroft,
 * "An n log n algorithm for minimizing states in a finite automaton", 1971, in its plain n^2 form,
 * since few are left).
 */
#include <stdlib.h>
#include <string.h>

#include "catalog_build.h"

enum { ROUNDS_MAX = 100, ARGUMENTS_MAX = 40 };

/* A shape as a unit knows it. */
struct instance {
    u32 unit, shape;
    u32 class, next_class;
    u32 first_ref; /* in `refs`: of its target, or its members */
};

/* What a reference of an instance leads to: a type that is settled, or another instance. */
struct edge {
    u32 type, instance;
};

struct merge {
    struct catalog_build *b;
    bool *open; /* shape: several meanings */
    bool *open_tag;
    u32 *type_of_shape;           /* of those that are not open */
    u32 *opaque_of_tag;           /* types of tags without a definition */
    struct catalog_map known;     /* unit, tag -> index into b->known, + 1 */
    struct catalog_map instances; /* unit, shape -> instance + 1 */
    CATALOG_LIST(struct instance) all;
    CATALOG_LIST(struct edge) refs;
    CATALOG_LIST(u32) type_of_class;
    CATALOG_LIST(struct catalog_type) types;
    CATALOG_LIST(struct catalog_member) members;
    struct catalog_strings strings;
};

static bool has_members(const struct catalog_type *t)
{
    return t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION;
}

static u32 ref_count(const struct catalog_type *t)
{
    return has_members(t) ? t->count : 1;
}

/* The n-th reference of a shape. */
static u32 ref_at(const struct catalog_build *b, const struct catalog_type *t, u32 n)
{
    return has_members(t) ? b->members.at[t->first + n].type : t->target;
}

/* --- which shapes have several meanings ---------------------------------------------------------
 */

static bool leads_to_open(const struct merge *m, u32 reference)
{
    if (reference & CATALOG_REF_TAG)
        return m->open_tag[reference & ~CATALOG_REF_TAG];
    return reference && m->open[reference];
}

static void find_open(struct merge *m)
{
    struct catalog_build *b = m->b;
    for (u32 i = 1; i <= b->tags.count; i++)
        m->open_tag[i] = b->tags.at[i - 1].several;
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 i = 1; i <= b->shapes.count; i++) {
            const struct catalog_type *t = &b->shapes.at[i - 1];
            for (u32 n = 0; !m->open[i] && n < ref_count(t); n++)
                changed |= m->open[i] = leads_to_open(m, ref_at(b, t, n));
        }
        for (u32 i = 1; i <= b->tags.count; i++)
            if (!m->open_tag[i] && b->tags.at[i - 1].shape && m->open[b->tags.at[i - 1].shape])
                changed = m->open_tag[i] = true;
    }
    /* Definitions of a tag that has several are told apart even if they lead nowhere. */
    for (u32 i = 0; i < b->known.count; i++)
        if (m->open_tag[b->known.at[i].tag])
            m->open[b->known.at[i].shape] = true;
}

/* --- instances
 * ------------------------------------------------------------------------------------ */

static u64 pair(u32 unit, u32 n)
{
    return ((u64)(unit + 1) << 32) | n;
}

static u32 instance_of(struct merge *m, u32 unit, u32 shape)
{
    u32 *at = catalog_map_add(&m->b->pool, &m->instances, pair(unit, shape));
    if (!*at) {
        *CATALOG_ADD(&m->b->pool, &m->all) =
            (struct instance){.unit = unit, .shape = shape, .class = shape};
        *at = m->all.count;
    }
    return *at;
}

static u32 opaque_of(struct merge *m, u32 tag)
{
    struct catalog_build *b = m->b;
    if (!m->opaque_of_tag[tag]) {
        *CATALOG_ADD(&b->pool, &m->types) =
            (struct catalog_type){.kind = CATALOG_OPAQUE, .name = b->tags.at[tag - 1].name};
        m->opaque_of_tag[tag] = m->types.count;
    }
    return m->opaque_of_tag[tag];
}

static struct edge resolve(struct merge *m, u32 unit, u32 reference)
{
    struct catalog_build *b = m->b;
    if (!reference)
        return (struct edge){0};
    if (!(reference & CATALOG_REF_TAG)) {
        if (m->open[reference])
            return (struct edge){.instance = instance_of(m, unit, reference)};
        return (struct edge){.type = m->type_of_shape[reference]};
    }
    u32 tag = reference & ~CATALOG_REF_TAG;
    const struct catalog_tag *t = &b->tags.at[tag - 1];
    if (!m->open_tag[tag])
        return (struct edge){.type = t->shape ? m->type_of_shape[t->shape] : opaque_of(m, tag)};
    u32 *at = catalog_map_find(&m->known, pair(unit, tag));
    if (at) {
        const struct catalog_known *k = &b->known.at[*at - 1];
        return (struct edge){.instance = instance_of(m, k->home, k->shape)};
    }
    if (t->several)
        return (struct edge){.type = opaque_of(m, tag)};
    return (struct edge){.instance = instance_of(m, t->unit, t->shape)};
}

/* Instances that are found on the way are appended, and their turn comes. */
static void follow_instances(struct merge *m)
{
    struct catalog_build *b = m->b;
    for (u32 i = 0; i < m->all.count; i++) {
        struct instance in = m->all.at[i];
        struct catalog_type t = b->shapes.at[in.shape - 1];
        m->all.at[i].first_ref = m->refs.count;
        for (u32 n = 0; n < ref_count(&t); n++) {
            struct edge e = resolve(m, in.unit, ref_at(b, &t, n));
            *CATALOG_ADD(&b->pool, &m->refs) = e;
        }
    }
}

/* --- classes
 * --------------------------------------------------------------------------------------- */

static u64 signature(const struct merge *m, const struct instance *in)
{
    u64 h = catalog_mix(in->class, 0);
    u32 count = ref_count(&m->b->shapes.at[in->shape - 1]);
    for (u32 n = 0; n < count; n++) {
        const struct edge *e = &m->refs.at[in->first_ref + n];
        u32 class = e->instance ? m->all.at[e->instance - 1].class : 0;
        h = catalog_mix(h, ((u64)e->type << 32) | class);
    }
    return h | 1;
}

/* Signatures are 64-bit hashes: two classes of a module that fall together by chance are far less
 * likely than a wrong bit in the file. */
static void refine(struct merge *m)
{
    u32 before = 0;
    for (u32 round = 0; round < ROUNDS_MAX; round++) {
        struct catalog_map classes = {0};
        u32 count = 0;
        for (u32 i = 0; i < m->all.count; i++) {
            u32 *at = catalog_map_add(&m->b->pool, &classes, signature(m, &m->all.at[i]));
            if (!*at)
                *at = ++count;
            m->all.at[i].next_class = *at;
        }
        catalog_map_free(&classes);
        for (u32 i = 0; i < m->all.count; i++)
            m->all.at[i].class = m->all.at[i].next_class;
        if (count == before)
            break;
        before = count;
    }
    for (u32 i = 0; i < before; i++)
        *CATALOG_ADD(&m->b->pool, &m->type_of_class) = 0;
}

/* --- types
 * ------------------------------------------------------------------------------------------ */

static u32 type_of_edge(const struct merge *m, struct edge e)
{
    return e.instance ? m->type_of_class.at[m->all.at[e.instance - 1].class - 1] : e.type;
}

static u32 type_of(struct merge *m, u32 unit, u32 reference)
{
    return type_of_edge(m, resolve(m, unit, reference));
}

static u32 string(struct merge *m, u32 name)
{
    const char *text = m->b->names.bytes.count ? m->b->names.bytes.at + name : "";
    return catalog_strings_add(&m->b->pool, &m->strings, text, strlen(text));
}

/* Writes what a type holds, once all types have their number. */
static void fill(struct merge *m, u32 type, u32 shape, const struct edge *edges)
{
    struct catalog_build *b = m->b;
    struct catalog_type t = b->shapes.at[shape - 1];
    if (has_members(&t)) {
        u32 first = m->members.count;
        for (u32 n = 0; n < t.count; n++) {
            struct catalog_member member = b->members.at[t.first + n];
            struct edge e = edges ? edges[n] : resolve(m, 0, member.type);
            member.type = type_of_edge(m, e);
            member.name = string(m, member.name);
            *CATALOG_ADD(&b->pool, &m->members) = member;
        }
        t.first = first;
    } else if (t.target) {
        t.target = type_of_edge(m, edges ? edges[0] : resolve(m, 0, t.target));
    }
    m->types.at[type - 1] = t;
}

static void make_types(struct merge *m)
{
    struct catalog_build *b = m->b;
    u32 first = m->types.count;
    for (u32 i = 1; i <= b->shapes.count; i++)
        if (!m->open[i])
            fill(m, m->type_of_shape[i], i, NULL);
    for (u32 i = 0; i < m->all.count; i++) {
        u32 *type = &m->type_of_class.at[m->all.at[i].class - 1];
        if (!*type) {
            *CATALOG_ADD(&b->pool, &m->types) = (struct catalog_type){0};
            *type = m->types.count;
        }
    }
    u32 done = first;
    for (u32 i = 0; i < m->all.count; i++) {
        const struct instance *in = &m->all.at[i];
        u32 type = m->type_of_class.at[in->class - 1];
        if (type == done + 1) { /* the first of its class; classes are numbered in this order */
            fill(m, type, in->shape, m->refs.at + in->first_ref);
            done++;
        }
    }
}

/* A class is polymorphic when a base is. Bases may be defined behind it: until nothing changes. */
static void spread_polymorphic(struct merge *m)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 i = 0; i < m->types.count; i++) {
            struct catalog_type *t = &m->types.at[i];
            for (u32 n = 0; n < t->count && has_members(t) && !t->flags; n++) {
                const struct catalog_member *base = &m->members.at[t->first + n];
                if ((base->flags & CATALOG_MEMBER_BASE) && m->types.at[base->type - 1].flags) {
                    t->flags = CATALOG_POLYMORPHIC;
                    changed = true;
                }
            }
        }
    }
}

/* --- variables, functions
 * ----------------------------------------------------------------------------- */

static struct catalog_variable *make_variables(struct merge *m, const struct catalog_found *found,
                                               u32 count)
{
    struct catalog_variable *v = catalog_pool_take(&m->b->pool, count, sizeof *v);
    for (u32 i = 0; i < count; i++)
        v[i] = (struct catalog_variable){.address = found[i].address,
                                         .name = string(m, found[i].name),
                                         .type = type_of(m, found[i].unit, found[i].type)};
    return v;
}

struct code {
    CATALOG_LIST(struct catalog_function) functions;
    CATALOG_LIST(u32) hints;
    CATALOG_LIST(struct catalog_range) ranges;
    struct catalog_map function_of_hash, hints_of_hash;
    u64 base;
};

static u32 share_hints(struct merge *m, struct code *c, const u32 *hints, u32 count)
{
    if (!count)
        return 0;
    u64 h = catalog_hash(hints, count * sizeof *hints);
    u32 *at;
    while (*(at = catalog_map_add(&m->b->pool, &c->hints_of_hash, h)) != 0) {
        if (*at - 1 + count <= c->hints.count &&
            !memcmp(c->hints.at + *at - 1, hints, count * sizeof *hints))
            return *at - 1;
        h = catalog_mix(h, 1) | 1;
    }
    *at = c->hints.count + 1;
    u32 first = c->hints.count;
    for (u32 i = 0; i < count; i++)
        *CATALOG_ADD(&m->b->pool, &c->hints) = hints[i];
    return first;
}

static bool is_operator(const char *text, const char *at)
{
    size_t length = sizeof "operator" - 1;
    return (size_t)(at - text) >= length && !strncmp(at - length, "operator", length);
}

/* The end of template arguments that begin at `at`; NULL when they have none. */
static const char *arguments_end(const char *at)
{
    u32 open = 0;
    for (; *at; at++) {
        open += *at == '<';
        if (*at == '>' && --open == 0)
            return at;
    }
    return NULL;
}

/* A function's name serves to know allocators, and people: of long template arguments, which make
 * up most of the text in C++, "<...>" is left. What std::make_unique makes, its arguments say. */
static u32 function_name(struct merge *m, u32 name)
{
    const char *text = m->b->names.bytes.count ? m->b->names.bytes.at + name : "";
    char *to = m->b->text;
    if (strstr(text, "make_unique<"))
        return string(m, name);
    for (const char *at = text; *at && to < m->b->text + sizeof m->b->text - 8; at++) {
        const char *end = *at == '<' && !is_operator(text, at) ? arguments_end(at) : NULL;
        *to++ = *at;
        if (!end || end - at <= ARGUMENTS_MAX)
            continue;
        memcpy(to, "...>", 4);
        to += 4;
        at = end;
    }
    return catalog_strings_add(&m->b->pool, &m->strings, m->b->text, (size_t)(to - m->b->text));
}

static u32 make_function(struct merge *m, struct code *c, const struct catalog_hinted *from)
{
    struct catalog_build *b = m->b;
    u32 hints[256], count = 0;
    for (u32 i = 0; i < from->count && count < COUNT_OF(hints); i++) {
        u32 type = type_of(m, from->unit, b->hints.at[from->first + i]);
        bool there = false;
        for (u32 k = 0; k < count; k++)
            there |= hints[k] == type;
        if (type && !there)
            hints[count++] = type;
    }
    struct catalog_function f = {
        .name = function_name(m, from->name),
        .returns = type_of(m, from->unit, from->returns),
        .first = share_hints(m, c, hints, count),
        .count = count,
    };
    u64 h = catalog_hash(&f, sizeof f);
    u32 *at;
    while (*(at = catalog_map_add(&b->pool, &c->function_of_hash, h)) != 0) {
        if (!memcmp(&c->functions.at[*at - 1], &f, sizeof f))
            return *at;
        h = catalog_mix(h, 1) | 1;
    }
    *at = c->functions.count + 1;
    *CATALOG_ADD(&b->pool, &c->functions) = f;
    return c->functions.count;
}

/* Code 4 GiB and more above the lowest is left out: no x86-64 code model but `large` has any. */
static void make_code(struct merge *m, struct code *c)
{
    struct catalog_build *b = m->b;
    u32 *number = catalog_pool_take(&b->pool, b->functions.count + 1u, sizeof *number);
    c->base = UINT64_MAX;
    for (u32 i = 0; i < b->spans.count; i++)
        if (b->spans.at[i].lo > 0 && b->spans.at[i].lo < c->base)
            c->base = b->spans.at[i].lo;
    if (c->base > UINT64_MAX - (2ULL << 32))
        c->base = 0;
    for (u32 i = 0; i < b->spans.count; i++) {
        struct catalog_span s = b->spans.at[i];
        if (s.lo < c->base || s.lo == 0 || s.hi - c->base > UINT32_MAX)
            continue;
        if (!number[s.function])
            number[s.function] = make_function(m, c, &b->functions.at[s.function - 1]);
        *CATALOG_ADD(&b->pool, &c->ranges) = (struct catalog_range){.lo = (u32)(s.lo - c->base),
                                                                    .bytes = (u32)(s.hi - s.lo),
                                                                    .function = number[s.function]};
    }
}

/* --- all of it
 * ------------------------------------------------------------------------------------------ */

static void begin(struct merge *m)
{
    struct catalog_build *b = m->b;
    struct catalog_pool *p = &b->pool;
    m->open = catalog_pool_take(p, b->shapes.count + 1u, sizeof *m->open);
    m->open_tag = catalog_pool_take(p, b->tags.count + 1u, sizeof *m->open_tag);
    m->type_of_shape = catalog_pool_take(p, b->shapes.count + 1u, sizeof *m->type_of_shape);
    m->opaque_of_tag = catalog_pool_take(p, b->tags.count + 1u, sizeof *m->opaque_of_tag);
    catalog_strings_add(p, &m->strings, "", 0);
    find_open(m);
    for (u32 i = 1; i <= b->shapes.count; i++) {
        if (m->open[i])
            continue;
        *CATALOG_ADD(p, &m->types) = (struct catalog_type){0};
        m->type_of_shape[i] = m->types.count;
    }
    for (u32 i = 0; i < b->known.count; i++) {
        const struct catalog_known *k = &b->known.at[i];
        if (!m->open_tag[k->tag])
            continue;
        u32 *at = catalog_map_add(p, &m->known, pair(k->unit, k->tag));
        if (!*at)
            *at = i + 1;
        if (k->unit == k->home)
            instance_of(m, k->unit, k->shape);
    }
}

/* Every reference from outside, so that all instances and opaque types are there. */
static void reach_all(struct merge *m)
{
    struct catalog_build *b = m->b;
    for (u32 i = 1; i <= b->shapes.count; i++)
        for (u32 n = 0; !m->open[i] && n < ref_count(&b->shapes.at[i - 1]); n++)
            resolve(m, 0, ref_at(b, &b->shapes.at[i - 1], n));
    for (u32 i = 0; i < b->variables.count; i++)
        resolve(m, b->variables.at[i].unit, b->variables.at[i].type);
    for (u32 i = 0; i < b->thread_locals.count; i++)
        resolve(m, b->thread_locals.at[i].unit, b->thread_locals.at[i].type);
    for (u32 i = 0; i < b->functions.count; i++) {
        const struct catalog_hinted *f = &b->functions.at[i];
        resolve(m, f->unit, f->returns);
        for (u32 k = 0; k < f->count; k++)
            resolve(m, f->unit, b->hints.at[f->first + k]);
    }
}

void *catalog_merge(struct catalog_build *b, const u8 *build_id, u32 build_id_bytes, u64 *size)
{
    struct merge m = {.b = b};
    struct code code = {0};
    begin(&m);
    reach_all(&m);
    follow_instances(&m);
    refine(&m);
    make_types(&m);
    spread_polymorphic(&m);
    for (u32 i = 0; i < m.types.count; i++)
        m.types.at[i].name = string(&m, m.types.at[i].name);
    struct catalog_variable *variables = make_variables(&m, b->variables.at, b->variables.count);
    struct catalog_variable *thread_locals =
        make_variables(&m, b->thread_locals.at, b->thread_locals.count);
    make_code(&m, &code);
    struct catalog parts = {
        .build_id = build_id,
        .build_id_bytes = build_id_bytes,
        .code_base = code.base,
        .strings = m.strings.bytes.at,
        .types = m.types.at,
        .members = m.members.at,
        .variables = variables,
        .thread_locals = thread_locals,
        .functions = code.functions.at,
        .hints = code.hints.at,
        .ranges = code.ranges.at,
        .string_bytes = m.strings.bytes.count,
        .type_count = m.types.count,
        .member_count = m.members.count,
        .variable_count = b->variables.count,
        .thread_local_count = b->thread_locals.count,
        .function_count = code.functions.count,
        .hint_count = code.hints.count,
        .range_count = code.ranges.count,
    };
    return catalog_pack(&parts, size, b->pool.e);
}
