/* SPDX-License-Identifier: MIT
 *
 * catalog_shape.c - from an entry that describes a type to its shape.
 *
 * Context: tool, in the builder's child process.
 * Invariant: a shape is kept once (by its content), and refers to named structs by tag only; so its
 * content never depends on what a unit happens to define. An entry that leads to itself without a
 * name on the way is of unknown type.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_build.h"

enum { NESTED_MAX = 100, DIMENSIONS_MAX = 16, POINTER_BYTES = 8 };

static u64 key_of(const Dwarf_Die *die)
{
    return (u64)(uintptr_t)die->addr;
}

/* --- shapes by content ------------------------------------------------------------------------ */

static bool same_members(const struct catalog_build *b, const struct catalog_type *x,
                         const struct catalog_type *y)
{
    return memcmp(b->members.at + x->first, b->members.at + y->first,
                  x->count * sizeof *b->members.at) == 0;
}

static bool has_members(const struct catalog_type *t)
{
    return (t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION) && t->count > 0;
}

static bool same(const struct catalog_build *b, const struct catalog_type *x,
                 const struct catalog_type *y)
{
    return x->size == y->size && x->name == y->name && x->kind == y->kind &&
           x->target == y->target && x->count == y->count && x->flags == y->flags &&
           (!has_members(x) || same_members(b, x, y));
}

/* The shape of that content. Members, if any, are the last ones of b->members; they are dropped
 * when the shape is there already. */
static u32 intern(struct catalog_build *b, const struct catalog_type *t)
{
    u64 h = catalog_mix(t->size, t->name);
    h = catalog_mix(h, t->kind | (u64)t->flags << 32);
    h = catalog_mix(h, t->target | (u64)t->count << 32);
    if (has_members(t))
        h = catalog_mix(h,
                        catalog_hash(b->members.at + t->first, t->count * sizeof *b->members.at));
    u32 *at;
    while (*(at = catalog_map_add(&b->pool, &b->shape_of_hash, h | 1)) != 0) {
        if (same(b, &b->shapes.at[*at - 1], t)) {
            if (has_members(t))
                b->members.count = t->first;
            return *at;
        }
        h = catalog_mix(h, 1);
    }
    *at = b->shapes.count + 1;
    *CATALOG_ADD(&b->pool, &b->shapes) = *t;
    return b->shapes.count;
}

static u32 unknown(struct catalog_build *b)
{
    return intern(b, &(struct catalog_type){.kind = CATALOG_OPAQUE});
}

/* --- members -----------------------------------------------------------------------------------
 */

static u32 shape_of(struct catalog_build *b, u32 unit, Dwarf_Die *die, u32 depth);

static u32 shape_of_type(struct catalog_build *b, u32 unit, struct catalog_die *d, u32 depth)
{
    Dwarf_Die type;
    return catalog_die_refers(d, CATALOG_AT_type, &type) ? shape_of(b, unit, &type, depth) : 0;
}

/* Bits from the start of the struct. DWARF 2 and 3, and compilers that still write their form,
 * count from the high end of the storage unit. */
static bool bit_position(struct catalog_die *d, u64 offset, u64 storage, u64 bits, u64 *position)
{
    u64 n;
    if (catalog_die_number(d, CATALOG_AT_data_bit_offset, position))
        return true;
    if (!catalog_die_number(d, CATALOG_AT_bit_offset, &n)) {
        *position = 8 * offset;
        return true;
    }
    catalog_die_number(d, CATALOG_AT_byte_size, &storage);
    if (n + bits > 8 * storage || offset > UINT32_MAX)
        return false;
    *position = 8 * offset + 8 * storage - n - bits;
    return true;
}

static u64 storage_of(const struct catalog_build *b, u32 reference)
{
    while (reference && !(reference & CATALOG_REF_TAG) &&
           b->shapes.at[reference - 1].kind == CATALOG_TYPEDEF)
        reference = b->shapes.at[reference - 1].target;
    return reference && !(reference & CATALOG_REF_TAG) ? b->shapes.at[reference - 1].size : 0;
}

static bool read_member(struct catalog_build *b, u32 unit, struct catalog_die *d, u32 depth,
                        struct catalog_member *m)
{
    u64 offset, bits, position;
    const char *name = catalog_die_name(d);
    if (CATALOG_HAS(d, declaration) || !catalog_die_member_offset(d, &offset))
        return false; /* static */
    *m = (struct catalog_member){.offset = offset};
    m->type = shape_of_type(b, unit, d, depth);
    if (!m->type)
        m->type = unknown(b);
    if (name && !strncmp(name, "_vptr", 5))
        m->flags = CATALOG_MEMBER_VPTR;
    if (name)
        m->name = catalog_strings_add(&b->pool, &b->names, name, strlen(name));
    if (catalog_die_number(d, CATALOG_AT_bit_size, &bits) && bits > 0 && bits <= UINT16_MAX) {
        if (!bit_position(d, offset, storage_of(b, m->type), bits, &position))
            return false;
        m->offset = position / 8;
        m->bit_offset = (u16)(position % 8);
        m->bit_size = (u16)bits;
    }
    return true;
}

static bool read_base(struct catalog_build *b, u32 unit, struct catalog_die *d, u32 depth,
                      struct catalog_member *m)
{
    u64 offset = 0, virtuality = 0;
    catalog_die_number(d, CATALOG_AT_virtuality, &virtuality);
    if (virtuality == DW_VIRTUALITY_none && !catalog_die_member_offset(d, &offset))
        return false;
    *m = (struct catalog_member){.offset = offset, .flags = CATALOG_MEMBER_BASE};
    if (virtuality != DW_VIRTUALITY_none)
        m->flags |= CATALOG_MEMBER_VIRTUAL_BASE;
    m->type = shape_of_type(b, unit, d, depth);
    return m->type != 0;
}

typedef CATALOG_LIST(struct catalog_member) member_list;

/* Types that members lead to may add members of their own: ours are gathered first. */
static void read_members(struct catalog_build *b, u32 unit, Dwarf_Die *die, u32 depth,
                         member_list *members)
{
    Dwarf_Die child;
    if (dwarf_child(die, &child) != 0)
        return;
    do {
        int tag = dwarf_tag(&child);
        struct catalog_die d;
        struct catalog_member m;
        if (tag != DW_TAG_member && tag != DW_TAG_inheritance)
            continue;
        catalog_die_read(&d, &child);
        if (tag == DW_TAG_member ? read_member(b, unit, &d, depth, &m)
                                 : read_base(b, unit, &d, depth, &m))
            *CATALOG_ADD(&b->pool, members) = m;
    } while (dwarf_siblingof(&child, &child) == 0);
}

static u32 define(struct catalog_build *b, u32 unit, Dwarf_Die *die, struct catalog_die *d, u32 tag,
                  u32 depth)
{
    member_list members = {0};
    read_members(b, unit, die, depth, &members);
    struct catalog_type t = {
        .kind = dwarf_tag(die) == DW_TAG_union_type ? CATALOG_UNION : CATALOG_STRUCT,
        .name = tag ? b->tags.at[tag - 1].name : 0,
        .first = b->members.count,
        .count = members.count,
        .flags = CATALOG_HAS(d, containing_type) ? CATALOG_POLYMORPHIC : 0,
    };
    catalog_die_number(d, CATALOG_AT_byte_size, &t.size);
    for (u32 i = 0; i < members.count; i++) {
        *CATALOG_ADD(&b->pool, &b->members) = members.at[i];
        if (members.at[i].flags & CATALOG_MEMBER_VPTR)
            t.flags = CATALOG_POLYMORPHIC;
    }
    free(members.at);
    return intern(b, &t);
}

/* --- other types --------------------------------------------------------------------------------
 */

static u64 elements(struct catalog_die *d)
{
    u64 n, low = 0;
    if (catalog_die_number(d, CATALOG_AT_count, &n))
        return n;
    catalog_die_number(d, CATALOG_AT_lower_bound, &low);
    if (!catalog_die_number(d, CATALOG_AT_upper_bound, &n) || n == UINT64_MAX ||
        n - low == UINT64_MAX)
        return 0;
    return n - low + 1;
}

/* int a[2][3] is two times three int: the last dimension is the innermost. */
static u32 array_of(struct catalog_build *b, Dwarf_Die *die, u32 element)
{
    u64 counts[DIMENSIONS_MAX];
    u32 n = 0;
    Dwarf_Die child;
    if (dwarf_child(die, &child) == 0) {
        do {
            struct catalog_die d;
            if (dwarf_tag(&child) != DW_TAG_subrange_type || n == DIMENSIONS_MAX)
                continue;
            catalog_die_read(&d, &child);
            counts[n++] = elements(&d);
        } while (dwarf_siblingof(&child, &child) == 0);
    }
    if (n == 0)
        counts[n++] = 0;
    u32 shape = element ? element : unknown(b);
    while (n-- > 0) {
        if (counts[n] > UINT32_MAX)
            return unknown(b);
        struct catalog_type t = {.kind = CATALOG_ARRAY, .target = shape, .count = (u32)counts[n]};
        shape = intern(b, &t);
    }
    return shape;
}

static u32 named(struct catalog_build *b, u32 unit, Dwarf_Die *die, struct catalog_die *d,
                 enum catalog_kind kind, u32 target)
{
    struct catalog_type t = {.kind = kind, .target = target};
    t.name = catalog_unit_name(b, unit, die);
    if (kind == CATALOG_BASE)
        catalog_die_number(d, CATALOG_AT_byte_size, &t.size);
    if (dwarf_tag(die) == DW_TAG_unspecified_type && !t.size) /* what nullptr is of */
        t.size = POINTER_BYTES;
    return intern(b, &t);
}

static u32 pointer_to_member(struct catalog_build *b, u32 unit, struct catalog_die *d, u32 depth)
{
    u32 target = shape_of_type(b, unit, d, depth);
    bool function =
        target && !(target & CATALOG_REF_TAG) && b->shapes.at[target - 1].kind == CATALOG_FUNCTION;
    struct catalog_type t = {.kind = CATALOG_BASE,
                             .size = function ? 2 * POINTER_BYTES : POINTER_BYTES};
    catalog_die_number(d, CATALOG_AT_byte_size, &t.size);
    return intern(b, &t);
}

/* A struct, union or class: by its tag when it has a name. What it holds is read when the types
 * that lead to it are done, so that a typedef may lead to a struct that refers to the typedef. */
static u32 tagged(struct catalog_build *b, u32 unit, Dwarf_Die *die, struct catalog_die *d,
                  u32 depth)
{
    u32 tag = catalog_unit_tag(b, unit, die, d);
    if (CATALOG_HAS(d, declaration))
        return tag ? tag | CATALOG_REF_TAG : unknown(b);
    if (!tag)
        return define(b, unit, die, d, 0, depth + 1);
    *CATALOG_ADD(&b->pool, &b->pending) = (struct catalog_pending){*die, unit, tag};
    return tag | CATALOG_REF_TAG;
}

static void read_pending(struct catalog_build *b, struct catalog_pending p)
{
    struct catalog_die d;
    catalog_die_read(&d, &p.die);
    u32 shape = define(b, p.unit, &p.die, &d, p.tag, 0);
    struct catalog_tag *t = &b->tags.at[p.tag - 1];
    if (!t->shape) {
        t->shape = shape;
        t->unit = p.unit;
    }
    t->several |= t->shape != shape;
    *catalog_map_add(&b->pool, &b->units.at[p.unit].shapes, key_of(&p.die)) = shape;
    *CATALOG_ADD(&b->pool, &b->known) = (struct catalog_known){p.unit, p.tag, shape, p.unit};
}

void catalog_shape_finish(struct catalog_build *b)
{
    while (b->pending.count > 0)
        read_pending(b, b->pending.at[--b->pending.count]);
    for (u32 i = 0; i < b->notes.count; i++) {
        struct catalog_note n = b->notes.at[i];
        u32 *shape = catalog_map_find(&b->units.at[n.home].shapes, n.entry);
        if (shape)
            *CATALOG_ADD(&b->pool, &b->known) =
                (struct catalog_known){n.unit, n.tag, *shape, n.home};
    }
    b->notes.count = 0;
}

static u32 read_type(struct catalog_build *b, u32 unit, Dwarf_Die *die, u32 depth)
{
    struct catalog_die d;
    catalog_die_read(&d, die);
    u32 target;
    switch (dwarf_tag(die)) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        return tagged(b, unit, die, &d, depth);
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
        target = shape_of_type(b, unit, &d, depth);
        return intern(b, &(struct catalog_type){
                             .kind = CATALOG_POINTER, .size = POINTER_BYTES, .target = target});
    case DW_TAG_array_type:
        return array_of(b, die, shape_of_type(b, unit, &d, depth));
    case DW_TAG_typedef:
        target = shape_of_type(b, unit, &d, depth);
        if (catalog_unit_is_inner(b, unit, die)) /* value_type, pointer...: what they stand for */
            return target;
        return named(b, unit, die, &d, CATALOG_TYPEDEF, target);
    case DW_TAG_subroutine_type:
    case DW_TAG_subprogram:
        return intern(b, &(struct catalog_type){.kind = CATALOG_FUNCTION});
    case DW_TAG_ptr_to_member_type:
        return pointer_to_member(b, unit, &d, depth);
    case DW_TAG_base_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_unspecified_type:
        return named(b, unit, die, &d, CATALOG_BASE, 0);
    default:
        return unknown(b);
    }
}

/* Past const, volatile and the like, and from a stand-in to its type unit; false = void. */
static bool strip(Dwarf_Die *die)
{
    for (u32 i = 0; i < NESTED_MAX; i++) {
        struct catalog_die d;
        Dwarf_Die next;
        switch (dwarf_tag(die)) {
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_restrict_type:
        case DW_TAG_atomic_type:
        case DW_TAG_immutable_type:
        case DW_TAG_packed_type:
        case DW_TAG_shared_type:
            catalog_die_read(&d, die);
            if (!catalog_die_refers(&d, CATALOG_AT_type, &next))
                return false;
            break;
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
        case DW_TAG_enumeration_type:
            if (!dwarf_hasattr(die, DW_AT_signature))
                return true;
            catalog_die_read(&d, die);
            if (!catalog_die_refers(&d, CATALOG_AT_signature, &next))
                return true;
            break;
        default:
            return true;
        }
        *die = next;
    }
    return true;
}

static u32 shape_of(struct catalog_build *b, u32 unit, Dwarf_Die *die, u32 depth)
{
    Dwarf_Die type = *die;
    if (!strip(&type))
        return 0;
    if (depth > NESTED_MAX)
        return unknown(b);
    u32 *known = catalog_map_find(&b->units.at[unit].refs, key_of(&type));
    if (known)
        return *known - 1;
    u32 home = catalog_unit_of(b, &type, unit);
    u32 reference;
    if (home == unit) {
        u32 open = unknown(b);
        *catalog_map_add(&b->pool, &b->units.at[unit].refs, key_of(&type)) = open + 1;
        reference = read_type(b, unit, &type, depth + 1);
    } else {
        reference = shape_of(b, home, &type, depth);
        if (reference & CATALOG_REF_TAG) /* what another unit defines is known here by its tag */
            *CATALOG_ADD(&b->pool, &b->notes) =
                (struct catalog_note){key_of(&type), unit, reference & ~CATALOG_REF_TAG, home};
    }
    *catalog_map_add(&b->pool, &b->units.at[unit].refs, key_of(&type)) = reference + 1;
    return reference;
}

u32 catalog_shape_of(struct catalog_build *b, u32 unit, Dwarf_Die *die)
{
    return shape_of(b, unit, die, 0);
}

u32 catalog_shape_of_type(struct catalog_build *b, u32 unit, struct catalog_die *d)
{
    return shape_of_type(b, unit, d, 0);
}

u32 catalog_shape_pointee(const struct catalog_build *b, u32 reference)
{
    const struct catalog_type *t;
    do {
        if (!reference || (reference & CATALOG_REF_TAG))
            return 0;
        t = &b->shapes.at[reference - 1];
        reference = t->target;
    } while (t->kind == CATALOG_TYPEDEF);
    if (t->kind != CATALOG_POINTER || !reference)
        return 0;
    bool code =
        !(reference & CATALOG_REF_TAG) && b->shapes.at[reference - 1].kind == CATALOG_FUNCTION;
    return code ? 0 : reference;
}
