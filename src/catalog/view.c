/* SPDX-License-Identifier: MIT
 *
 * view.c - accepts or refuses a catalogue: every offset, index, count and string is checked here,
 * once, so that every reader after it follows them without a check.
 *
 * Context: pure. The file may come from anywhere; nothing in it is trusted.
 * Invariant: *c is filled only with pointers into [bytes, bytes + size) whose whole extent has been
 * checked. The check reads each table once, forwards, and takes no memory: that chains end is seen
 * from the depth that each type carries, which must be above that of what it holds.
 */
#include <string.h>

#include "layout.h"

#define LLU(n) ((unsigned long long)(n))

struct check {
    const u8 *bytes;
    u64 size;
    const struct catalog_entry *found[CATALOG_SECTION_LIMIT];
    struct err *e;
};

static bool bad(const struct check *k, const char *format, ...) PRINTF_LIKE(2, 3);

static bool bad(const struct check *k, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    text_format_va(what, sizeof what, format, args);
    va_end(args);
    return err_set(k->e, STATUS_MALFORMED, "type catalogue: %s", what);
}

static u32 record_bytes(u32 code)
{
    switch (code) {
#define X(name, number, bytes, help)                                                               \
    case number:                                                                                   \
        return (u32)(bytes);
        CATALOG_SECTIONS(X)
#undef X
    default:
        return 0;
    }
}

static bool check_header(const struct check *k)
{
    const struct catalog_header *h = (const struct catalog_header *)k->bytes;
    if (k->size < sizeof *h)
        return bad(k, "%llu bytes are too few for one", LLU(k->size));
    if (memcmp(h->magic, CATALOG_MAGIC, sizeof h->magic) != 0)
        return bad(k, "it does not begin with " CATALOG_MAGIC);
    if (h->byte_order != CATALOG_BYTE_ORDER)
        return bad(k, "written on a machine of the other byte order");
    if (h->version != CATALOG_VERSION)
        return bad(k, "format version %u, this Moonheap reads version %u", h->version,
                   CATALOG_VERSION);
    if (h->file_bytes != k->size)
        return bad(k, "%llu bytes long, its header says %llu: cut or overwritten", LLU(k->size),
                   LLU(h->file_bytes));
    if (h->build_id_bytes > CATALOG_BUILD_ID_MAX)
        return bad(k, "a build-id of %u bytes", h->build_id_bytes);
    if (h->code_base > UINT64_MAX - (2ULL << 32))
        return bad(k, "its code lies beyond the address space");
    return true;
}

/* Table entries are in the order of their offsets, so "no overlap" is one comparison each. */
static bool check_table(struct check *k)
{
    const struct catalog_header *h = (const struct catalog_header *)k->bytes;
    const struct catalog_entry *table = (const struct catalog_entry *)(k->bytes + sizeof *h);
    if (h->section_count > (k->size - sizeof *h) / sizeof *table)
        return bad(k, "its table of %u sections does not fit", h->section_count);

    u64 end = sizeof *h + (u64)h->section_count * sizeof *table;
    for (u32 i = 0; i < h->section_count; i++) {
        const struct catalog_entry *t = &table[i];
        if (t->offset % CATALOG_ALIGN != 0 || t->offset < end)
            return bad(k, "section %u is not aligned or overlaps another", t->code);
        if (t->offset > k->size || t->record_bytes == 0 ||
            t->count > (k->size - t->offset) / t->record_bytes)
            return bad(k, "section %u: %llu records of %u bytes at %llu do not fit", t->code,
                       LLU(t->count), t->record_bytes, LLU(t->offset));
        end = t->offset + t->count * t->record_bytes;

        u32 expected = record_bytes(t->code);
        if (!expected) /* of a later Moonheap: skipped */
            continue;
        if (t->record_bytes != expected || t->count >= UINT32_MAX || k->found[t->code])
            return bad(k, "section %u: %llu records of %u bytes, or it is there twice", t->code,
                       LLU(t->count), t->record_bytes);
        k->found[t->code] = t;
    }
    return true;
}

static const void *records(const struct check *k, enum catalog_section code, u32 *count)
{
    const struct catalog_entry *t = k->found[code];
    *count = t ? (u32)t->count : 0;
    return t ? k->bytes + t->offset : NULL;
}

/* The strings begin with the empty one and end with a NUL: any offset in them is a string. */
static bool check_strings(const struct check *k, const struct catalog *c)
{
    return (c->string_bytes > 0 && !c->strings[0] && !c->strings[c->string_bytes - 1]) ||
           bad(k, "its strings do not begin and end with a NUL");
}

/* May a type hold that one, which is not void? */
static bool below(const struct catalog *c, const struct catalog_type *holder, u32 type)
{
    return type - 1 < c->type_count && c->types[type - 1].depth < holder->depth;
}

static bool check_members(const struct check *k, const struct catalog *c, u32 id)
{
    const struct catalog_type *t = &c->types[id - 1];
    if (t->first > c->member_count || t->count > c->member_count - t->first)
        return bad(k, "members of type %u lie outside their table", id);
    u64 before = 0;
    for (u32 i = t->first; i < t->first + t->count; i++) {
        const struct catalog_member *m = &c->members[i];
        if (m->name >= c->string_bytes || !below(c, t, m->type))
            return bad(k, "member %u of type %u has no name or a type that it may not have", i, id);
        u64 room = t->size - m->offset;
        if (m->offset < before || m->offset > t->size)
            return bad(k, "member %u of type %u is out of order or beyond it", i, id);
        if (c->types[m->type - 1].size > room && !m->bit_size &&
            !(m->flags & (CATALOG_MEMBER_BASE | CATALOG_MEMBER_VIRTUAL_BASE)))
            return bad(k, "member %u does not fit into type %u", i, id);
        if (m->bit_size && (u64)m->bit_offset + m->bit_size > 8 * (room < 8192 ? room : 8192))
            return bad(k, "bit field %u does not fit into type %u", i, id);
        before = m->offset;
    }
    return true;
}

static bool check_types(const struct check *k, const struct catalog *c)
{
    for (u32 id = 1; id <= c->type_count; id++) {
        const struct catalog_type *t = &c->types[id - 1];
        if (t->name >= c->string_bytes || t->target > c->type_count ||
            t->depth >= CATALOG_DEPTH_MAX)
            return bad(k, "type %u has no name, target or depth", id);
        u64 size;
        switch (t->kind) {
        case CATALOG_OPAQUE:
            if (t->size != 0)
                return bad(k, "type %u is not known, but has a size", id);
            break;
        case CATALOG_BASE:
        case CATALOG_POINTER:
        case CATALOG_FUNCTION:
            break;
        case CATALOG_STRUCT:
        case CATALOG_UNION:
            if (!check_members(k, c, id))
                return false;
            break;
        case CATALOG_ARRAY:
            if (!below(c, t, t->target) ||
                __builtin_mul_overflow(c->types[t->target - 1].size, t->count, &size) ||
                size != t->size)
                return bad(k, "array %u is not made of what it says", id);
            break;
        case CATALOG_TYPEDEF:
            if (t->target && !below(c, t, t->target))
                return bad(k, "typedef %u leads to itself", id);
            if (t->size != (t->target ? c->types[t->target - 1].size : 0))
                return bad(k, "typedef %u has another size than its type", id);
            break;
        default:
            return bad(k, "type %u is of kind %u", id, t->kind);
        }
    }
    return true;
}

static bool check_variables(const struct check *k, const struct catalog *c,
                            const struct catalog_variable *variables, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const struct catalog_variable *v = &variables[i];
        if (v->name >= c->string_bytes || v->type - 1 >= c->type_count || v->size == 0 ||
            v->size > UINT64_MAX - v->address)
            return bad(k, "variable %u has no name, type, size or place", i);
        if (i > 0 && v->address <= variables[i - 1].address)
            return bad(k, "variable %u is not above the one before", i);
    }
    return true;
}

static bool check_functions(const struct check *k, const struct catalog *c)
{
    for (u32 i = 0; i < c->function_count; i++) {
        const struct catalog_function *f = &c->functions[i];
        if (f->name >= c->string_bytes || f->returns > c->type_count || f->first > c->hint_count ||
            f->count > c->hint_count - f->first)
            return bad(k, "function %u has no name, return type or hints", i + 1);
    }
    for (u32 i = 0; i < c->hint_count; i++)
        if (c->hints[i] - 1 >= c->type_count)
            return bad(k, "hint %u names type %u of %u", i, c->hints[i], c->type_count);
    return true;
}

static bool check_ranges(const struct check *k, const struct catalog *c)
{
    for (u32 i = 0; i < c->range_count; i++) {
        const struct catalog_range *r = &c->ranges[i];
        if (r->function - 1 >= c->function_count || r->bytes == 0 || r->outer > i)
            return bad(k, "range %u has no function, no bytes or no outer range", i + 1);
        const struct catalog_range *b = i > 0 ? r - 1 : r;
        if (r->lo < b->lo || (r->lo == b->lo && r->bytes > b->bytes))
            return bad(k, "range %u is out of order", i + 1);
        const struct catalog_range *o = r->outer ? &c->ranges[r->outer - 1] : r;
        if ((u64)r->lo + r->bytes > (u64)o->lo + o->bytes)
            return bad(k, "range %u reaches beyond the one that it lies in", i + 1);
    }
    return true;
}

bool catalog_view(struct catalog *c, const void *bytes, u64 size, struct err *e)
{
    struct check k = {.bytes = bytes, .size = size, .e = e};
    if ((uintptr_t)bytes % CATALOG_ALIGN != 0)
        return err_set(e, STATUS_USAGE, "a catalogue must lie at a multiple of %d bytes",
                       CATALOG_ALIGN);
    if (!check_header(&k) || !check_table(&k))
        return false;
    const struct catalog_header *h = (const struct catalog_header *)bytes;
    struct catalog v = {
        .bytes = bytes,
        .size = size,
        .build_id = h->build_id,
        .build_id_bytes = h->build_id_bytes,
        .code_base = h->code_base,
    };
    v.strings = records(&k, CATALOG_STRINGS_SECTION, &v.string_bytes);
    v.types = records(&k, CATALOG_TYPES_SECTION, &v.type_count);
    v.members = records(&k, CATALOG_MEMBERS_SECTION, &v.member_count);
    v.variables = records(&k, CATALOG_VARIABLES_SECTION, &v.variable_count);
    v.thread_locals = records(&k, CATALOG_THREAD_LOCALS_SECTION, &v.thread_local_count);
    v.functions = records(&k, CATALOG_FUNCTIONS_SECTION, &v.function_count);
    v.hints = records(&k, CATALOG_HINTS_SECTION, &v.hint_count);
    v.ranges = records(&k, CATALOG_RANGES_SECTION, &v.range_count);
    if (!check_strings(&k, &v) || !check_types(&k, &v) ||
        !check_variables(&k, &v, v.variables, v.variable_count) ||
        !check_variables(&k, &v, v.thread_locals, v.thread_local_count) ||
        !check_functions(&k, &v) || !check_ranges(&k, &v))
        return false;
    *c = v;
    return true;
}
