/* SPDX-License-Identifier: MIT
 *
 * members.c - what lies where in blocks and variables, for those who ask about one of them.
 *
 * Context: pure. Allocates nothing.
 * Invariant: nothing is said of a place beyond the block, or of a type that is a name alone.
 */
#include <string.h>

#include "fields.h"
#include "solve.h"

static const struct shape *shape_of_type(const struct types *t, u32 type)
{
    if (!t->solution)
        return NULL;
    u32 shape = t->solution->shape_of_type[type];
    const struct shape *p = shapes_get(&t->solution->shapes, shape);
    return shape && p->catalog ? p : NULL;
}

static const struct shape *shape_of(const struct types *t, block_id b)
{
    return shape_of_type(t, types_of_block(t, b).v);
}

/* `array`: the block is one of elements of the shape. */
static size_t member_text(const struct types *t, const struct shape *p, bool array, u64 offset,
                          char *out, size_t size)
{
    char path[400];
    size_t used = 0;
    out[0] = '\0';
    if (!p || offset < p->shift)
        return 0;
    offset -= p->shift;
    if (array) {
        used = text_format(out, size, "[%llu]", (unsigned long long)(offset / p->size));
        offset %= p->size;
    }
    size_t bytes = fields_path(&t->solution->shapes, p->module, p->type, offset, path, sizeof path);
    const char *text = !used && *path == '.' ? path + 1 : path;
    return bytes ? used + text_format(out + used, size - used, "%s", text) : used;
}

size_t types_field_text(const struct types *t, block_id b, u64 offset, char *out, size_t size)
{
    const struct shape *p = shape_of(t, b);
    bool array = p && shapes_form(p, snapshot_block_bytes(t->snapshot, b)) == FORM_ARRAY;
    return member_text(t, p, array, offset, out, size);
}

size_t types_member_text(const struct types *t, type_id type, u64 offset, char *out, size_t size)
{
    const struct shape *p = shape_of_type(t, type.v);
    const char *name = t->types.text[type.v];
    return member_text(t, p, p && name[strlen(name) - 1] == ']', offset, out, size);
}

struct types_variable_place types_variable_place(const struct snapshot *s,
                                                 const struct snapshot_root *root, u64 address)
{
    bool local = root->kind == SNAPSHOT_ROOT_THREAD_LOCAL;
    if (!root->module || !(local || root->kind == SNAPSHOT_ROOT_DATA))
        return (struct types_variable_place){0};
    return (struct types_variable_place){
        .module = root->module,
        .thread_local = local,
        .at = address - (local ? root->lo : s->modules[root->module - 1].bias)};
}

size_t types_variable_text(const struct types *t, struct types_variable_place place, char *out,
                           size_t size)
{
    char path[400];
    const struct catalog_variable *v =
        t->solution ? shapes_variable(&t->solution->shapes, place) : NULL;
    if (!v)
        return 0;
    const char *name = t->solution->shapes.catalogs[place.module]->strings + v->name;
    if (!*name)
        return 0;
    fields_path(&t->solution->shapes, place.module, v->type, place.at - v->address, path,
                sizeof path);
    return text_format(out, size, "%s%s", name, path);
}

/* --- values -------------------------------------------------------------------------------- */

static bool is_character(const struct catalog *c, u32 type)
{
    type = catalog_plain(c, type);
    return type && c->types[type - 1].kind == CATALOG_BASE && c->types[type - 1].size == 1 &&
           strstr(c->strings + c->types[type - 1].name, "char");
}

static enum types_value base_value(const char *name)
{
    if (strstr(name, "float") || strstr(name, "double") || strstr(name, "Float"))
        return TYPES_VALUE_FLOAT;
    if (!strcmp(name, "_Bool") || !strcmp(name, "bool"))
        return TYPES_VALUE_BOOLEAN;
    return strstr(name, "unsigned") ? TYPES_VALUE_UNSIGNED : TYPES_VALUE_INTEGER;
}

static enum types_value value_of(const struct catalog *c, const struct catalog_type *t)
{
    switch (t->kind) {
    case CATALOG_BASE:
        return base_value(c->strings + t->name);
    case CATALOG_POINTER:
        return is_character(c, t->target) ? TYPES_VALUE_STRING : TYPES_VALUE_POINTER;
    case CATALOG_ARRAY:
        return is_character(c, t->target) ? TYPES_VALUE_CHARACTERS : TYPES_VALUE_WHOLE;
    default:
        return TYPES_VALUE_WHOLE;
    }
}

/* "[3].id" of an array of the shape: the index is taken off. */
static bool take_index(const char **path, u64 *index)
{
    char digits[24];
    const char *end = **path == '[' ? strchr(*path, ']') : NULL;
    if (!end || end - *path >= (long)sizeof digits)
        return false;
    text_format(digits, sizeof digits, "%.*s", (int)(end - *path - 1), *path + 1);
    *path = end + 1;
    return text_parse_u64(digits, index);
}

bool types_field_find(const struct types *t, block_id b, const char *path, struct types_field *f)
{
    const struct shape *p = shape_of(t, b);
    struct field_place place;
    u64 index = 0, whole = snapshot_block_bytes(t->snapshot, b);
    if (!p)
        return false;
    if (shapes_form(p, whole) == FORM_ARRAY && *path == '[' && !take_index(&path, &index))
        return false;
    if (p->size && index >= whole / p->size && index)
        return false;
    if (!fields_find(&t->solution->shapes, p, path, &place))
        return false;
    const struct catalog *c = t->solution->shapes.catalogs[place.module];
    const struct catalog_type *type = &c->types[place.type - 1];
    *f = (struct types_field){.offset = p->shift + index * p->size + place.offset,
                              .bytes = type->size,
                              .value = value_of(c, type),
                              .bit_offset = place.bit_offset,
                              .bit_size = place.bit_size};
    if (type->kind == CATALOG_ARRAY && !type->size && f->offset <= whole) /* flexible */
        f->bytes = whole - f->offset;
    return f->offset <= whole && f->bytes <= whole - f->offset;
}
