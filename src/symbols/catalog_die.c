/* SPDX-License-Identifier: MIT
 *
 * catalog_die.c - what one entry of the debug information says, in the forms of DWARF 2 to 5.
 *
 * Context: tool, in the builder's child process.
 * Invariant: an attribute of a form that is not understood counts as absent; no entry makes the
 * builder fail.
 * Source: DWARF 5 standard, sections 2.5 (expressions), 5.7.6 (members), 7.5.6 (forms).
 * Why all attributes at once: libdw looks for one attribute by reading the abbreviation from its
 * start; asking ten times reads it ten times.
 */
#include <dwarf.h>

#include "catalog_die.h"

static int attribute_of(unsigned code)
{
    switch (code) {
#define X(name)                                                                                    \
    case DW_AT_##name:                                                                             \
        return CATALOG_AT_##name;
        CATALOG_ATTRIBUTES(X)
#undef X
    default:
        return -1;
    }
}

static int keep(Dwarf_Attribute *attribute, void *opaque)
{
    struct catalog_die *d = opaque;
    int n = attribute_of(dwarf_whatattr(attribute));
    if (n >= 0) {
        d->has |= 1u << n;
        d->at[n] = *attribute;
    }
    return DWARF_CB_OK;
}

void catalog_die_read(struct catalog_die *d, Dwarf_Die *die)
{
    d->has = 0;
    dwarf_getattrs(die, keep, d, 0);
}

static Dwarf_Attribute *get(struct catalog_die *d, enum catalog_attribute a)
{
    return (d->has >> a) & 1u ? &d->at[a] : NULL;
}

const char *catalog_die_name(struct catalog_die *d)
{
    Dwarf_Attribute *a = get(d, CATALOG_AT_name);
    const char *name = a ? dwarf_formstring(a) : NULL;
    return name && *name ? name : NULL;
}

bool catalog_die_flag(struct catalog_die *d, enum catalog_attribute attribute)
{
    Dwarf_Attribute *a = get(d, attribute);
    bool flag = false;
    return a && dwarf_formflag(a, &flag) == 0 && flag;
}

bool catalog_die_number(struct catalog_die *d, enum catalog_attribute attribute, u64 *n)
{
    Dwarf_Attribute *a = get(d, attribute);
    Dwarf_Word word;
    if (!a || dwarf_formudata(a, &word) != 0)
        return false;
    *n = word;
    return true;
}

bool catalog_die_refers(struct catalog_die *d, enum catalog_attribute attribute, Dwarf_Die *to)
{
    Dwarf_Attribute *a = get(d, attribute);
    return a && dwarf_formref_die(a, to) != NULL;
}

bool catalog_die_member_offset(struct catalog_die *d, u64 *offset)
{
    Dwarf_Attribute *a = get(d, CATALOG_AT_data_member_location);
    Dwarf_Op *ops;
    size_t count;
    *offset = 0;
    if (!a) /* of a union, or a bit field that has a bit offset */
        return true;
    if (catalog_die_number(d, CATALOG_AT_data_member_location, offset))
        return true;
    if (dwarf_getlocation(a, &ops, &count) != 0 || count != 1 || ops[0].atom != DW_OP_plus_uconst)
        return false;
    *offset = ops[0].number;
    return true;
}

/* The value of an operation that pushes a constant or an address, perhaps by its index. */
static bool pushed(Dwarf_Attribute *a, Dwarf_Op *op, u64 *value)
{
    Dwarf_Attribute by_index;
    Dwarf_Addr address;
    Dwarf_Word word;
    switch (op->atom) {
    case DW_OP_addr:
    case DW_OP_const4u:
    case DW_OP_const8u:
    case DW_OP_constu:
        *value = op->number;
        return true;
    case DW_OP_addrx:
    case DW_OP_GNU_addr_index:
        if (dwarf_getlocation_attr(a, op, &by_index) != 0 ||
            dwarf_formaddr(&by_index, &address) != 0)
            return false;
        *value = address;
        return true;
    case DW_OP_constx:
    case DW_OP_GNU_const_index:
        if (dwarf_getlocation_attr(a, op, &by_index) != 0)
            return false;
        if (dwarf_formudata(&by_index, &word) == 0)
            *value = word;
        else if (dwarf_formaddr(&by_index, &address) == 0)
            *value = address;
        else
            return false;
        return true;
    default:
        return false;
    }
}

enum catalog_place catalog_die_place(struct catalog_die *d, u64 *address)
{
    Dwarf_Attribute *a = get(d, CATALOG_AT_location);
    Dwarf_Op *ops;
    size_t count;
    if (!a || dwarf_getlocation(a, &ops, &count) != 0 || count < 1 || !pushed(a, &ops[0], address))
        return CATALOG_PLACE_NONE;
    bool is_address = ops[0].atom == DW_OP_addr || ops[0].atom == DW_OP_addrx ||
                      ops[0].atom == DW_OP_GNU_addr_index;
    if (count == 1)
        return is_address ? CATALOG_PLACE_ADDRESS : CATALOG_PLACE_NONE;
    if (count == 2 && ops[1].atom == DW_OP_plus_uconst && is_address) {
        *address += ops[1].number;
        return CATALOG_PLACE_ADDRESS;
    }
    bool thread_local =
        ops[1].atom == DW_OP_form_tls_address || ops[1].atom == DW_OP_GNU_push_tls_address;
    return count == 2 && thread_local ? CATALOG_PLACE_THREAD_LOCAL : CATALOG_PLACE_NONE;
}
