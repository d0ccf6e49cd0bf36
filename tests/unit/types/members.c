/* SPDX-License-Identifier: MIT
 *
 * Tests of members by name and by place, and of objects told apart by what a field points to, on a
 * made-up program whose memory is an array of the test.
 */
#include "../catalog/made.h"
#include "world.h"

enum { BIAS = 0x400000, DATA = 0x8000, HEAP = 0x10000000, MEMORY_BYTES = 0x400 };

struct scene {
    struct world w;
    struct made m;
    struct catalog catalog;
    const struct catalog *of_module[3];
    struct snapshot s;
    struct types t;
    struct world_memory memory;
    u8 bytes[MEMORY_BYTES]; /* at HEAP */
    struct types_sub sub;
};

/* kind { char *name; }; thing { kind *kind; struct { int flags:3, mode:5; double weight; char
 * label[8]; } inner; union { thing *next; long n; }; thing *rest[]; }: 48 bytes and what follows.
 */
static int begin(void **state)
{
    struct scene *x = calloc(1, sizeof *x);
    struct made *m = &x->m;
    world_begin(&x->w);
    made_begin(m);
    u32 letter = made_base(m, "char", 1), number = made_base(m, "int", 4);
    u32 wide = made_base(m, "long unsigned int", 8), real = made_base(m, "double", 8);
    u32 kind = made_struct(m, "kind", 8);
    made_member(m, kind, "name", 0, made_pointer(m, letter));
    u32 inner = made_struct(m, "", 24);
    struct catalog_member *bits = made_member(m, inner, "flags", 0, number);
    bits->bit_size = 3;
    bits = made_member(m, inner, "mode", 0, number);
    bits->bit_offset = 3;
    bits->bit_size = 5;
    made_member(m, inner, "weight", 8, real);
    made_member(m, inner, "label", 16, made_array(m, letter, 8));
    u32 pointer = made_pointer(m, 0);
    u32 either = made_type(m, CATALOG_UNION, "", 8, 0, 0);
    made_member(m, either, "n", 0, wide);
    made_member(m, either, "next", 0, pointer);
    u32 thing = made_struct(m, "thing", 40);
    made_member(m, thing, "kind", 0, made_pointer(m, kind));
    made_member(m, thing, "inner", 8, inner);
    made_member(m, thing, "", 32, either);
    made_member(m, thing, "rest", 40, made_array(m, pointer, 0));
    made_aim(m, pointer, thing);
    made_variable(m, "things", DATA, made_array(m, pointer, 4));
    made_variable(m, "first", DATA + 0x100, kind);
    made_thread_local(m, "current", 16, made_array(m, pointer, 2));
    made_finish(m, &x->catalog);

    u32 frame = world_frame(&x->w, "make_thing", WORLD_SERVER);
    u32 stack = world_stack(&x->w, 0, frame);
    world_block(&x->w, HEAP, 40 + 3 * 8, stack);
    world_block(&x->w, HEAP + 0x100, 40 + 8, stack);
    world_block(&x->w, HEAP + 0x200, 11, 0);
    x->w.flags = SNAPSHOT_FLAG_GRAPH;
    u32 root = world_root(&x->w, (struct snapshot_root){.lo = BIAS + DATA,
                                                        .hi = BIAS + DATA + 0x200,
                                                        .kind = SNAPSHOT_ROOT_DATA,
                                                        .module = WORLD_SERVER});
    world_edge(&x->w, (struct world_edge){0, root, 0, 1, 0});
    world_edge(&x->w, (struct world_edge){0, root, 2, 2, 0});
    *state = x;
    return 0;
}

static int end(void **state)
{
    struct scene *x = *state;
    types_free(&x->t);
    world_forget(&x->memory);
    snapshot_close(&x->s);
    made_end(&x->m);
    world_end(&x->w);
    free(x);
    return 0;
}

static size_t read_memory(void *context, u64 address, void *out, size_t bytes)
{
    struct scene *x = context;
    if (address < HEAP || address >= HEAP + MEMORY_BYTES)
        return 0;
    size_t there = HEAP + MEMORY_BYTES - address;
    bytes = bytes < there ? bytes : there;
    memcpy(out, x->bytes + (address - HEAP), bytes);
    return bytes;
}

static void solve(struct scene *x)
{
    struct err e = {0};
    x->of_module[WORLD_SERVER] = &x->catalog;
    world_open(&x->w, &x->s);
    types_build(&x->t, &x->s, world_memory(&x->memory));
    struct types_ask ask = {.catalogs = x->of_module,
                            .subs = &x->sub,
                            .sub_count = x->sub.type != NULL,
                            .read = read_memory,
                            .context = x,
                            .memory_limit = UINT64_MAX};
    if (!types_solve(&x->t, &ask, &e))
        fail_msg("%s", e.text);
}

static void by_place(void **state)
{
    struct scene *x = *state;
    static const struct {
        u64 offset;
        const char *path;
    } cases[] = {
        {0, "kind"}, {16, "inner.weight"}, {26, "inner.label[2]"}, {32, "next"}, {48, "rest[1]"},
    };
    char text[100];
    solve(x);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        types_field_text(&x->t, (block_id){1}, cases[i].offset, text, sizeof text);
        assert_string_equal(text, cases[i].path);
    }
    assert_int_equal(types_field_text(&x->t, (block_id){3}, 0, text, sizeof text), 0);
    struct types_variable_place place = {.module = WORLD_SERVER, .at = DATA + 16};
    types_variable_text(&x->t, place, text, sizeof text);
    assert_string_equal(text, "things[2]");
    place.at = DATA - 8;
    assert_int_equal(types_variable_text(&x->t, place, text, sizeof text), 0);
    place = (struct types_variable_place){.module = WORLD_LIBC, .at = DATA};
    assert_int_equal(types_variable_text(&x->t, place, text, sizeof text), 0);
    place = (struct types_variable_place){.module = WORLD_SERVER, .thread_local = true, .at = 24};
    types_variable_text(&x->t, place, text, sizeof text);
    assert_string_equal(text, "current[1]");
    place.at = DATA + 16; /* a thread-local is no global */
    assert_int_equal(types_variable_text(&x->t, place, text, sizeof text), 0);
}

static void places_in_roots(void **state)
{
    struct scene *x = *state;
    struct snapshot_root root = {.lo = 0x7000, .hi = 0x7100, .module = WORLD_SERVER};
    solve(x);
    root.kind = SNAPSHOT_ROOT_THREAD_LOCAL;
    struct types_variable_place p = types_variable_place(&x->s, &root, 0x7018);
    assert_true(p.module == WORLD_SERVER && p.thread_local && p.at == 0x18);
    root.kind = SNAPSHOT_ROOT_DATA;
    p = types_variable_place(&x->s, &root, BIAS + DATA);
    assert_true(p.module == WORLD_SERVER && !p.thread_local && p.at == DATA);
    root.kind = SNAPSHOT_ROOT_STACK;
    assert_int_equal(types_variable_place(&x->s, &root, 0x7018).module, 0);
    root = (struct snapshot_root){.lo = 0x7000, .hi = 0x7100, .kind = SNAPSHOT_ROOT_THREAD_LOCAL};
    assert_int_equal(types_variable_place(&x->s, &root, 0x7018).module, 0);
}

static void by_name(void **state)
{
    struct scene *x = *state;
    struct types_field f;
    block_id b = {1};
    solve(x);
    assert_true(types_field_find(&x->t, b, "inner.mode", &f));
    assert_true(f.offset == 8 && f.bytes == 4 && f.bit_offset == 3 && f.bit_size == 5);
    assert_int_equal(f.value, TYPES_VALUE_INTEGER);
    assert_true(types_field_find(&x->t, b, "inner.weight", &f));
    assert_true(f.offset == 16 && f.value == TYPES_VALUE_FLOAT && !f.bit_size);
    assert_true(types_field_find(&x->t, b, "inner.label", &f));
    assert_true(f.bytes == 8 && f.value == TYPES_VALUE_CHARACTERS);
    assert_true(types_field_find(&x->t, b, "inner.label[7]", &f) && f.offset == 31);
    assert_true(types_field_find(&x->t, b, "n", &f) && f.value == TYPES_VALUE_UNSIGNED);
    assert_true(types_field_find(&x->t, b, "next", &f) && f.value == TYPES_VALUE_POINTER);
    assert_true(types_field_find(&x->t, b, "rest[2]", &f) && f.offset == 56);
    assert_true(types_field_find(&x->t, b, "rest", &f) && f.bytes == 24);
    static const char *const absent[] = {
        "",    "rest[3]",      "inner.label[8]", "inner..mode", "kind[0]",
        "[0]", "inner.label[", "inner.label[x]", "inner.no",    "rest[18446744073709551615]"};
    for (size_t i = 1; i < COUNT_OF(absent); i++)
        if (types_field_find(&x->t, b, absent[i], &f))
            fail_msg("there is no '%s'", absent[i]);
}

static void put(struct scene *x, u64 at, u64 value)
{
    memcpy(x->bytes + at, &value, sizeof value);
}

/* The block at HEAP points to a kind whose name is text, the other one to nonsense. */
static void subtypes_by_a_string(void **state)
{
    struct scene *x = *state;
    put(x, 0, HEAP + 0x300);
    put(x, 0x300, HEAP + 0x310);
    memcpy(x->bytes + 0x310, "dict", 5);
    put(x, 0x100, HEAP + 0x320);
    put(x, 0x320, 0x77);
    x->sub = (struct types_sub){"thing", "kind", "name"};
    solve(x);
    assert_string_equal(x->t.types.text[types_of_block(&x->t, (block_id){1}).v], "thing<dict>");
    assert_string_equal(x->t.types.text[types_of_block(&x->t, (block_id){2}).v], "thing");
    struct types_field f;
    assert_true(types_field_find(&x->t, (block_id){1}, "inner.mode", &f)); /* it stays a thing */
}

static void subtypes_by_a_symbol(void **state)
{
    struct scene *x = *state;
    put(x, 0x100, BIAS + DATA + 0x100);
    x->sub = (struct types_sub){"thing", "kind", NULL};
    solve(x);
    assert_string_equal(x->t.types.text[types_of_block(&x->t, (block_id){1}).v], "thing");
    assert_string_equal(x->t.types.text[types_of_block(&x->t, (block_id){2}).v], "thing<first>");
}

static void witnesses_are_heard(void **state)
{
    struct scene *x = *state;
    u32 weight;
    solve(x);
    struct types_witness w = {.place = {.module = WORLD_SERVER, .at = DATA}, .target = {1}};
    assert_string_equal(types_hear(&x->t, &w, &weight), "thing");
    assert_true(weight > 0);
    w = (struct types_witness){.source = {1}, .offset = 16, .target = {2}}; /* a double */
    assert_null(types_hear(&x->t, &w, &weight));
    w = (struct types_witness){.source = {1}, .offset = 40, .target = {2}};
    assert_string_equal(types_hear(&x->t, &w, &weight), "thing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
        T(by_place),
        T(places_in_roots),
        T(by_name),
        T(subtypes_by_a_string),
        T(subtypes_by_a_symbol),
        T(witnesses_are_heard),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
