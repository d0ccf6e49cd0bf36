/* SPDX-License-Identifier: MIT
 *
 * lookup.c - the questions that an accepted catalogue answers.
 *
 * Context: pure.
 * Invariant: nothing is checked again, and no memory is taken: a question costs a binary search or
 * a walk of at most CATALOG_DEPTH_MAX steps, apart from how deep functions are inlined.
 */
#include "catalog.h"

u32 catalog_plain(const struct catalog *c, u32 type)
{
    while (type && c->types[type - 1].kind == CATALOG_TYPEDEF)
        type = c->types[type - 1].target;
    return type;
}

static const struct catalog_variable *variable_at(const struct catalog_variable *variables,
                                                  u32 count, u64 address)
{
    u32 begun = BISECT(i, count, variables[i].address <= address);
    if (begun == 0)
        return NULL;
    const struct catalog_variable *v = &variables[begun - 1];
    return address - v->address < v->size ? v : NULL;
}

const struct catalog_variable *catalog_variable_at(const struct catalog *c, u64 address)
{
    return variable_at(c->variables, c->variable_count, address);
}

const struct catalog_variable *catalog_thread_local_at(const struct catalog *c, u64 offset)
{
    return variable_at(c->thread_locals, c->thread_local_count, offset);
}

/* The last range that begins at or before the address lies in all others that hold it. */
u32 catalog_functions_at(const struct catalog *c, u64 address, u32 *functions, u32 n)
{
    if (address < c->code_base)
        return 0;
    u64 at = address - c->code_base;
    u32 begun = BISECT(i, c->range_count, c->ranges[i].lo <= at);
    u32 found = 0;
    for (u32 i = begun; i && found < n; i = c->ranges[i - 1].outer)
        if (at - c->ranges[i - 1].lo < c->ranges[i - 1].bytes)
            functions[found++] = c->ranges[i - 1].function;
    return found;
}
