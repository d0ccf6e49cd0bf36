/* SPDX-License-Identifier: MIT
 *
 * subtypes.c - objects of one C type told apart by what a field points to: a table of functions by
 * its symbol, a type object by the string in it.
 *
 * Context: pure; memory is read through the caller's function, which cannot fault.
 * Invariant: a name is printable text. An object whose field leads to anything else keeps the type
 * that it has.
 * Why it is fast: objects lie near each other, so one call reads many fields; and what they point
 * to is few things, each named once.
 */
#include <string.h>

#include "subtypes.h"

enum { WINDOW_BYTES = 1 << 16, NAME_BYTES = 120, FIRST_SLOTS = 256, TARGETS_MAX = 1 << 16 };

/* What a field was seen to point to. */
struct target {
    u64 address;
    const char *name; /* NULL: nothing that has a name */
};

struct search {
    struct shapes *x;
    const struct types_ask *ask;
    const struct types_sub *rule;
    const struct shape *kind; /* what the field points to, NULL = unknown */
    struct target *targets;
    u64 mask;
    u32 count;
    u64 window_at, window_bytes;
    u8 *window;
};

static bool read_all(const struct search *s, u64 address, void *out, size_t bytes)
{
    return s->ask->read(s->ask->context, address, out, bytes) == bytes;
}

static bool read_word(struct search *s, u64 address, u64 *word)
{
    if (address < s->window_at || address + sizeof *word > s->window_at + s->window_bytes) {
        s->window_at = address;
        s->window_bytes = s->ask->read(s->ask->context, address, s->window, WINDOW_BYTES);
        if (s->window_bytes < sizeof *word)
            return read_all(s, address, word, sizeof *word);
    }
    memcpy(word, s->window + (address - s->window_at), sizeof *word);
    return true;
}

/* The text at an address, when it is one; short reads end at the end of what is mapped. */
static bool read_text(const struct search *s, u64 address, char out[NAME_BYTES])
{
    size_t got = s->ask->read(s->ask->context, address, out, NAME_BYTES - 1);
    out[got] = '\0';
    size_t length = strlen(out);
    for (size_t i = 0; i < length; i++)
        if ((u8)out[i] < ' ' || out[i] == 0x7f)
            return false;
    return length > 0 && length < got;
}

/* "ext4_ops" of a variable's address. */
static bool symbol_text(const struct search *s, u64 address, char out[NAME_BYTES])
{
    const struct snapshot *snapshot = s->x->s;
    for (u32 i = 1; i <= snapshot->module_count; i++) {
        const struct snapshot_module *m = &snapshot->modules[i - 1];
        const struct catalog *c = s->x->catalogs[i];
        if (!c || m->gone || address < m->lo || address >= m->hi)
            continue;
        const struct catalog_variable *v = catalog_variable_at(c, address - m->bias);
        if (!v || !c->strings[v->name])
            return false;
        char path[NAME_BYTES];
        u64 offset = address - m->bias - v->address;
        path[0] = '\0';
        if (offset)
            fields_path(s->x, i, v->type, offset, path, sizeof path);
        text_format(out, NAME_BYTES, "%s%s", c->strings + v->name, path);
        return true;
    }
    return false;
}

/* The string that the name field of what lies at `address` is, or points to. */
static bool named_text(const struct search *s, u64 address, char out[NAME_BYTES])
{
    struct field_place place;
    u64 pointer;
    if (!s->kind || !fields_find(s->x, s->kind, s->rule->name_field, &place))
        return false;
    const struct catalog *c = s->x->catalogs[place.module];
    if (c->types[place.type - 1].kind == CATALOG_ARRAY)
        return read_text(s, address + place.offset, out);
    return read_all(s, address + place.offset, &pointer, sizeof pointer) &&
           read_text(s, pointer, out);
}

static const char *name_of(struct search *s, u64 address)
{
    char text[NAME_BYTES], whole[2 * NAME_BYTES];
    bool named = s->rule->name_field ? named_text(s, address, text) : symbol_text(s, address, text);
    if (!named)
        return NULL;
    size_t bytes = text_format(whole, sizeof whole, "%s<%s>", s->rule->type, text) + 1;
    for (u64 i = 0; i <= s->mask; i++) /* two type objects may have one name */
        if (s->targets[i].name && !strcmp(s->targets[i].name, whole))
            return s->targets[i].name;
    char *copy = types_take(s->x->m, bytes, 1);
    memcpy(copy, whole, bytes);
    return copy;
}

static const char *target_name(struct search *s, u64 address)
{
    u64 at = (address >> 3) * 0x9e3779b97f4a7c15u >> 32 & s->mask;
    for (; s->targets[at].address; at = (at + 1) & s->mask)
        if (s->targets[at].address == address)
            return s->targets[at].name;
    if (2 * (u64)s->count > s->mask) {
        if (s->count >= TARGETS_MAX)
            return NULL;
        struct search old = *s;
        s->mask = 2 * s->mask + 1;
        s->targets = types_take(s->x->m, s->mask + 1, sizeof *s->targets);
        for (u64 i = 0; i <= old.mask; i++) {
            u64 slot = (old.targets[i].address >> 3) * 0x9e3779b97f4a7c15u >> 32 & s->mask;
            while (old.targets[i].address && s->targets[slot].address)
                slot = (slot + 1) & s->mask;
            if (old.targets[i].address)
                s->targets[slot] = old.targets[i];
        }
        return target_name(s, address);
    }
    const char *name = name_of(s, address);
    s->targets[at] = (struct target){address, name};
    s->count++;
    return name;
}

/* The shape that the field points to, to find the name in. */
static const struct shape *kind_of(struct shapes *x, const struct field_place *field)
{
    const struct catalog *c = x->catalogs[field->module];
    const struct catalog_type *t = &c->types[field->type - 1];
    u32 shape =
        t->kind == CATALOG_POINTER && t->target ? shapes_of(x, field->module, t->target) : 0;
    return shape ? shapes_get(x, shape) : NULL;
}

void subtypes_find(struct shapes *x, const struct types_ask *ask, const struct types_sub *rule,
                   const u32 *shape_of, void (*found)(void *context, u32 block, const char *name),
                   void *context)
{
    struct field_place field;
    u32 wanted = shapes_named(x, rule->type);
    if (!wanted || !ask->read || !fields_find(x, shapes_get(x, wanted), rule->field, &field))
        return;
    struct shape kind, *none = NULL;
    const struct shape *pointee = kind_of(x, &field);
    struct search s = {.x = x, .ask = ask, .rule = rule, .mask = FIRST_SLOTS - 1, .kind = none};
    if (pointee) {
        kind = *pointee; /* the list of shapes may move */
        s.kind = &kind;
    }
    s.targets = types_take(x->m, FIRST_SLOTS, sizeof *s.targets);
    s.window = types_take(x->m, WINDOW_BYTES, 1);
    for (u32 b = 1; b <= x->s->block_count; b++) {
        u32 shape = shape_of[b];
        if (!shape)
            continue;
        const struct shape *p = shapes_get(x, shape);
        u32 own = p->shift ? p->of : shape;
        u64 pointer, at = p->shift + field.offset;
        if ((own != wanted && !shapes_begins_with(x, own, wanted)) ||
            at + sizeof pointer > snapshot_block_bytes(x->s, (block_id){b}) ||
            !read_word(&s, x->s->block_addr[b - 1] + at, &pointer) || !pointer)
            continue;
        const char *name = target_name(&s, pointer);
        if (name)
            found(context, b, name);
    }
}
