/* SPDX-License-Identifier: MIT
 *
 * made.h - catalogues made by hand: a few calls, and what the debug information of a module would
 * say lies in memory.
 */
#ifndef MOONHEAP_TEST_CATALOG_MADE_H
#define MOONHEAP_TEST_CATALOG_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/catalog.h"

enum { MADE_MAX = 512 };

struct made {
    char strings[16 * MADE_MAX];
    u32 string_bytes; /* from 1 */
    struct catalog_type types[MADE_MAX];
    struct catalog_member members[MADE_MAX];
    struct catalog_variable variables[MADE_MAX], thread_locals[MADE_MAX];
    struct catalog_function functions[MADE_MAX];
    u32 hints[MADE_MAX];
    struct catalog_range ranges[MADE_MAX];
    u32 type_count, member_count, variable_count, thread_local_count, function_count, hint_count,
        range_count;
    u64 code_base;
    u8 build_id[20];
    void *file; /* what made_finish laid out */
};

static inline void made_begin(struct made *m)
{
    memset(m, 0, sizeof *m);
    m->string_bytes = 1;
    m->build_id[0] = 0xab;
    m->build_id[19] = 0xcd;
}

static inline u32 made_string(struct made *m, const char *text)
{
    size_t bytes = strlen(text) + 1;
    if (bytes == 1)
        return 0;
    assert_true(m->string_bytes + bytes <= sizeof m->strings);
    memcpy(m->strings + m->string_bytes, text, bytes);
    m->string_bytes += (u32)bytes;
    return m->string_bytes - (u32)bytes;
}

/* `target` may be given later: made_aim. Returns the type's id. */
static inline u32 made_type(struct made *m, enum catalog_kind kind, const char *name, u64 size,
                            u32 target, u32 count)
{
    assert_true(m->type_count < MADE_MAX);
    m->types[m->type_count++] = (struct catalog_type){
        .size = size,
        .name = made_string(m, name),
        .kind = kind,
        .target = target,
        .first = m->member_count,
        .count = count,
    };
    return m->type_count;
}

static inline u32 made_base(struct made *m, const char *name, u64 size)
{
    return made_type(m, CATALOG_BASE, name, size, 0, 0);
}

static inline u32 made_pointer(struct made *m, u32 target)
{
    return made_type(m, CATALOG_POINTER, "", 8, target, 0);
}

static inline void made_aim(struct made *m, u32 pointer, u32 target)
{
    m->types[pointer - 1].target = target;
}

static inline u32 made_array(struct made *m, u32 element, u32 count)
{
    return made_type(m, CATALOG_ARRAY, "", 0, element, count);
}

static inline u32 made_typedef(struct made *m, const char *name, u32 target)
{
    return made_type(m, CATALOG_TYPEDEF, name, 0, target, 0);
}

/* Its members follow by made_member, before those of any other. */
static inline u32 made_struct(struct made *m, const char *name, u64 size)
{
    return made_type(m, CATALOG_STRUCT, name, size, 0, 0);
}

static inline struct catalog_member *made_member(struct made *m, u32 in, const char *name,
                                                 u64 offset, u32 type)
{
    struct catalog_type *t = &m->types[in - 1];
    if (t->count == 0)
        t->first = m->member_count;
    assert_true(m->member_count < MADE_MAX && t->first + t->count == m->member_count);
    t->count++;
    struct catalog_member *to = &m->members[m->member_count++];
    *to = (struct catalog_member){.offset = offset, .name = made_string(m, name), .type = type};
    return to;
}

static inline void made_variable(struct made *m, const char *name, u64 address, u32 type)
{
    assert_true(m->variable_count < MADE_MAX);
    m->variables[m->variable_count++] =
        (struct catalog_variable){.address = address, .name = made_string(m, name), .type = type};
}

static inline void made_thread_local(struct made *m, const char *name, u64 offset, u32 type)
{
    assert_true(m->thread_local_count < MADE_MAX);
    m->thread_locals[m->thread_local_count++] =
        (struct catalog_variable){.address = offset, .name = made_string(m, name), .type = type};
}

/* `hint` 0 = none. Returns the function's number. */
static inline u32 made_function(struct made *m, const char *name, u32 returns, u32 hint)
{
    assert_true(m->function_count < MADE_MAX && m->hint_count < MADE_MAX);
    m->functions[m->function_count++] = (struct catalog_function){
        .name = made_string(m, name),
        .returns = returns,
        .first = m->hint_count,
        .count = hint ? 1 : 0,
    };
    if (hint)
        m->hints[m->hint_count++] = hint;
    return m->function_count;
}

static inline void made_range(struct made *m, u32 function, u32 lo, u32 bytes)
{
    assert_true(m->range_count < MADE_MAX);
    m->ranges[m->range_count++] =
        (struct catalog_range){.lo = lo, .bytes = bytes, .function = function};
}

static inline struct catalog made_parts(const struct made *m)
{
    return (struct catalog){
        .build_id = m->build_id,
        .build_id_bytes = sizeof m->build_id,
        .code_base = m->code_base,
        .strings = m->strings,
        .types = m->types,
        .members = m->members,
        .variables = m->variables,
        .thread_locals = m->thread_locals,
        .functions = m->functions,
        .hints = m->hints,
        .ranges = m->ranges,
        .string_bytes = m->string_bytes,
        .type_count = m->type_count,
        .member_count = m->member_count,
        .variable_count = m->variable_count,
        .thread_local_count = m->thread_local_count,
        .function_count = m->function_count,
        .hint_count = m->hint_count,
        .range_count = m->range_count,
    };
}

/* Fails the test when it is no whole catalogue. The bytes live until made_end. */
static inline void made_finish(struct made *m, struct catalog *c)
{
    struct err e = {0};
    u64 size = 0;
    struct catalog parts = made_parts(m);
    m->file = catalog_pack(&parts, &size, &e);
    if (!m->file || !catalog_view(c, m->file, size, &e))
        fail_msg("no catalogue: %s", e.text);
}

static inline void made_end(struct made *m)
{
    free(m->file);
    m->file = NULL;
}

/* The id of the first type of that name; 0 = none. */
static inline u32 made_find(const struct catalog *c, const char *name)
{
    for (u32 i = 0; i < c->type_count; i++)
        if (!strcmp(c->strings + c->types[i].name, name))
            return i + 1;
    return 0;
}

#endif
