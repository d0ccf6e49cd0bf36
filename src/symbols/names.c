/* SPDX-License-Identifier: MIT
 *
 * names.c - what functions of the debug information are called.
 *
 * Context: tool.
 * Invariant: a name is written as src/elf writes those of symbol tables, so that a function is
 * called the same with and without debug information.
 * Why the linkage name first: it has the scopes and template arguments in it. Where there is none
 * in a language with scopes, the scopes are put in front: DWARF nests them (DWARF 5 standard,
 * 3.2.2).
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"
#include "names.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { QUALIFIED_MAX = 4096, SCOPES_MAX = 64 };

struct name {
    UT_hash_handle hh;
    const void *entry; /* where the entry lies in memory */
    char *text;
};

static const char *attribute_text(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
    return text && *text ? text : NULL;
}

static bool is_scope(Dwarf_Die *die)
{
    switch (dwarf_tag(die)) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
        return true;
    default:
        return false;
    }
}

static bool has_scopes(Dwarf_Die *die)
{
    Dwarf_Die unit;
    if (!dwarf_diecu(die, &unit, NULL, NULL))
        return false;
    switch (dwarf_srclang(&unit)) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
    case DW_LANG_Mips_Assembler:
        return false;
    default:
        return true;
    }
}

/* "ns::Class::" of the entry that declares the function. */
static size_t put_scopes(Dwarf_Die *die, char *out, size_t size)
{
    Dwarf_Attribute attribute;
    Dwarf_Die declared = *die, origin, *scopes;
    u32 hops = 0;
    while (hops++ < SCOPES_MAX &&
           (dwarf_attr(&declared, DW_AT_abstract_origin, &attribute) ||
            dwarf_attr(&declared, DW_AT_specification, &attribute)) &&
           dwarf_formref_die(&attribute, &origin))
        declared = origin;
    int count = dwarf_getscopes_die(&declared, &scopes);
    size_t used = 0;
    for (int i = count - 1; i > 0; i--) {
        if (!is_scope(&scopes[i]))
            continue;
        const char *name = dwarf_diename(&scopes[i]);
        used += text_format(out + used, size - used, "%s::", name ? name : "(anonymous namespace)");
    }
    if (count > 0)
        free(scopes);
    return used;
}

static char *work_out(Dwarf_Die *function)
{
    const char *mangled = attribute_text(function, DW_AT_linkage_name);
    if (!mangled)
        mangled = attribute_text(function, DW_AT_MIPS_linkage_name);
    if (mangled)
        return elf_demangle(mangled);
    const char *name = attribute_text(function, DW_AT_name);
    if (!name || !has_scopes(function))
        return strdup(name ? name : "");
    char text[QUALIFIED_MAX];
    size_t used = put_scopes(function, text, sizeof text);
    text_format(text + used, sizeof text - used, "%s", name);
    return strdup(text);
}

const char *names_of(struct names *n, Dwarf_Die *function)
{
    struct name *name;
    const void *entry = function->addr;
    HASH_FIND_PTR(n->known, &entry, name);
    if (name)
        return name->text;
    name = calloc(1, sizeof *name);
    char *text = name ? work_out(function) : NULL;
    if (text) {
        name->entry = entry;
        name->text = text;
        HASH_ADD_PTR(n->known, entry, name);
        if (name->hh.tbl)
            return text;
    }
    free(text);
    free(name);
    return "";
}

void names_free(struct names *n)
{
    struct name *name, *next;
    HASH_ITER(hh, n->known, name, next)
    {
        HASH_DEL(n->known, name);
        free(name->text);
        free(name);
    }
}
