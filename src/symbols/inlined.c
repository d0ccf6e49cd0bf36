/* SPDX-License-Identifier: MIT
 *
 * inlined.c - walks the functions of a compilation unit down to the addresses that are asked for.
 *
 * Context: tool.
 * Invariant: an address is reported once, by the innermost function that has it; the walk ends
 * whatever the file says: it goes no deeper than NESTING_MAX and looks at ENTRIES_MAX entries at
 * most.
 * Why all addresses of a unit in one walk: dwarf_getscopes walks the unit anew for each.
 */
#include <dwarf.h>
#include <stdlib.h>

#include "inlined.h"

enum { NESTING_MAX = 256, ENTRIES_MAX = 50 << 20 };

struct walk {
    const u64 *addresses;
    u8 *reported;
    inlined_found *found;
    void *context;
    u32 nesting;
    u32 entries;   /* seen so far */
    bool thorough; /* functions are looked for inside of functions and types too */
};

/* Some of the addresses, by their indices, ascending. */
struct list {
    u32 *items;
    u32 count;
};

static void visit(struct walk *w, Dwarf_Die *first, const struct list *wanted,
                  const struct inlined_scope *scope);

/* The items from the first whose address is not below `lo`. */
static u32 first_from(const struct walk *w, const struct list *list, u64 lo)
{
    u32 from = 0, to = list->count;
    while (from < to) {
        u32 mid = from + (to - from) / 2;
        if (w->addresses[list->items[mid]] < lo)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static int by_index(const void *left, const void *right)
{
    u32 a = *(const u32 *)left, b = *(const u32 *)right;
    return a < b ? -1 : a > b;
}

/* Those of `wanted` in the code of an entry; false when it has none of them. */
static bool select_inside(const struct walk *w, Dwarf_Die *die, const struct list *wanted,
                          struct list *inside)
{
    Dwarf_Addr base, lo, hi;
    ptrdiff_t at = 0;
    u32 ranges = 0;
    *inside = (struct list){0};
    while ((at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0) {
        u32 from = first_from(w, wanted, lo), to = first_from(w, wanted, hi);
        if (from >= to)
            continue;
        if (!inside->items)
            inside->items = malloc(wanted->count * sizeof *inside->items);
        if (!inside->items)
            return false;
        for (; from < to && inside->count < wanted->count; from++)
            inside->items[inside->count++] = wanted->items[from];
        ranges++;
    }
    if (ranges > 1)
        qsort(inside->items, inside->count, sizeof *inside->items, by_index);
    return inside->count > 0;
}

static void report(struct walk *w, const struct list *list, const struct inlined_scope *scope)
{
    for (u32 i = 0; i < list->count; i++) {
        u32 index = list->items[i];
        if (w->reported[index])
            continue;
        w->reported[index] = 1;
        w->found(w->context, index, scope);
    }
}

static u32 number_of(Dwarf_Die *die, unsigned name, u32 otherwise)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    bool there = dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, &value) == 0;
    return there && value < UINT32_MAX ? (u32)value : otherwise;
}

static void visit_children(struct walk *w, Dwarf_Die *die, const struct list *wanted,
                           const struct inlined_scope *scope)
{
    Dwarf_Die child;
    if (w->nesting < NESTING_MAX && dwarf_child(die, &child) == 0) {
        w->nesting++;
        visit(w, &child, wanted, scope);
        w->nesting--;
    }
}

static void enter_function(struct walk *w, Dwarf_Die *die, const struct list *wanted,
                           const struct inlined_scope *outer)
{
    bool inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
    struct list inside;
    if (select_inside(w, die, wanted, &inside)) {
        struct inlined_scope scope = {.outer = inlined ? outer : NULL, .function = *die};
        scope.depth = scope.outer ? outer->depth + 1 : 1;
        if (inlined) {
            scope.call_file = number_of(die, DW_AT_call_file, INLINED_NOWHERE);
            scope.call_line = number_of(die, DW_AT_call_line, 0);
        }
        if (scope.depth < LOOKUP_DEPTH_MAX)
            visit_children(w, die, &inside, &scope);
        report(w, &inside, &scope);
    } else if (!inlined && w->thorough) {
        visit_children(w, die, wanted, NULL);
    }
    free(inside.items);
}

/* A block without code of its own (of a function that is inlined everywhere) holds nothing. */
static void enter_block(struct walk *w, Dwarf_Die *die, const struct list *wanted,
                        const struct inlined_scope *scope)
{
    struct list inside;
    if (select_inside(w, die, wanted, &inside))
        visit_children(w, die, &inside, scope);
    else if (w->thorough)
        visit_children(w, die, wanted, scope);
    free(inside.items);
}

static void visit(struct walk *w, Dwarf_Die *first, const struct list *wanted,
                  const struct inlined_scope *scope)
{
    Dwarf_Die die = *first;
    do {
        if (++w->entries > ENTRIES_MAX)
            return;
        switch (dwarf_tag(&die)) {
        case DW_TAG_subprogram:
        case DW_TAG_inlined_subroutine:
            enter_function(w, &die, wanted, scope);
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            enter_block(w, &die, wanted, scope);
            break;
        case DW_TAG_namespace:
        case DW_TAG_module:
            visit_children(w, &die, wanted, scope);
            break;
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_enumeration_type:
            if (w->thorough)
                visit_children(w, &die, wanted, scope);
            break;
        default:
            break;
        }
    } while (dwarf_siblingof(&die, &die) == 0);
}

/* Functions lie in units and namespaces; only when some address is in none of them are they looked
 * for elsewhere: nested functions, and methods that Rust lists in their types. */
void inlined_find(Dwarf_Die *unit, const u64 *addresses, u32 count, inlined_found *found,
                  void *context)
{
    struct list all = {malloc(count * sizeof *all.items), count};
    struct walk w = {
        .addresses = addresses, .reported = calloc(count, 1), .found = found, .context = context};
    if (all.items && w.reported) {
        for (u32 i = 0; i < count; i++)
            all.items[i] = i;
        visit_children(&w, unit, &all, NULL);
        u32 left = 0;
        for (u32 i = 0; i < count; i++)
            if (!w.reported[i])
                all.items[left++] = i;
        all.count = left;
        w.thorough = true;
        if (left)
            visit_children(&w, unit, &all, NULL);
    }
    free(all.items);
    free(w.reported);
}
