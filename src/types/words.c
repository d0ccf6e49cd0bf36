/* SPDX-License-Identifier: MIT
 *
 * words.c - what lies where in a shape: which words are pointers, and to what; and how a shape
 * fills a block.
 *
 * Context: pure.
 * Invariant: a word that is a pointer in one member of a union and something else in another is
 * never said to be a pointer for sure.
 * Why a table by word: ten million blocks have few shapes, and each of their references asks. It is
 * filled word by word as they are asked for.
 */
#include <string.h>

#include "shapes.h"

enum {
    TABLE_WORDS = 2048,
    WORD_UNKNOWN = 7,
    PARTS_MAX = 4096,
    BASES_BACK = 16,
    SIZE_CHAINS = 4096
};

struct shapes_part {
    u64 offset, size;
    u32 part, whole;
};

static const struct catalog_type *type_at(const struct catalog *c, u32 type)
{
    return &c->types[type - 1];
}

static const struct shape_word none = {.kind = WORD_NONE};

static struct shape_word pointer_word(struct shapes *x, u32 module, u32 target)
{
    u32 shape = target ? shapes_of(x, module, target) : 0;
    return (struct shape_word){.kind = shape ? WORD_POINTER : WORD_OPEN, .shape = shape};
}

/* Where the search stands: a type, the offset in it, and the innermost struct that holds it. */
struct place {
    u32 module, type, depth;
    u64 offset; /* within the type */
    u64 at;     /* of the type, from the start of the shape */
    u32 holder; /* struct that the type is a member of, 0 = none */
    u64 holder_at;
};

static struct shape_word word_in(struct shapes *x, struct place p);

/* One more thing that a word may point to. */
static void add_choice(struct shapes *x, struct shape_word *w, u32 shape)
{
    for (u32 i = w->also; i; i = x->choices[i].next)
        if (x->choices[i].shape == shape)
            return;
    if (w->shape == shape)
        return;
    if (x->choice_count + 1 >= x->choice_room) {
        u32 room = x->choice_room ? 2 * x->choice_room : 64;
        struct shapes_choice *choices = types_take(x->m, room, sizeof *choices);
        if (x->choice_count)
            memcpy(choices, x->choices, (x->choice_count + 1) * sizeof *choices);
        x->choices = choices;
        x->choice_room = room;
    }
    x->choices[++x->choice_count] = (struct shapes_choice){shape, w->also};
    w->also = x->choice_count;
}

/* Members of a union that say different things leave it open which of them it is. */
static struct shape_word word_in_union(struct shapes *x, struct place p, u32 holder)
{
    const struct catalog *c = x->catalogs[p.module];
    const struct catalog_type *t = type_at(c, p.type);
    struct shape_word found = none;
    bool open = false, other = false;
    for (u32 i = t->first; i < t->first + t->count; i++) {
        const struct catalog_member *m = &c->members[i];
        if (p.offset < m->offset)
            continue;
        struct place q = {p.module,         m->type, p.depth + 1, p.offset - m->offset,
                          p.at + m->offset, holder,  p.at};
        struct shape_word w = word_in(x, q);
        u32 plain = catalog_plain(c, m->type);
        open |= w.kind == WORD_OPEN;
        if (w.kind == WORD_NONE || w.kind == WORD_OPEN) {
            other |= plain && q.offset < type_at(c, plain)->size;
            continue;
        }
        other |= w.kind == WORD_CHOICE;
        if (found.kind == WORD_NONE) {
            found = w;
            continue;
        }
        other |= found.shape != w.shape;
        add_choice(x, &found, w.shape);
        for (u32 k = w.also; k; k = x->choices[k].next)
            add_choice(x, &found, x->choices[k].shape);
    }
    if (found.kind == WORD_NONE)
        found.kind = open ? WORD_OPEN : WORD_NONE;
    else if (other)
        found.kind = WORD_CHOICE;
    return found;
}

/* Of members at one offset (an empty base and what follows it) the one that says something. */
static struct shape_word word_in_struct(struct shapes *x, struct place p)
{
    const struct catalog *c = x->catalogs[p.module];
    const struct catalog_type *t = type_at(c, p.type);
    const struct catalog_member *members = &c->members[t->first];
    u32 begun = BISECT(i, t->count, members[i].offset <= p.offset);
    for (u32 i = begun; i > 0 && begun - i < BASES_BACK; i--) {
        const struct catalog_member *m = &members[i - 1];
        if (m->flags & CATALOG_MEMBER_VIRTUAL_BASE || m->bit_size)
            continue;
        u32 plain = catalog_plain(c, m->type);
        if (!plain || p.offset - m->offset >= type_at(c, plain)->size)
            continue;
        struct place q = {p.module,         m->type, p.depth + 1, p.offset - m->offset,
                          p.at + m->offset, p.type,  p.at};
        struct shape_word w = word_in(x, q);
        if (w.kind != WORD_NONE)
            return w;
    }
    return none;
}

static struct shape_word word_in(struct shapes *x, struct place p)
{
    const struct catalog *c = x->catalogs[p.module];
    for (;; p.depth++) {
        p.type = catalog_plain(c, p.type);
        if (!p.type || p.depth > 4 * CATALOG_DEPTH_MAX)
            return none;
        const struct catalog_type *t = type_at(c, p.type);
        if (p.offset >= t->size)
            return none;
        switch ((enum catalog_kind)t->kind) {
        case CATALOG_POINTER: {
            struct shape_word w = p.offset ? none : pointer_word(x, p.module, t->target);
            if (w.kind == WORD_POINTER && p.holder && shapes_of(x, p.module, p.holder) == w.shape)
                w.link = (u32)p.holder_at + 1;
            return w;
        }
        case CATALOG_ARRAY: {
            u32 element = catalog_plain(c, t->target);
            u64 bytes = element ? type_at(c, element)->size : 0;
            if (!bytes)
                return none;
            p.at += p.offset / bytes * bytes;
            p.offset %= bytes;
            p.type = element;
            continue;
        }
        case CATALOG_STRUCT:
            return word_in_struct(x, p);
        case CATALOG_UNION:
            return word_in_union(x, p, p.holder);
        case CATALOG_OPAQUE:
        case CATALOG_BASE:
        case CATALOG_TYPEDEF:
        case CATALOG_FUNCTION:
        case CATALOG_KIND_LIMIT:
            return none;
        }
        return none;
    }
}

struct shape_word shapes_word(struct shapes *x, u32 shape, u64 offset)
{
    const struct shape *p = &x->list[shape];
    if (!p->catalog || offset >= p->size || offset % 8)
        return none;
    u64 words = p->size / 8, at = offset / 8;
    if (at < TABLE_WORDS && !p->words) {
        u64 room = words < TABLE_WORDS ? words : TABLE_WORDS;
        struct shape_word *table = types_take(x->m, room, sizeof *table);
        for (u64 i = 0; i < room; i++)
            table[i].kind = WORD_UNKNOWN;
        x->list[shape].words = table;
        p = &x->list[shape];
    }
    if (at < TABLE_WORDS && at < words && p->words[at].kind != WORD_UNKNOWN)
        return p->words[at];
    struct place from = {p->module, p->type, 0, offset, 0, 0, 0};
    struct shape_word w = word_in(x, from);
    p = &x->list[shape]; /* it may have moved */
    if (at < TABLE_WORDS && at < words)
        p->words[at] = w;
    return w;
}

const struct catalog_variable *shapes_variable(const struct shapes *x,
                                               struct types_variable_place place)
{
    const struct catalog *c = place.module ? x->catalogs[place.module] : NULL;
    return !c                   ? NULL
           : place.thread_local ? catalog_thread_local_at(c, place.at)
                                : catalog_variable_at(c, place.at);
}

struct shape_word shapes_variable_word(struct shapes *x, struct types_variable_place place)
{
    const struct catalog_variable *v = shapes_variable(x, place);
    if (!v)
        return none;
    struct place from = {place.module, v->type, 0, place.at - v->address, 0, 0, 0};
    struct shape_word w = word_in(x, from);
    w.link = 0; /* a variable is in no block that the link could be compared with */
    return w;
}

/* --- blocks -------------------------------------------------------------------------------- */

enum shape_form shapes_form(const struct shape *p, u64 bytes)
{
    if (p->flags & SHAPE_MADE_UP)
        return FORM_EXACT;
    if (p->flags & SHAPE_BYTES)
        return FORM_BYTES;
    if (bytes < p->shift)
        return FORM_NONE;
    bytes -= p->shift;
    if (bytes == p->size)
        return FORM_EXACT;
    if (p->unit_bytes && bytes >= p->unit_at)
        return FORM_TAIL;
    if (bytes < p->size || !p->size)
        return FORM_NONE;
    if (!p->shift && bytes % p->size == 0 && !(p->flags & SHAPE_BEGINS))
        return FORM_ARRAY;
    return p->flags & SHAPE_STRUCT ? FORM_PREFIX : FORM_NONE;
}

struct shape_word shapes_block_word(struct shapes *x, u32 shape, enum shape_form form, u64 offset)
{
    const struct shape *p = &x->list[shape];
    if (offset < p->shift)
        return none;
    offset -= p->shift;
    if (form == FORM_ARRAY)
        return shapes_word(x, shape, offset % p->size);
    if (form == FORM_TAIL && offset >= p->unit_at)
        return p->unit ? shapes_word(x, p->unit, (offset - p->unit_at) % p->unit_bytes) : none;
    return shapes_word(x, shape, offset);
}

/* --- wholes -------------------------------------------------------------------------------- */

/* Does the type hold a `part` at that offset, as a member of a member? */
static bool holds(struct shapes *x, u32 module, u32 type, u32 part, u64 offset)
{
    const struct catalog *c = x->catalogs[module];
    for (u32 depth = 0; depth < CATALOG_DEPTH_MAX; depth++) {
        type = catalog_plain(c, type);
        if (!type || type_at(c, type)->kind != CATALOG_STRUCT)
            return false;
        const struct catalog_type *t = type_at(c, type);
        u32 next = 0;
        for (u32 i = t->first; i < t->first + t->count; i++) {
            const struct catalog_member *m = &c->members[i];
            u32 plain = catalog_plain(c, m->type);
            if (m->offset > offset)
                break;
            if (!plain || m->flags & CATALOG_MEMBER_VIRTUAL_BASE ||
                type_at(c, plain)->kind != CATALOG_STRUCT ||
                offset - m->offset >= type_at(c, plain)->size)
                continue;
            if (m->offset == offset && shapes_of(x, module, plain) == part)
                return true;
            next = i + 1;
        }
        if (!next)
            return false;
        offset -= c->members[next - 1].offset;
        type = c->members[next - 1].type;
    }
    return false;
}

/* Chains the structs of the index by their size, so that a search looks at few. */
static void chain_sizes(struct shapes *x)
{
    x->of_size = types_take(x->m, SIZE_CHAINS, sizeof *x->of_size);
    x->next_size = types_take(x->m, x->index_mask + 1, sizeof *x->next_size);
    for (u64 i = 0; i <= x->index_mask; i++) {
        const struct shapes_entry *e = &x->index[i];
        const struct catalog_type *t = e->hash ? type_at(x->catalogs[e->module], e->type) : NULL;
        if (!t || t->kind != CATALOG_STRUCT)
            continue;
        u64 *chain = &x->of_size[t->size % SIZE_CHAINS];
        x->next_size[i] = *chain;
        *chain = i + 1;
    }
}

static u32 search_whole(struct shapes *x, u32 part, u64 offset, u64 size)
{
    u32 whole = 0;
    if (!x->of_size)
        chain_sizes(x);
    for (u64 at = x->of_size[size % SIZE_CHAINS]; at; at = x->next_size[at - 1]) {
        const struct shapes_entry *e = &x->index[at - 1];
        if (type_at(x->catalogs[e->module], e->type)->size != size ||
            !holds(x, e->module, e->type, part, offset))
            continue;
        u32 found = shapes_of(x, e->module, e->type);
        if (whole && found != whole)
            return 0;
        whole = found;
    }
    return whole;
}

u32 shapes_whole(struct shapes *x, u32 part, u64 offset, u64 size)
{
    if (!x->parts)
        x->parts = types_take(x->m, PARTS_MAX, sizeof *x->parts);
    u64 at = ((part * 31 + offset) * 0x9e3779b97f4a7c15u ^ size * 0xff51afd7ed558ccdu) >> 40;
    for (at %= PARTS_MAX; x->parts[at].part; at = (at + 1) % PARTS_MAX) {
        const struct shapes_part *p = &x->parts[at];
        if (p->part == part && p->offset == offset && p->size == size)
            return p->whole;
    }
    if (x->part_count >= PARTS_MAX / 2) /* so many questions: no more are answered */
        return 0;
    x->part_count++;
    u32 whole = search_whole(x, part, offset, size);
    x->parts[at] = (struct shapes_part){offset, size, part, whole};
    return whole;
}
