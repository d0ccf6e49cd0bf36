/* SPDX-License-Identifier: MIT
 *
 * catalog_code.c - what functions say about the memory that is allocated in them.
 *
 * Context: tool, in the builder's child process.
 * Invariant: a function is described once, at its body (the abstract one of all its copies); only
 * code of functions that return a pointer or have one is kept, and of that only where something is
 * called: an address in a call stack is always behind a call.
 * Source: DWARF 5, sections 3.3.8 (inlined subroutines) and 3.4 (call sites); DW_AT_call_all_calls
 * says that no call is missing. It is believed from gcc only: clang 14 says so too, and leaves out
 * calls of functions that are not described, like malloc. `this` and references are no hint: what a
 * method allocates is seldom of its own class, and a reference never is what was allocated. Inlined
 * copies of functions that only use what they are given say nothing that the function around them
 * does not say.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_build.h"

enum { NESTED_MAX = 500, HINTS_MAX = 64 };

/* --- what a function may allocate ----------------------------------------------------------------
 */

static void add_hint(struct catalog_build *b, u32 first, u32 pointee)
{
    for (u32 i = first; i < b->hints.count; i++)
        if (b->hints.at[i] == pointee)
            return;
    if (b->hints.count - first < HINTS_MAX)
        *CATALOG_ADD(&b->pool, &b->hints) = pointee;
}

static bool is_reference(struct catalog_die *d)
{
    Dwarf_Die type;
    if (!catalog_die_refers(d, CATALOG_AT_type, &type))
        return false;
    int tag = dwarf_tag(&type);
    return tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type;
}

/* A local variable, or where a caller wants a pointer put? */
static bool may_be_new(const struct catalog_build *b, Dwarf_Die *die, u32 pointee)
{
    return dwarf_tag(die) == DW_TAG_variable || catalog_shape_pointee(b, pointee);
}

static void gather_hints(struct catalog_build *b, u32 unit, Dwarf_Die *in, struct catalog_hinted *f,
                         u32 depth)
{
    Dwarf_Die child;
    if (depth > NESTED_MAX || dwarf_child(in, &child) != 0)
        return;
    do {
        struct catalog_die d;
        u32 pointee;
        switch (dwarf_tag(&child)) {
        case DW_TAG_formal_parameter:
        case DW_TAG_variable:
            catalog_die_read(&d, &child);
            if (CATALOG_HAS(&d, artificial) || is_reference(&d))
                break;
            pointee = catalog_shape_pointee(b, catalog_shape_of_type(b, unit, &d));
            if (pointee)
                add_hint(b, f->first, pointee);
            if (pointee && may_be_new(b, &child, pointee))
                f->only_uses = false;
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            gather_hints(b, unit, &child, f, depth + 1);
            break;
        default:
            break;
        }
    } while (dwarf_siblingof(&child, &child) == 0);
}

/* The entry that has the locals: of a copy, what it is a copy of. */
static Dwarf_Die body_of(Dwarf_Die die)
{
    for (u32 i = 0; i < NESTED_MAX; i++) {
        struct catalog_die d;
        Dwarf_Die next;
        catalog_die_read(&d, &die);
        if (!catalog_die_refers(&d, CATALOG_AT_abstract_origin, &next))
            break;
        die = next;
    }
    return die;
}

/* std::make_unique<T> gives its T * away inside of a struct; its first argument says T. */
static bool is_maker(const char *name)
{
    return name && !strncmp(name, "make_unique<", 12);
}

static u32 made_type(struct catalog_build *b, u32 unit, Dwarf_Die *die)
{
    Dwarf_Die child;
    struct catalog_die d;
    if (dwarf_child(die, &child) != 0)
        return 0;
    do
        if (dwarf_tag(&child) == DW_TAG_template_type_parameter) {
            catalog_die_read(&d, &child);
            return catalog_shape_of_type(b, unit, &d);
        }
    while (dwarf_siblingof(&child, &child) == 0);
    return 0;
}

/* Number of the function, from 1; 0 = it says nothing of types. */
static u32 function_of(struct catalog_build *b, u32 unit, Dwarf_Die *die)
{
    Dwarf_Die body = body_of(*die);
    u64 key = (u64)(uintptr_t)body.addr;
    u32 *known = catalog_map_find(&b->function_of_die, key);
    if (known)
        return *known;

    u32 home = catalog_unit_of(b, &body, unit);
    Dwarf_Die declared = catalog_unit_origin(body);
    u32 declared_in = catalog_unit_of(b, &declared, home);
    struct catalog_die d;
    struct catalog_hinted f = {.unit = home, .first = b->hints.count, .only_uses = true};
    gather_hints(b, home, &body, &f, 0);
    catalog_die_read(&d, &body);
    if (!CATALOG_HAS(&d, type))
        catalog_die_read(&d, &declared);
    if (!is_reference(&d))
        f.returns = catalog_shape_pointee(b, catalog_shape_of_type(b, home, &d));
    if (!f.returns && is_maker(catalog_die_name(&d)))
        f.returns = made_type(b, home, &body);
    f.only_uses &= !f.returns;
    f.count = b->hints.count - f.first;
    u32 function = 0;
    if (f.returns || f.count > 0) {
        f.name = catalog_unit_name(b, declared_in, &declared);
        *CATALOG_ADD(&b->pool, &b->functions) = f;
        function = b->functions.count;
    }
    *catalog_map_add(&b->pool, &b->function_of_die, key) = function;
    return function;
}

/* --- where its code is
 * ----------------------------------------------------------------------------- */

static void add_spans(struct catalog_build *b, Dwarf_Die *die, u32 function)
{
    Dwarf_Addr base, lo, hi;
    for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0;)
        if (lo < hi)
            *CATALOG_ADD(&b->pool, &b->spans) = (struct catalog_span){lo, hi, function};
}

static void see_call(struct catalog_build *b, Dwarf_Die *die)
{
    struct catalog_die d;
    Dwarf_Addr address;
    catalog_die_read(&d, die);
    enum catalog_attribute a =
        CATALOG_HAS(&d, call_return_pc) ? CATALOG_AT_call_return_pc : CATALOG_AT_low_pc;
    if (((d.has >> a) & 1u) && dwarf_formaddr(&d.at[a], &address) == 0)
        *CATALOG_ADD(&b->pool, &b->calls) = address;
}

static void read_code(struct catalog_build *b, u32 unit, Dwarf_Die *in, u32 depth)
{
    Dwarf_Die child;
    if (depth > NESTED_MAX || dwarf_child(in, &child) != 0)
        return;
    do {
        u32 function;
        switch (dwarf_tag(&child)) {
        case DW_TAG_inlined_subroutine:
            function = function_of(b, unit, &child);
            if (function && !b->functions.at[function - 1].only_uses)
                add_spans(b, &child, function);
            read_code(b, unit, &child, depth + 1);
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            read_code(b, unit, &child, depth + 1);
            break;
        case DW_TAG_call_site:
        case DW_TAG_GNU_call_site:
            see_call(b, &child);
            break;
        default:
            break;
        }
    } while (dwarf_siblingof(&child, &child) == 0);
}

static int ascending(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return x < y ? -1 : x > y;
}

/* Is there a return address behind a call in [lo, hi)? */
static bool calls_within(const struct catalog_build *b, u64 lo, u64 hi)
{
    u32 from = 0, to = b->calls.count;
    while (from < to) {
        u32 middle = from + (to - from) / 2;
        if (b->calls.at[middle] <= lo)
            from = middle + 1;
        else
            to = middle;
    }
    return from < b->calls.count && b->calls.at[from] <= hi;
}

void catalog_code_read(struct catalog_build *b, u32 unit, Dwarf_Die *die)
{
    struct catalog_die d;
    u32 first = b->spans.count;
    b->calls.count = 0;
    u32 function = function_of(b, unit, die);
    if (function)
        add_spans(b, die, function);
    read_code(b, unit, die, 0);

    catalog_die_read(&d, die);
    bool all_calls = catalog_die_flag(&d, CATALOG_AT_call_all_calls) ||
                     catalog_die_flag(&d, CATALOG_AT_call_all_source_calls) ||
                     catalog_die_flag(&d, CATALOG_AT_GNU_all_call_sites) ||
                     catalog_die_flag(&d, CATALOG_AT_GNU_all_source_call_sites);
    if (!all_calls || !b->units.at[unit].is_gcc)
        return;
    if (b->calls.count > 1)
        qsort(b->calls.at, b->calls.count, sizeof *b->calls.at, ascending);
    u32 kept = first;
    for (u32 i = first; i < b->spans.count; i++)
        if (calls_within(b, b->spans.at[i].lo, b->spans.at[i].hi))
            b->spans.at[kept++] = b->spans.at[i];
    b->spans.count = kept;
}
