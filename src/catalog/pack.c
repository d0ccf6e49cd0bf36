/* SPDX-License-Identifier: MIT
 *
 * pack.c - from tables to the bytes of a catalogue.
 *
 * Context: pure.
 * Invariant: whatever the tables hold, the bytes that come out are accepted by catalog_view, or
 * none do: what would break a rule of the format is cut or left out here, since debug information
 * comes from anywhere and one odd type should not cost all others.
 * How types are put in order: depth first over what each holds, with a stack of our own, so that a
 * hostile chain of a million typedefs costs memory and not this process's stack.
 */
#include <stdlib.h>
#include <string.h>

#include "layout.h"

struct visit {
    u32 id, next; /* the type, and which of what it holds comes next */
};

enum { NEW, OPEN, DONE };

struct pack {
    const struct catalog *from;
    struct catalog_type *types;
    struct catalog_member *members;
    struct catalog_variable *variables, *thread_locals;
    struct catalog_range *ranges;
    u32 member_count, variable_count, thread_local_count, range_count;
    struct visit *stack;
    u8 *state;
};

/* --- types ---------------------------------------------------------------------------------- */

static bool has_members(const struct catalog_type *t)
{
    return t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION;
}

/* The n-th type that a type holds; 0 = no more. */
static u32 held(const struct pack *p, const struct catalog_type *t, u32 n)
{
    if (has_members(t))
        return n < t->count ? p->from->members[t->first + n].type : 0;
    bool one = t->kind == CATALOG_ARRAY || t->kind == CATALOG_TYPEDEF;
    return one && n == 0 ? t->target : 0;
}

/* Leaves of a type what is true without what it holds: its name and its size. */
static void cut(struct catalog_type *t)
{
    t->first = t->count = t->target = 0;
    t->depth = 0;
    if (t->kind == CATALOG_ARRAY)
        t->kind = CATALOG_BASE;
    if (t->kind == CATALOG_TYPEDEF)
        t->size = 0;
}

static bool fits(const struct pack *p, const struct catalog_type *t, const struct catalog_member *m)
{
    if (m->offset > t->size)
        return false;
    u64 room = t->size - m->offset;
    if (m->bit_size)
        return (u64)m->bit_offset + m->bit_size <= 8 * (room < 8192 ? room : 8192);
    bool base = m->flags & (CATALOG_MEMBER_BASE | CATALOG_MEMBER_VIRTUAL_BASE);
    return base || p->types[m->type - 1].size <= room;
}

/* By offset, stable: members come nearly sorted from every compiler, so insertion is linear. */
static void place_members(struct pack *p, struct catalog_type *t)
{
    u32 first = p->member_count;
    for (u32 i = 0; i < t->count; i++) {
        struct catalog_member m = p->from->members[t->first + i];
        if (!fits(p, t, &m))
            continue;
        u32 at = p->member_count++;
        for (; at > first && p->members[at - 1].offset > m.offset; at--)
            p->members[at] = p->members[at - 1];
        p->members[at] = m;
    }
    t->first = first;
    t->count = p->member_count - first;
}

/* All that a type holds is done. */
static void finish_type(struct pack *p, struct catalog_type *t)
{
    u32 depth = 0;
    u32 type;
    for (u32 n = 0; (type = held(p, t, n)) != 0; n++)
        depth = p->types[type - 1].depth >= depth ? p->types[type - 1].depth + 1u : depth;
    if (depth >= CATALOG_DEPTH_MAX) {
        cut(t);
        return;
    }
    t->depth = (u16)depth;
    if (has_members(t)) {
        place_members(p, t);
    } else if (t->kind == CATALOG_TYPEDEF) {
        t->size = t->target ? p->types[t->target - 1].size : 0;
    } else if (t->kind == CATALOG_ARRAY) {
        u64 size;
        if (!t->target || __builtin_mul_overflow(p->types[t->target - 1].size, t->count, &size))
            cut(t);
        else
            t->size = size;
    }
}

static void visit(struct pack *p, u32 root)
{
    u32 depth = 0;
    p->stack[depth++] = (struct visit){root, 0};
    p->state[root - 1] = OPEN;
    while (depth > 0) {
        struct visit *top = &p->stack[depth - 1];
        struct catalog_type *t = &p->types[top->id - 1];
        u32 next = held(p, t, top->next++);
        if (next && p->state[next - 1] == NEW) {
            p->state[next - 1] = OPEN;
            p->stack[depth++] = (struct visit){next, 0};
        } else if (next && p->state[next - 1] == OPEN) {
            cut(t);
        } else if (!next) {
            finish_type(p, t);
            p->state[top->id - 1] = DONE;
            depth--;
        }
    }
}

/* Are the caller's indices within its tables, and each member in one struct? */
static bool tables_agree(const struct catalog *c, struct err *e)
{
    u64 members = 0;
    for (u32 i = 0; i < c->type_count; i++) {
        const struct catalog_type *t = &c->types[i];
        if (t->target > c->type_count)
            return err_set(e, STATUS_MALFORMED, "type %u leads to type %u of %u", i + 1, t->target,
                           c->type_count);
        if (!has_members(t))
            continue;
        members += t->count;
        if (t->first > c->member_count || t->count > c->member_count - t->first ||
            members > c->member_count)
            return err_set(e, STATUS_MALFORMED, "type %u has members that are not there", i + 1);
    }
    for (u32 i = 0; i < c->member_count; i++)
        if (c->members[i].type - 1 >= c->type_count)
            return err_set(e, STATUS_MALFORMED, "member %u has no type", i);
    return true;
}

/* --- variables and code --------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct catalog_variable *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->size == y->size ? 0 : x->size > y->size ? -1 : 1;
}

static u32 place_variables(const struct pack *p, struct catalog_variable *v, u32 count)
{
    u32 kept = 0;
    for (u32 i = 0; i < count; i++) {
        struct catalog_variable one = v[i];
        if (one.size == 0 && one.type - 1 < p->from->type_count)
            one.size = p->types[one.type - 1].size;
        if (one.size > 0 && one.size <= UINT64_MAX - one.address)
            v[kept++] = one;
    }
    if (kept > 0)
        qsort(v, kept, sizeof *v, by_address);
    u32 distinct = 0;
    for (u32 i = 0; i < kept; i++)
        if (distinct == 0 || v[distinct - 1].address != v[i].address)
            v[distinct++] = v[i];
    return distinct;
}

/* `outer` holds the place in the caller's order until the outer range is known. */
static int by_place(const void *a, const void *b)
{
    const struct catalog_range *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->outer < y->outer ? -1 : 1;
}

static u64 range_end(const struct catalog_range *r)
{
    return (u64)r->lo + r->bytes;
}

static void place_ranges(struct pack *p, u32 count)
{
    struct catalog_range *r = p->ranges;
    for (u32 i = 0; i < count; i++)
        r[i].outer = i;
    if (count > 0)
        qsort(r, count, sizeof *r, by_place);
    u32 kept = 0, innermost = 0;
    for (u32 i = 0; i < count; i++) {
        while (innermost && range_end(&r[innermost - 1]) <= r[i].lo)
            innermost = r[innermost - 1].outer;
        const struct catalog_range *in = innermost ? &r[innermost - 1] : NULL;
        bool astride = in && range_end(in) < range_end(&r[i]);
        bool again =
            in && in->function == r[i].function && in->lo == r[i].lo && in->bytes == r[i].bytes;
        if (r[i].bytes == 0 || astride || again)
            continue;
        r[kept] = r[i];
        r[kept].outer = innermost;
        innermost = ++kept;
    }
    p->range_count = kept;
}

/* --- the file ------------------------------------------------------------------------------- */

struct table {
    const void *records;
    u64 count;
};

static void *lay_out(const struct pack *p, u64 *size)
{
    const struct catalog *c = p->from;
    const struct table tables[] = {
        [CATALOG_STRINGS_SECTION] = {c->strings, c->string_bytes},
        [CATALOG_TYPES_SECTION] = {p->types, c->type_count},
        [CATALOG_MEMBERS_SECTION] = {p->members, p->member_count},
        [CATALOG_VARIABLES_SECTION] = {p->variables, p->variable_count},
        [CATALOG_THREAD_LOCALS_SECTION] = {p->thread_locals, p->thread_local_count},
        [CATALOG_FUNCTIONS_SECTION] = {c->functions, c->function_count},
        [CATALOG_HINTS_SECTION] = {c->hints, c->hint_count},
        [CATALOG_RANGES_SECTION] = {p->ranges, p->range_count},
    };
    static const struct {
        u32 code, bytes;
    } sections[] = {
#define X(name, number, bytes, help) {number, bytes},
        CATALOG_SECTIONS(X)
#undef X
    };
    struct catalog_entry entries[COUNT_OF(sections)];
    u64 end = sizeof(struct catalog_header) + sizeof entries;
    for (u32 i = 0; i < COUNT_OF(sections); i++) {
        u64 count = tables[sections[i].code].count;
        end = ROUND_UP(end, (u64)CATALOG_ALIGN);
        entries[i] = (struct catalog_entry){sections[i].code, sections[i].bytes, end, count};
        end += count * sections[i].bytes;
    }
    u8 *file = calloc(1, end);
    if (!file)
        return NULL;
    struct catalog_header header = {
        .magic = CATALOG_MAGIC,
        .version = CATALOG_VERSION,
        .byte_order = CATALOG_BYTE_ORDER,
        .section_count = COUNT_OF(sections),
        .build_id_bytes = c->build_id_bytes,
        .file_bytes = end,
        .code_base = c->code_base,
    };
    if (c->build_id_bytes)
        memcpy(header.build_id, c->build_id, c->build_id_bytes);
    memcpy(file, &header, sizeof header);
    memcpy(file + sizeof header, entries, sizeof entries);
    for (u32 i = 0; i < COUNT_OF(sections); i++)
        if (entries[i].count > 0)
            memcpy(file + entries[i].offset, tables[entries[i].code].records,
                   entries[i].count * entries[i].record_bytes);
    *size = end;
    return file;
}

static void *copy(const void *records, u32 count, size_t bytes)
{
    void *room = malloc(count * bytes + 1);
    if (room && count > 0)
        memcpy(room, records, count * bytes);
    return room;
}

static void *pack(struct pack *p, u64 *size, struct err *e)
{
    const struct catalog *c = p->from;
    if (!p->types || !p->members || !p->variables || !p->thread_locals || !p->ranges || !p->stack ||
        !p->state) {
        err_set(e, STATUS_NO_MEMORY, "out of memory for a catalogue of %u types", c->type_count);
        return NULL;
    }
    for (u32 i = 0; i < c->type_count; i++)
        if (p->state[i] == NEW)
            visit(p, i + 1);
    p->variable_count = place_variables(p, p->variables, c->variable_count);
    p->thread_local_count = place_variables(p, p->thread_locals, c->thread_local_count);
    place_ranges(p, c->range_count);

    void *file = lay_out(p, size);
    struct catalog whole;
    if (!file)
        err_set(e, STATUS_NO_MEMORY, "out of memory for a catalogue of %u types", c->type_count);
    else if (catalog_view(&whole, file, *size, e))
        return file;
    free(file);
    return NULL;
}

void *catalog_pack(const struct catalog *parts, u64 *size, struct err *e)
{
    if (parts->build_id_bytes > CATALOG_BUILD_ID_MAX) {
        err_set(e, STATUS_MALFORMED, "a build-id of %u bytes", parts->build_id_bytes);
        return NULL;
    }
    if (!tables_agree(parts, e))
        return NULL;
    struct pack p = {
        .from = parts,
        .types = copy(parts->types, parts->type_count, sizeof *p.types),
        .members = malloc(parts->member_count * sizeof *p.members + 1),
        .variables = copy(parts->variables, parts->variable_count, sizeof *p.variables),
        .thread_locals =
            copy(parts->thread_locals, parts->thread_local_count, sizeof *p.thread_locals),
        .ranges = copy(parts->ranges, parts->range_count, sizeof *p.ranges),
        .stack = malloc(parts->type_count * sizeof *p.stack + 1),
        .state = calloc(1, (size_t)parts->type_count + 1),
    };
    void *file = pack(&p, size, e);
    free(p.types);
    free(p.members);
    free(p.variables);
    free(p.thread_locals);
    free(p.ranges);
    free(p.stack);
    free(p.state);
    return file;
}
