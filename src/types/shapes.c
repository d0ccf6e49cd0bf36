/* SPDX-License-Identifier: MIT
 *
 * shapes.c - types of all catalogues, each once.
 *
 * Context: pure.
 * Invariant: of_type says for every type that was asked for which shape it is; a shape's own type
 * is a struct, union, pointer or base type.
 * Why marks are made beforehand: whether a struct is what others begin with is seen from those
 * others, so it takes one pass over all members; a few milliseconds for a hundred thousand.
 */
#include <string.h>

#include "shapes.h"

enum { NAME_BYTES = 1000, BEGINS_ONCE = 1, FIRST_ROOM = 256 };

/* --- names --------------------------------------------------------------------------------- */

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (u8)c >= 0x80;
}

/* The next character that counts: a space only does between two words. */
static char next_of(const char **at, char before)
{
    const char *p = *at;
    bool space = false;
    while (*p == ' ') {
        space = true;
        p++;
    }
    if (space && is_word(before) && is_word(*p)) {
        *at = p;
        return ' ';
    }
    *at = *p ? p + 1 : p;
    return *p;
}

u64 shapes_hash(const char *name)
{
    u64 h = 0xcbf29ce484222325u;
    for (char c = 0; (c = next_of(&name, c));)
        h = (h ^ (u8)c) * 0x100000001b3u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 29);
}

bool shapes_same_name(const char *a, const char *b)
{
    char c = 0, d = 0;
    do {
        c = next_of(&a, c);
        d = next_of(&b, d);
    } while (c && c == d);
    return c == d;
}

/* --- the index ----------------------------------------------------------------------------- */

static const struct catalog_type *type_at(const struct catalog *c, u32 type)
{
    return &c->types[type - 1];
}

static bool has_members(const struct catalog_type *t)
{
    return t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION;
}

static bool is_indexed(const struct catalog *c, const struct catalog_type *t)
{
    return c->strings[t->name] && ((has_members(t) && t->size) || t->kind == CATALOG_BASE ||
                                   (t->kind == CATALOG_TYPEDEF && t->target));
}

static void index_catalog(struct shapes *x, u32 module)
{
    const struct catalog *c = x->catalogs[module];
    for (u32 i = 1; i <= c->type_count; i++) {
        const struct catalog_type *t = type_at(c, i);
        if (!is_indexed(c, t))
            continue;
        u64 hash = shapes_hash(c->strings + t->name) | 1, at = hash & x->index_mask;
        while (x->index[at].hash)
            at = (at + 1) & x->index_mask;
        x->index[at] = (struct shapes_entry){hash, module, i};
    }
}

/* The type below typedefs, and arrays. */
static u32 element_of(const struct catalog *c, u32 type)
{
    type = catalog_plain(c, type);
    while (type && type_at(c, type)->kind == CATALOG_ARRAY)
        type = catalog_plain(c, type_at(c, type)->target);
    return type;
}

/* Of several typedefs of one struct the shortest. */
static void note_alias(struct shapes *x, u32 module, u32 type)
{
    const struct catalog *c = x->catalogs[module];
    const struct catalog_type *t = type_at(c, type);
    const char *name = c->strings + t->name;
    u32 *alias = &x->alias[module][t->target];
    if (t->target && *name && *name != '_' &&
        (!*alias || strlen(name) < strlen(c->strings + type_at(c, *alias)->name)))
        *alias = type;
}

/* What every struct begins with, and what lies in its middle. */
static void mark_members(struct shapes *x, u32 module)
{
    const struct catalog *c = x->catalogs[module];
    u8 *marks = x->marks[module];
    for (u32 i = 1; i <= c->type_count; i++) {
        const struct catalog_type *t = type_at(c, i);
        if (t->kind == CATALOG_TYPEDEF)
            note_alias(x, module, i);
        if (!has_members(t))
            continue;
        for (u32 k = t->first; k < t->first + t->count; k++) {
            const struct catalog_member *member = &c->members[k];
            u32 plain = catalog_plain(c, member->type), part = element_of(c, member->type);
            if (!part || !has_members(type_at(c, part)))
                continue;
            if ((member->offset || t->kind == CATALOG_UNION) && c->strings[t->name])
                marks[part] |= SHAPE_EMBEDDED;
            else if (plain == part && t->size > type_at(c, part)->size)
                marks[part] |= marks[part] & BEGINS_ONCE ? SHAPE_BEGINS : BEGINS_ONCE;
        }
    }
}

void shapes_init(struct shapes *x, const struct snapshot *s, const struct catalog *const *catalogs,
                 const struct types_memory *m)
{
    memset(x, 0, sizeof *x);
    x->m = m;
    x->s = s;
    x->catalogs = catalogs;
    x->room = FIRST_ROOM;
    x->list = types_take(m, x->room, sizeof *x->list);
    x->shifted = types_take(m, x->room, sizeof *x->shifted);
    x->count = 1;
    x->of_type = types_take(m, (u64)s->module_count + 1, sizeof *x->of_type);
    x->marks = types_take(m, (u64)s->module_count + 1, sizeof *x->marks);
    x->alias = types_take(m, (u64)s->module_count + 1, sizeof *x->alias);
    u64 names = 0, slots = 16;
    for (u32 i = 1; i <= s->module_count; i++)
        names += catalogs[i] ? catalogs[i]->type_count : 0;
    while (slots < 2 * (names + 1))
        slots *= 2;
    x->index = types_take(m, slots, sizeof *x->index);
    x->index_mask = slots - 1;
    for (u32 i = 1; i <= s->module_count; i++) {
        if (!catalogs[i])
            continue;
        x->of_type[i] = types_take(m, (u64)catalogs[i]->type_count + 1, sizeof(u32));
        x->marks[i] = types_take(m, (u64)catalogs[i]->type_count + 1, 1);
        x->alias[i] = types_take(m, (u64)catalogs[i]->type_count + 1, sizeof(u32));
        index_catalog(x, i);
        mark_members(x, i);
    }
}

/* --- making one ---------------------------------------------------------------------------- */

static u32 add(struct shapes *x, struct shape shape)
{
    if (x->count == x->room) {
        struct shape *list = types_take(x->m, 2 * (u64)x->room, sizeof *list);
        u32 *shifted = types_take(x->m, 2 * (u64)x->room, sizeof *shifted);
        memcpy(list, x->list, x->count * sizeof *list);
        memcpy(shifted, x->shifted, x->count * sizeof *shifted);
        x->list = list;
        x->shifted = shifted;
        x->room *= 2;
    }
    x->list[x->count] = shape;
    return x->count++;
}

static const char *copy_text(struct shapes *x, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = types_take(x->m, bytes, 1);
    memcpy(copy, text, bytes);
    return copy;
}

/* Same members by name and place; of each only its size is compared, so this ends. */
static bool same_layout(const struct catalog *a, const struct catalog_type *t,
                        const struct catalog *b, const struct catalog_type *u)
{
    if (t->kind != u->kind || t->size != u->size || t->count != u->count)
        return false;
    for (u32 i = 0; has_members(t) && i < t->count; i++) {
        const struct catalog_member *m = &a->members[t->first + i], *n = &b->members[u->first + i];
        u32 p = catalog_plain(a, m->type), q = catalog_plain(b, n->type);
        if (m->offset != n->offset || strcmp(a->strings + m->name, b->strings + n->name) != 0 ||
            !p != !q || (p && type_at(a, p)->kind != type_at(b, q)->kind) ||
            (p && type_at(a, p)->size != type_at(b, q)->size))
            return false;
    }
    return true;
}

static const char *module_file(const struct shapes *x, u32 module)
{
    const char *path = x->s->strings + x->s->modules[module - 1].path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whose a name is that several modules have: the program's, then its libraries', last the C
 * library's, whose debug information is there on one machine and not on the next. */
enum rank { RANK_PROGRAM, RANK_LIBRARY, RANK_C };

static enum rank rank_of(const struct shapes *x, u32 module)
{
    static const char *const of_c[] = {"libc.", "libm.", "ld-", "libpthread.", "libc-", "libm-"};
    const struct snapshot *s = x->s;
    const char *file = module_file(x, module);
    if (!strcmp(s->strings + s->modules[module - 1].path, s->strings + s->meta->exe))
        return RANK_PROGRAM;
    for (u32 i = 0; i < COUNT_OF(of_c); i++)
        if (!strncmp(file, of_c[i], strlen(of_c[i])))
            return RANK_C;
    return RANK_LIBRARY;
}

/* A shape that is this very type, out of another catalogue or another part of this one. *twin: there
 * is a different one of its name in a module that has no less right to it. */
static u32 find_same(struct shapes *x, u32 module, u32 type, bool *twin)
{
    const struct catalog *c = x->catalogs[module];
    const struct catalog_type *t = type_at(c, type);
    const char *name = c->strings + t->name;
    u64 hash = shapes_hash(name) | 1;
    for (u64 at = hash & x->index_mask; x->index[at].hash; at = (at + 1) & x->index_mask) {
        const struct shapes_entry *found = &x->index[at];
        if (found->hash != hash || (found->module == module && found->type == type))
            continue;
        const struct catalog *d = x->catalogs[found->module];
        const struct catalog_type *u = type_at(d, found->type);
        if (u->kind != t->kind || !shapes_same_name(name, d->strings + u->name))
            continue;
        if (!same_layout(c, t, d, u))
            *twin |= rank_of(x, found->module) <= rank_of(x, module);
        else if (x->of_type[found->module][found->type])
            return x->of_type[found->module][found->type];
    }
    return 0;
}

/* The definition of a struct that is only declared in its own module. */
static u32 find_definition(struct shapes *x, const char *name)
{
    u64 hash = shapes_hash(name) | 1;
    for (u64 at = hash & x->index_mask; x->index[at].hash; at = (at + 1) & x->index_mask) {
        const struct shapes_entry *found = &x->index[at];
        const struct catalog *c = x->catalogs[found->module];
        const struct catalog_type *t = type_at(c, found->type);
        if (found->hash == hash && has_members(t) && shapes_same_name(name, c->strings + t->name))
            return shapes_of(x, found->module, found->type);
    }
    return 0;
}

/* A name that begins with an underscore is one that people do not write: they say the typedef. */
static const char *struct_name(const struct shapes *x, u32 module, u32 type)
{
    const struct catalog *c = x->catalogs[module];
    const char *own = c->strings + type_at(c, type)->name;
    u32 alias = x->alias[module][type];
    return alias && (!*own || *own == '_') ? c->strings + type_at(c, alias)->name : own;
}

static void find_tail(struct shapes *x, struct shape *p, const struct catalog_type *t)
{
    const struct catalog *c = p->catalog;
    if (t->kind != CATALOG_STRUCT || !t->count)
        return;
    const struct catalog_member *last = &c->members[t->first + t->count - 1];
    u32 plain = catalog_plain(c, last->type);
    if (!plain || type_at(c, plain)->kind != CATALOG_ARRAY || type_at(c, plain)->count > 1)
        return;
    u32 element = catalog_plain(c, type_at(c, plain)->target);
    if (!element || !type_at(c, element)->size)
        return;
    p->unit_at = last->offset;
    p->unit_bytes = type_at(c, element)->size;
    p->unit = shapes_of(x, p->module, element);
}

static void fill_struct(struct shapes *x, struct shape *p, const struct catalog_type *t)
{
    const struct catalog *c = p->catalog;
    char text[NAME_BYTES];
    p->flags |= SHAPE_STRUCT;
    p->name = struct_name(x, p->module, p->type);
    if (!*p->name)
        p->name = "(unnamed)";
    if (p->flags & SHAPE_TWIN && rank_of(x, p->module) != RANK_PROGRAM) {
        text_format(text, sizeof text, "%s (%s)", p->name, module_file(x, p->module));
        p->name = copy_text(x, text);
    }
    for (u32 k = t->first; t->kind == CATALOG_STRUCT && k < t->first + t->count; k++) {
        const struct catalog_member *member = &c->members[k];
        u32 plain = catalog_plain(c, member->type);
        if (member->offset || member->flags & CATALOG_MEMBER_VIRTUAL_BASE)
            break;
        if (plain && type_at(c, plain)->kind == CATALOG_STRUCT && type_at(c, plain)->size &&
            !(type_at(c, plain)->size == 1 && member->flags & CATALOG_MEMBER_BASE)) {
            p->base = shapes_of(x, p->module, plain);
            break;
        }
    }
}

static void fill_pointer(struct shapes *x, struct shape *p, const struct catalog_type *t)
{
    const struct catalog *c = p->catalog;
    char text[NAME_BYTES];
    u32 target = catalog_plain(c, t->target);
    const char *name = "void";
    if (target && type_at(c, target)->kind == CATALOG_FUNCTION)
        name = "(function)";
    else if (target && type_at(c, target)->kind == CATALOG_OPAQUE)
        name = c->strings + type_at(c, target)->name;
    else if (target) {
        u32 shape = shapes_of(x, p->module, target);
        name = shape ? shapes_get(x, shape)->name : "?";
    }
    text_format(text, sizeof text, "%s%s*", name,
                *name && name[strlen(name) - 1] == '*' ? "" : " ");
    p->name = copy_text(x, text);
}

/* Shapes that are known by name alone are looked for by name. */
static u32 find_named(const struct shapes *x, const char *name, u32 flags)
{
    for (u32 i = 1; i < x->count; i++)
        if ((x->list[i].flags & flags) == flags && !x->list[i].shift &&
            shapes_same_name(x->list[i].name, name))
            return i;
    return 0;
}

static u32 make(struct shapes *x, u32 module, u32 type)
{
    const struct catalog *c = x->catalogs[module];
    const struct catalog_type *t = type_at(c, type);
    struct shape p = {.catalog = c, .module = module, .type = type, .size = t->size};
    bool twin = false;
    u32 same = has_members(t) && c->strings[t->name] ? find_same(x, module, type, &twin) : 0;
    if (same) {
        x->list[same].flags |= x->marks[module][type] & (SHAPE_BEGINS | SHAPE_EMBEDDED);
        return x->of_type[module][type] = same;
    }
    p.flags = (x->marks[module][type] & (SHAPE_BEGINS | SHAPE_EMBEDDED)) | (twin ? SHAPE_TWIN : 0);
    p.name = c->strings + t->name;
    /* It has its number before what it refers to is made, which may refer to it. */
    u32 id = add(x, p);
    x->of_type[module][type] = id;
    if (t->kind == CATALOG_BASE) {
        p.flags |= SHAPE_BASE_TYPE | (t->size == 1 ? SHAPE_BYTES : 0);
    } else if (t->kind == CATALOG_POINTER) {
        fill_pointer(x, &p, t);
    } else {
        fill_struct(x, &p, t);
        find_tail(x, &p, t);
    }
    x->list[id] = p;
    if (t->kind == CATALOG_BASE || t->kind == CATALOG_POINTER) {
        /* One shape for `int` and `session *` of all catalogues. */
        for (u32 i = 1; i < id; i++)
            if (x->list[i].catalog && !x->list[i].shift && x->list[i].size == p.size &&
                !(x->list[i].flags & SHAPE_STRUCT) && !strcmp(x->list[i].name, p.name))
                return x->of_type[module][type] = i;
    }
    return id;
}

u32 shapes_of(struct shapes *x, u32 module, u32 type)
{
    const struct catalog *c = x->catalogs[module];
    type = element_of(c, type);
    if (!type)
        return 0;
    if (x->of_type[module][type])
        return x->of_type[module][type];
    const struct catalog_type *t = type_at(c, type);
    if (t->kind == CATALOG_OPAQUE)
        return c->strings[t->name]
                   ? x->of_type[module][type] = find_definition(x, c->strings + t->name)
                   : 0;
    return t->kind == CATALOG_FUNCTION || !t->size ? 0 : make(x, module, type);
}

u32 shapes_named(struct shapes *x, const char *name)
{
    u64 hash = shapes_hash(name) | 1;
    u32 best = 0, module = UINT32_MAX;
    for (u64 at = hash & x->index_mask; x->index[at].hash; at = (at + 1) & x->index_mask) {
        const struct shapes_entry *found = &x->index[at];
        const struct catalog *c = x->catalogs[found->module];
        const struct catalog_type *t = type_at(c, found->type);
        if (found->hash != hash || found->module >= module ||
            !shapes_same_name(name, c->strings + t->name))
            continue;
        u32 shape = shapes_of(x, found->module, found->type);
        best = shape ? shape : best;
        module = shape ? found->module : module;
    }
    return best ? best : find_named(x, name, 0);
}

u32 shapes_called(struct shapes *x, const char *name)
{
    u32 found = shapes_named(x, name);
    return found ? found : add(x, (struct shape){.name = name, .flags = SHAPE_MADE_UP});
}

u32 shapes_shifted(struct shapes *x, u32 shape, u32 shift)
{
    if (!shift)
        return shape;
    for (u32 i = x->shifted[shape]; i; i = x->shifted[i])
        if (x->list[i].shift == shift)
            return i;
    struct shape p = x->list[shape];
    p.shift = shift;
    p.of = shape;
    if (p.base)
        p.base = shapes_shifted(x, p.base, shift);
    u32 made = add(x, p);
    x->shifted[made] = x->shifted[shape];
    x->shifted[shape] = made;
    return made;
}

bool shapes_begins_with(const struct shapes *x, u32 shape, u32 base)
{
    for (u32 i = 0; shape && i < CATALOG_DEPTH_MAX; i++) {
        shape = x->list[shape].base;
        if (shape == base)
            return base != 0;
    }
    return false;
}
