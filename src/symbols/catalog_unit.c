/* SPDX-License-Identifier: MIT
 *
 * catalog_unit.c - goes through the units of the debug information: what is where, under which
 * name, and what is to be taken over.
 *
 * Context: tool, in the builder's child process.
 * Invariant: a unit is walked (its scopes known) before an entry of it is read. Its maps are let go
 * when it has been taken over, unless another unit refers into it: so memory follows what is
 * distinct, not the size of the debug information.
 * Why a walk first: an entry does not name its parent, and a typedef may stand behind the struct
 * that it gives a name to.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_build.h"

enum { NESTED_MAX = 500, CHAIN_MAX = 16 };

static u64 key_of(const void *at)
{
    return (u64)(uintptr_t)at;
}

static bool is_c_language(Dwarf_Die *root)
{
    switch (dwarf_srclang(root)) {
    case DW_LANG_C89:
    case DW_LANG_C:
    case DW_LANG_C99:
    case DW_LANG_C11:
    case DW_LANG_ObjC:
        return true;
    default:
        return false;
    }
}

static bool is_gcc(Dwarf_Die *root)
{
    Dwarf_Attribute a;
    const char *producer = dwarf_attr(root, DW_AT_producer, &a) ? dwarf_formstring(&a) : NULL;
    return producer && !strncmp(producer, "GNU ", 4);
}

static u32 unit_number(struct catalog_build *b, Dwarf_Die *die)
{
    u32 *at = catalog_map_add(&b->pool, &b->unit_of_cu, key_of(die->cu));
    if (*at)
        return *at - 1;
    Dwarf_Die root = {0};
    struct catalog_unit *u = CATALOG_ADD(&b->pool, &b->units);
    *u = (struct catalog_unit){0};
    *at = b->units.count;
    if (dwarf_diecu(die, &root, NULL, NULL)) {
        u->root = root;
        u->is_c = is_c_language(&root);
        u->is_gcc = is_gcc(&root);
    }
    return b->units.count - 1;
}

/* --- the walk -------------------------------------------------------------------------------- */

/* A scope that the walk is in; it gets a number when something in it needs one. */
struct trail {
    struct trail *up;
    Dwarf_Die *die;
    u32 scope, depth;
    bool is_function;
};

static u32 scope_of(struct catalog_build *b, u32 unit, struct trail *t)
{
    if (!t->die) /* the unit itself */
        return 0;
    if (!t->scope) {
        u32 parent = scope_of(b, unit, t->up);
        struct catalog_scope *s = CATALOG_ADD(&b->pool, &b->scopes);
        *s = (struct catalog_scope){
            .die = *t->die, .unit = unit, .parent = parent, .is_function = t->is_function};
        t->scope = b->scopes.count;
    }
    return t->scope;
}

static void stands_in(struct catalog_build *b, u32 unit, struct trail *in, const Dwarf_Die *die)
{
    u32 scope = scope_of(b, unit, in);
    if (scope)
        *catalog_map_add(&b->pool, &b->units.at[unit].scopes, key_of(die->addr)) = scope;
}

static bool nameless_type(Dwarf_Die *die)
{
    switch (dwarf_tag(die)) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
        return !dwarf_hasattr(die, DW_AT_name);
    default:
        return false;
    }
}

static void see_typedef(struct catalog_build *b, u32 unit, struct trail *in, Dwarf_Die *die)
{
    struct catalog_die d;
    Dwarf_Die target;
    stands_in(b, unit, in, die);
    catalog_die_read(&d, die);
    if (!catalog_die_name(&d) || !catalog_die_refers(&d, CATALOG_AT_type, &target) ||
        !nameless_type(&target))
        return;
    u32 home = unit_number(b, &target);
    b->units.at[home].shared |= home != unit;
    u32 name = catalog_strings_add(&b->pool, &b->names, catalog_die_name(&d),
                                   strlen(catalog_die_name(&d)));
    u32 *alias = catalog_map_add(&b->pool, &b->units.at[home].aliases, key_of(target.addr));
    if (!*alias)
        *alias = name;
}

/* What dwz has moved to another file belongs to this module only so far as it is imported. */
static void see_import(struct catalog_build *b, Dwarf_Die *die)
{
    struct catalog_die d;
    Dwarf_Die root;
    catalog_die_read(&d, die);
    if (catalog_die_refers(&d, CATALOG_AT_import, &root) &&
        dwarf_cu_getdwarf(root.cu) != dwarf_cu_getdwarf(die->cu)) {
        b->units.at[unit_number(b, &root)].shared = true;
        *CATALOG_ADD(&b->pool, &b->imports) = root;
    }
}

static void walk(struct catalog_build *b, u32 unit, struct trail *in, Dwarf_Die *parent);

static void walk_into(struct catalog_build *b, u32 unit, struct trail *in, Dwarf_Die *die,
                      bool is_function)
{
    struct trail t = {.up = in, .die = die, .depth = in->depth + 1, .is_function = is_function};
    walk(b, unit, &t, die);
}

static void see(struct catalog_build *b, u32 unit, struct trail *in, Dwarf_Die *die)
{
    switch (dwarf_tag(die)) {
    case DW_TAG_namespace:
        stands_in(b, unit, in, die);
        walk_into(b, unit, in, die, false);
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        stands_in(b, unit, in, die);
        if (!dwarf_hasattr(die, DW_AT_declaration) || dwarf_hasattr(die, DW_AT_signature))
            *CATALOG_ADD(&b->pool, &b->units.at[unit].types) = *die;
        walk_into(b, unit, in, die, false);
        break;
    case DW_TAG_enumeration_type:
        stands_in(b, unit, in, die);
        break;
    case DW_TAG_typedef:
        see_typedef(b, unit, in, die);
        break;
    case DW_TAG_subprogram:
        stands_in(b, unit, in, die);
        if (dwarf_hasattr(die, DW_AT_low_pc) || dwarf_hasattr(die, DW_AT_ranges))
            *CATALOG_ADD(&b->pool, &b->units.at[unit].functions) = *die;
        walk_into(b, unit, in, die, true);
        break;
    case DW_TAG_variable:
    case DW_TAG_member: /* a static one is named through its class */
        stands_in(b, unit, in, die);
        if (dwarf_hasattr(die, DW_AT_location))
            *CATALOG_ADD(&b->pool, &b->units.at[unit].variables) = *die;
        break;
    case DW_TAG_imported_unit:
        see_import(b, die);
        break;
    case DW_TAG_lexical_block:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_module:
        walk(b, unit, in, die);
        break;
    default:
        break;
    }
}

static void walk(struct catalog_build *b, u32 unit, struct trail *in, Dwarf_Die *parent)
{
    Dwarf_Die child;
    if (in->depth > NESTED_MAX || dwarf_child(parent, &child) != 0)
        return;
    in->depth++;
    do
        see(b, unit, in, &child);
    while (dwarf_siblingof(&child, &child) == 0);
    in->depth--;
}

static void unit_walk(struct catalog_build *b, u32 unit)
{
    if (b->units.at[unit].walked)
        return;
    b->units.at[unit].walked = true;
    Dwarf_Die root = b->units.at[unit].root;
    struct trail top = {0};
    if (root.addr)
        walk(b, unit, &top, &root);
}

u32 catalog_unit_of(struct catalog_build *b, Dwarf_Die *die, u32 from)
{
    u32 unit = unit_number(b, die);
    b->units.at[unit].shared |= unit != from;
    unit_walk(b, unit);
    return unit;
}

Dwarf_Die catalog_unit_origin(Dwarf_Die die)
{
    for (u32 i = 0; i < CHAIN_MAX; i++) {
        struct catalog_die d;
        Dwarf_Die next;
        catalog_die_read(&d, &die);
        bool stand_in = CATALOG_HAS(&d, signature) && !catalog_die_name(&d); /* of a type unit */
        if (!catalog_die_refers(&d, CATALOG_AT_abstract_origin, &next) &&
            !catalog_die_refers(&d, CATALOG_AT_specification, &next) &&
            !(stand_in && catalog_die_refers(&d, CATALOG_AT_signature, &next)))
            break;
        die = next;
    }
    return die;
}

/* --- names ------------------------------------------------------------------------------------ */

static u32 join(struct catalog_build *b, u32 scope_name, const char *name)
{
    const char *scope = b->names.bytes.count ? b->names.bytes.at + scope_name : "";
    size_t length = text_format(b->text, sizeof b->text, "%s%s%s", scope, *scope ? "::" : "", name);
    return catalog_strings_add(&b->pool, &b->names, b->text, length);
}

static u32 scope_name(struct catalog_build *b, u32 scope, u32 depth)
{
    if (!scope || depth > NESTED_MAX)
        return 0;
    struct catalog_scope s = b->scopes.at[scope - 1];
    if (s.named)
        return s.name;
    Dwarf_Die origin = catalog_unit_origin(s.die);
    u32 unit = catalog_unit_of(b, &origin, s.unit);
    u32 *in = catalog_map_find(&b->units.at[unit].scopes, key_of(origin.addr));
    u32 parent = in ? scope_name(b, *in, depth + 1) : 0;
    struct catalog_die d;
    catalog_die_read(&d, &origin);
    const char *name = catalog_die_name(&d);
    if (!name && dwarf_tag(&origin) == DW_TAG_namespace)
        name = "(anonymous namespace)";
    u32 joined = name ? join(b, parent, name) : parent;
    b->scopes.at[scope - 1].name = joined;
    b->scopes.at[scope - 1].named = true;
    return joined;
}

/* What an entry of a unit stands in; 0 = the unit. */
static u32 scope_at(const struct catalog_build *b, u32 unit, const Dwarf_Die *die)
{
    u32 *in = catalog_map_find(&b->units.at[unit].scopes, key_of(die->addr));
    return in ? *in : 0;
}

bool catalog_unit_is_inner(const struct catalog_build *b, u32 unit, const Dwarf_Die *die)
{
    u32 scope = scope_at(b, unit, die);
    if (!scope)
        return false;
    Dwarf_Die outer = b->scopes.at[scope - 1].die;
    int tag = dwarf_tag(&outer);
    return tag != DW_TAG_namespace;
}

u32 catalog_unit_name(struct catalog_build *b, u32 unit, Dwarf_Die *die)
{
    struct catalog_die d;
    catalog_die_read(&d, die);
    const char *name = catalog_die_name(&d);
    return name ? join(b, scope_name(b, scope_at(b, unit, die), 0), name) : 0;
}

u32 catalog_unit_tag(struct catalog_build *b, u32 unit, Dwarf_Die *die, struct catalog_die *d)
{
    struct catalog_die declared;
    if (CATALOG_HAS(d, specification)) { /* its name and scope are those of its declaration */
        Dwarf_Die origin = catalog_unit_origin(*die);
        catalog_die_read(&declared, &origin);
        if (!CATALOG_HAS(&declared, specification))
            return catalog_unit_tag(b, catalog_unit_of(b, &origin, unit), &origin, &declared);
    }
    const char *own = catalog_die_name(d);
    u32 *alias = own ? NULL : catalog_map_find(&b->units.at[unit].aliases, key_of(die->addr));
    if (!own && !alias)
        return 0;
    u32 scope = scope_at(b, unit, die);
    u32 outer = scope_name(b, scope, 0);
    bool local_c = scope && b->scopes.at[scope - 1].is_function && b->units.at[unit].is_c;
    u32 name = join(b, local_c ? 0 : outer, own ? own : b->names.bytes.at + *alias);

    u64 apart = (local_c ? (u64)outer << 2 : 0) | (alias ? 2 : 0) |
                (dwarf_tag(die) == DW_TAG_union_type ? 1 : 0);
    u32 *at = catalog_map_add(&b->pool, &b->tag_of_name, catalog_mix(name, apart) | 1);
    if (!*at) {
        *CATALOG_ADD(&b->pool, &b->tags) = (struct catalog_tag){.name = name};
        *at = b->tags.count;
    }
    return *at;
}

/* --- taking over -------------------------------------------------------------------------------
 */

/* A struct that is a constant may be a table of functions, which tells objects that point to it
 * from others (heap.subtype). */
static bool is_struct(Dwarf_Die die)
{
    Dwarf_Attribute a;
    Dwarf_Die type, peeled;
    if (!dwarf_attr_integrate(&die, DW_AT_type, &a) || !dwarf_formref_die(&a, &type) ||
        dwarf_peel_type(&type, &peeled) != 0)
        return false;
    int tag = dwarf_tag(&peeled);
    return tag == DW_TAG_structure_type || tag == DW_TAG_class_type;
}

/* May the program put a pointer there? Other constants, most of them texts, cannot hold a block. */
static bool is_writable(const struct catalog_build *b, u64 address)
{
    bool writable = false;
    for (u32 i = 0; i < b->writable.count; i++)
        writable |= b->writable.at[i].lo <= address && address < b->writable.at[i].hi;
    for (u32 i = 0; i < b->sealed.count; i++)
        writable &= address < b->sealed.at[i].lo || b->sealed.at[i].hi <= address;
    return writable;
}

/* gcc 12 writes an address where the offset should be, with -gdwarf-4 -gsplit-dwarf. */
static u64 thread_local_offset(const struct catalog_build *b, u64 offset)
{
    const struct catalog_span *image = &b->thread_local_image;
    bool address = offset >= image->hi - image->lo && image->lo <= offset && offset < image->hi;
    return address ? offset - image->lo : offset;
}

static void read_variable(struct catalog_build *b, u32 unit, Dwarf_Die die)
{
    struct catalog_die d;
    catalog_die_read(&d, &die);
    u64 address;
    enum catalog_place place = catalog_die_place(&d, &address);
    if (place == CATALOG_PLACE_NONE ||
        (place == CATALOG_PLACE_ADDRESS && !is_writable(b, address) && !is_struct(die)))
        return;
    Dwarf_Die origin = catalog_unit_origin(die);
    u32 home = catalog_unit_of(b, &origin, unit);
    u32 name = catalog_unit_name(b, home, &origin);
    if (!CATALOG_HAS(&d, type)) /* the definition may complete an array's length */
        catalog_die_read(&d, &origin);
    struct catalog_found found = {.address = address, .name = name, .unit = unit};
    found.type = catalog_shape_of_type(b, unit, &d);
    if (!name || !found.type)
        return;
    if (place == CATALOG_PLACE_ADDRESS) {
        *CATALOG_ADD(&b->pool, &b->variables) = found;
    } else {
        found.address = thread_local_offset(b, address);
        *CATALOG_ADD(&b->pool, &b->thread_locals) = found;
    }
}

static void let_go(struct catalog_unit *u)
{
    free(u->types.at);
    free(u->variables.at);
    free(u->functions.at);
    u->types = u->variables = u->functions = (catalog_dies){0};
    if (u->shared)
        return;
    catalog_map_free(&u->scopes);
    catalog_map_free(&u->aliases);
    catalog_map_free(&u->refs);
    catalog_map_free(&u->shapes);
    u->walked = false;
}

/* Traits, tags and function objects: no block is one unless something refers to it. The size of a
 * stand-in for a type unit is not known here. */
static bool is_empty(Dwarf_Die *die)
{
    int bytes = dwarf_bytesize(die);
    return bytes == 0 || bytes == 1;
}

static void take_over(struct catalog_build *b, Dwarf_Die *root)
{
    u32 unit = unit_number(b, root);
    if (b->units.at[unit].processed)
        return;
    b->units.at[unit].processed = true;
    unit_walk(b, unit);
    catalog_dies list = b->units.at[unit].types;
    for (u32 i = 0; i < list.count; i++)
        if (!is_empty(&list.at[i]))
            catalog_shape_of(b, unit, &list.at[i]);
    list = b->units.at[unit].variables;
    for (u32 i = 0; i < list.count; i++)
        read_variable(b, unit, list.at[i]);
    list = b->units.at[unit].functions;
    for (u32 i = 0; i < list.count; i++)
        catalog_code_read(b, unit, &list.at[i]);
    catalog_shape_finish(b);
    let_go(&b->units.at[unit]);
}

void catalog_unit_read_all(struct catalog_build *b, Dwarf *dwarf, u64 info_bytes)
{
    Dwarf_CU *cu = NULL;
    u8 type;
    Dwarf_Die root, split;
    while (dwarf_get_units(dwarf, cu, &cu, NULL, &type, &root, &split) == 0) {
        bool skeleton = type == DW_UT_skeleton;
        if (type == DW_UT_type) /* taken over when something refers to it */
            continue;
        if (!root.addr) /* a unit without a beginning; libdw gives nothing at all then */
            continue;
        b->skeletons += skeleton;
        b->split_missing += skeleton && !split.addr;
        take_over(b, skeleton && split.addr ? &split : &root);
        for (u32 i = 0; i < b->imports.count; i++) {
            Dwarf_Die import = b->imports.at[i];
            take_over(b, &import);
        }
        b->imports.count = 0;
        u64 at = dwarf_dieoffset(&root);
        if (b->progress && info_bytes)
            b->progress(b->context, at < info_bytes ? (u32)(at * 1000 / info_bytes) : 999);
    }
}
