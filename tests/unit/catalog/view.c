/* SPDX-License-Identifier: MIT
 *
 * Tests that damaged catalogues are refused, or are still whole: an accepted one is walked from
 * end to end, so that a sanitizer or the walk itself sees what the check let through.
 */
#include <time.h>

#include "made.h"

enum { MUTATIONS = 200000 };

static struct made made;
static u8 *whole, *damaged;
static u64 whole_bytes;

static int make_whole(void **state)
{
    (void)state;
    struct catalog c;
    made_begin(&made);
    u32 number = made_base(&made, "int", 4);
    u32 pointer = made_pointer(&made, 0);
    u32 node = made_struct(&made, "node", 24);
    made_aim(&made, pointer, node);
    made_member(&made, node, "next", 0, pointer);
    made_member(&made, node, "value", 8, number);
    made_member(&made, node, "flag", 12, number)->bit_size = 3;
    made_member(&made, node, "tail", 24, made_array(&made, number, 0));
    u32 alias = made_typedef(&made, "node_t", node);
    u32 row = made_array(&made, alias, 4);
    u32 table = made_struct(&made, "table", 104);
    made_member(&made, table, "", 0, node)->flags = CATALOG_MEMBER_BASE;
    made_member(&made, table, "row", 8, row);
    made_type(&made, CATALOG_OPAQUE, "hidden", 0, 0, 0);
    made_type(&made, CATALOG_FUNCTION, "", 0, 0, 0);
    u32 both = made_type(&made, CATALOG_UNION, "both", 104, 0, 0);
    made_member(&made, both, "table", 0, table);
    made_member(&made, both, "number", 0, number);
    made_variable(&made, "tables", 0x4000, made_array(&made, both, 2));
    made_variable(&made, "head", 0x4100, pointer);
    made_thread_local(&made, "mine", 0, pointer);
    u32 maker = made_function(&made, "make", node, table);
    u32 helper = made_function(&made, "helper", 0, node);
    made_range(&made, maker, 0, 0x80);
    made_range(&made, helper, 0x10, 0x20);
    made_range(&made, helper, 0x40, 0x20);
    made_finish(&made, &c);
    whole = made.file;
    whole_bytes = c.size;
    damaged = malloc(whole_bytes);
    return damaged ? 0 : -1;
}

static int free_whole(void **state)
{
    (void)state;
    free(damaged);
    made_end(&made);
    return 0;
}

static u64 walk_type(const struct catalog *c, u32 type, u32 depth)
{
    assert_true(type >= 1 && type <= c->type_count && depth < CATALOG_DEPTH_MAX);
    const struct catalog_type *t = &c->types[type - 1];
    u64 sum = strlen(c->strings + t->name);
    if (t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION) {
        for (u32 i = 0; i < t->count; i++) {
            const struct catalog_member *m = &c->members[t->first + i];
            bool base = m->flags & (CATALOG_MEMBER_BASE | CATALOG_MEMBER_VIRTUAL_BASE);
            assert_true(m->offset <= t->size);
            assert_true(base || m->bit_size || c->types[m->type - 1].size <= t->size - m->offset);
            sum += strlen(c->strings + m->name) + walk_type(c, m->type, depth + 1);
        }
    }
    if (t->kind == CATALOG_ARRAY || (t->kind == CATALOG_TYPEDEF && t->target))
        sum += walk_type(c, t->target, depth + 1);
    if (t->kind == CATALOG_POINTER && t->target)
        sum += c->types[t->target - 1].size;
    return sum;
}

static u64 walk(const struct catalog *c)
{
    u64 sum = 0;
    /* A handful of types that hold one another many times over would take the walk for ever. */
    for (u32 i = 1; i <= c->type_count && i < 40; i++)
        sum += walk_type(c, i, 0) + catalog_plain(c, i);
    for (u32 i = 0; i < c->variable_count; i++) {
        const struct catalog_variable *v = &c->variables[i];
        assert_ptr_equal(catalog_variable_at(c, v->address), v);
        sum += strlen(c->strings + v->name) + c->types[v->type - 1].size;
    }
    for (u32 i = 0; i < c->thread_local_count; i++)
        sum += c->types[c->thread_locals[i].type - 1].size;
    for (u32 i = 0; i < c->range_count; i++) {
        u32 functions[8];
        u64 address = c->code_base + c->ranges[i].lo;
        u32 n = catalog_functions_at(c, address, functions, COUNT_OF(functions));
        for (u32 k = 0; k < n; k++) {
            const struct catalog_function *f = &c->functions[functions[k] - 1];
            sum += strlen(c->strings + f->name);
            for (u32 h = 0; h < f->count; h++)
                sum += c->types[c->hints[f->first + h] - 1].size;
        }
    }
    return sum;
}

static void a_whole_one_is_accepted(void **state)
{
    (void)state;
    struct catalog c;
    struct err e;
    assert_true(catalog_view(&c, whole, whole_bytes, &e));
    assert_int_equal(c.build_id_bytes, 20);
    assert_int_equal(c.build_id[0], 0xab);
    assert_int_equal(c.variable_count, 2);
    assert_int_equal(c.thread_local_count, 1);
    assert_true(walk(&c) > 0);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (u64 bytes = 0; bytes < whole_bytes; bytes++) {
        struct catalog c;
        struct err e = {0};
        u8 *cut = malloc(bytes ? bytes : 1); /* exactly so long: a sanitizer sees what is beyond */
        assert_non_null(cut);
        memcpy(cut, whole, bytes);
        assert_false(catalog_view(&c, cut, bytes, &e));
        assert_int_equal(e.status, STATUS_MALFORMED);
        free(cut);
    }
}

static void damaged_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    static const u8 values[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};
    u32 accepted = 0;
    for (u32 round = 0; round < MUTATIONS; round++) {
        memcpy(damaged, whole, whole_bytes);
        for (long n = 1 + random() % 3; n > 0; n--) {
            u64 at = (u64)random() % whole_bytes;
            damaged[at] = random() % 2 ? (u8)random() : values[(u64)random() % sizeof values];
        }
        struct catalog c;
        struct err e;
        if (catalog_view(&c, damaged, whole_bytes, &e)) {
            accepted++;
            walk(&c);
        }
    }
    assert_true(accepted > 0 && accepted < MUTATIONS); /* names may change, structure may not */
}

static void refuses(u64 offset, u32 value, const char *word)
{
    memcpy(damaged, whole, whole_bytes);
    memcpy(damaged + offset, &value, sizeof value);
    struct catalog c;
    struct err e = {0};
    assert_false(catalog_view(&c, damaged, whole_bytes, &e));
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct catalog c;
    struct err e;
    assert_true(catalog_view(&c, whole, whole_bytes, &e));
    u64 types = (u64)((const u8 *)c.types - whole),
        variables = (u64)((const u8 *)c.variables - whole);
    refuses(0, 0, "MOONTYPE");
    refuses(8, 2, "version 2");
    refuses(12, 0x04030201, "byte order");
    refuses(24, 1, "cut or overwritten");
    refuses(types + offsetof(struct catalog_type, kind), 99, "kind 99");
    refuses(types + offsetof(struct catalog_type, name), 1u << 30, "name");
    refuses(variables + offsetof(struct catalog_variable, type), 0, "type");
    assert_false(catalog_view(&c, whole + 1, whole_bytes - 1, &e));
    assert_int_equal(e.status, STATUS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_one_is_accepted),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(damaged_bytes_are_refused_or_harmless),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, make_whole, free_whole);
}
