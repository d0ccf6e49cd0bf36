/* SPDX-License-Identifier: MIT
 *
 * fields.c - members by name and by place: "session.next" for offset 0, and back.
 *
 * Context: pure.
 * Invariant: what has no name in the source (a base class, an anonymous union) is looked through,
 * so paths are what a programmer would write.
 * Of a union's members the first one that has a pointer at the place gives the name, since it is
 * pointers that are asked about; else the first one.
 */
#include <string.h>

#include "fields.h"

enum { BACK = 16, NAME_BYTES = 256 };

static const struct catalog_type *type_at(const struct catalog *c, u32 type)
{
    return &c->types[type - 1];
}

static u64 bytes_of(const struct catalog *c, u32 type)
{
    return type ? type_at(c, type)->size : 0;
}

/* --- by place ------------------------------------------------------------------------------ */

/* Is there a pointer at the offset, in some member of some member? */
static bool has_pointer(const struct catalog *c, u32 type, u64 offset)
{
    for (u32 depth = 0; depth < 2 * CATALOG_DEPTH_MAX; depth++) {
        type = catalog_plain(c, type);
        const struct catalog_type *t = type ? type_at(c, type) : NULL;
        if (!t || offset >= t->size)
            return false;
        if (t->kind == CATALOG_POINTER)
            return offset == 0;
        if (t->kind == CATALOG_ARRAY) {
            u64 bytes = bytes_of(c, catalog_plain(c, t->target));
            if (!bytes)
                return false;
            offset %= bytes;
            type = t->target;
            continue;
        }
        if (t->kind != CATALOG_STRUCT && t->kind != CATALOG_UNION)
            return false;
        for (u32 i = t->first + t->count; i > t->first; i--) {
            const struct catalog_member *m = &c->members[i - 1];
            if (m->offset <= offset && !(m->flags & CATALOG_MEMBER_VIRTUAL_BASE) &&
                has_pointer(c, m->type, offset - m->offset))
                return true;
        }
        return false;
    }
    return false;
}

/* The member of a struct or union that an offset lies in; NULL when it lies in none. */
static const struct catalog_member *member_at(const struct catalog *c, const struct catalog_type *t,
                                              u64 offset)
{
    const struct catalog_member *found = NULL;
    for (u32 i = t->first + t->count; i > t->first; i--) {
        const struct catalog_member *m = &c->members[i - 1];
        u32 plain = catalog_plain(c, m->type);
        bool flexible = plain && type_at(c, plain)->kind == CATALOG_ARRAY && !bytes_of(c, plain);
        if (m->offset > offset || m->flags & CATALOG_MEMBER_VIRTUAL_BASE ||
            (!flexible && offset - m->offset >= bytes_of(c, plain)))
            continue;
        if (has_pointer(c, m->type, offset - m->offset))
            return m;
        if (!found || t->kind == CATALOG_UNION || found->flags & CATALOG_MEMBER_BASE)
            found = m;
    }
    return found;
}

size_t fields_path(const struct shapes *x, u32 module, u32 type, u64 offset, char *out, size_t size)
{
    const struct catalog *c = x->catalogs[module];
    size_t used = 0;
    out[0] = '\0';
    for (u32 depth = 0; depth < 2 * CATALOG_DEPTH_MAX; depth++) {
        type = catalog_plain(c, type);
        const struct catalog_type *t = type ? type_at(c, type) : NULL;
        if (t && t->kind == CATALOG_ARRAY) {
            u32 element = catalog_plain(c, t->target);
            u64 bytes = bytes_of(c, element);
            if (!bytes)
                break;
            used += text_format(out + used, size - used, "[%llu]",
                                (unsigned long long)(offset / bytes));
            offset %= bytes;
            type = element;
            continue;
        }
        if (!t || (t->kind != CATALOG_STRUCT && t->kind != CATALOG_UNION))
            break;
        const struct catalog_member *m = member_at(c, t, offset);
        if (!m)
            break;
        if (!(m->flags & CATALOG_MEMBER_BASE) && c->strings[m->name])
            used += text_format(out + used, size - used, ".%s", c->strings + m->name);
        offset -= m->offset;
        type = m->type;
    }
    return used;
}

/* --- by name ------------------------------------------------------------------------------- */

static bool find_member(const struct catalog *c, u32 type, const char *name, u64 offset,
                        struct field_place *out)
{
    type = catalog_plain(c, type);
    const struct catalog_type *t = type ? type_at(c, type) : NULL;
    if (!t || (t->kind != CATALOG_STRUCT && t->kind != CATALOG_UNION))
        return false;
    for (u32 i = t->first; i < t->first + t->count; i++) {
        const struct catalog_member *m = &c->members[i];
        if (!(m->flags & CATALOG_MEMBER_BASE) && !strcmp(c->strings + m->name, name)) {
            out->type = catalog_plain(c, m->type);
            out->offset = offset + m->offset;
            out->bit_offset = m->bit_offset;
            out->bit_size = m->bit_size;
            return out->type != 0;
        }
    }
    for (u32 i = t->first; i < t->first + t->count; i++) {
        const struct catalog_member *m = &c->members[i];
        bool unnamed = !c->strings[m->name] || m->flags & CATALOG_MEMBER_BASE;
        if (unnamed && !(m->flags & CATALOG_MEMBER_VIRTUAL_BASE) &&
            find_member(c, m->type, name, offset + m->offset, out))
            return true;
    }
    return false;
}

/* "[12]" at *path. */
static bool find_element(const struct catalog *c, const char **path, struct field_place *out)
{
    const struct catalog_type *t = type_at(c, out->type);
    char digits[24];
    const char *end = strchr(*path, ']');
    u64 index;
    if (!end || end - *path >= (long)sizeof digits)
        return false;
    text_format(digits, sizeof digits, "%.*s", (int)(end - *path - 1), *path + 1);
    u32 element = t->kind == CATALOG_ARRAY ? catalog_plain(c, t->target) : 0;
    u64 bytes = bytes_of(c, element);
    if (!bytes || !text_parse_u64(digits, &index) || (t->count && index >= t->count) ||
        index > UINT64_MAX / bytes / 2)
        return false;
    out->type = element;
    out->offset += index * bytes;
    *path = end + 1;
    return true;
}

bool fields_find(const struct shapes *x, const struct shape *p, const char *path,
                 struct field_place *out)
{
    if (!p->catalog)
        return false;
    *out = (struct field_place){.module = p->module, .type = p->type};
    const struct catalog *c = x->catalogs[p->module];
    while (*path) {
        if (*path == '[') {
            if (!find_element(c, &path, out))
                return false;
            continue;
        }
        char name[NAME_BYTES];
        path += *path == '.';
        size_t bytes = strcspn(path, ".[");
        if (!bytes || bytes >= sizeof name)
            return false;
        text_format(name, sizeof name, "%.*s", (int)bytes, path);
        if (!find_member(c, out->type, name, out->offset, out))
            return false;
        path += bytes;
    }
    return true;
}
