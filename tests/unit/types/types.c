/* SPDX-License-Identifier: MIT
 *
 * Tests of what each block is taken for.
 */
#include "world.h"

static struct world w;
static struct snapshot s;
static struct types t;
static struct world_memory memory;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_forget(&memory);
    snapshot_close(&s);
    world_end(&w);
    return 0;
}

static void build(void)
{
    world_open(&w, &s);
    types_build(&t, &s, world_memory(&memory));
}

static const char *type_of(u32 block)
{
    return t.types.text[types_of_block(&t, (block_id){block}).v];
}

static const char *source_of(u32 block)
{
    return types_source_word((enum types_source)t.sources[types_of_block(&t, (block_id){block}).v]);
}

static const char *site_of(u32 block)
{
    return t.sites.text[types_site_of_block(&t, (block_id){block}).v];
}

static void rtti_then_site_then_unknown(void **state)
{
    (void)state;
    u32 stack = world_calls(&w, "main", "make_session", "xmalloc", NULL);
    u32 primary = world_vtable(&w, "N2ns7sessionE", 0);
    u32 secondary = world_vtable(&w, "4base", -16);
    world_block(&w, 0x1000, 10, stack)->vtable = primary;
    world_block(&w, 0x2000, 10, stack)->vtable = secondary;
    world_block(&w, 0x3000, 10, stack);
    world_block(&w, 0x4000, 10, 0);
    world_block(&w, 0x5000, 10, 0)->vtable = primary;
    build();
    assert_string_equal(type_of(1), "ns::session");
    assert_string_equal(source_of(1), "rtti");
    assert_string_equal(type_of(2), "site:make_session");
    assert_string_equal(source_of(2), "site");
    assert_string_equal(type_of(3), "site:make_session");
    assert_string_equal(type_of(4), "unknown");
    assert_string_equal(source_of(4), "unknown");
    assert_string_equal(type_of(5), "ns::session");
    assert_string_equal(site_of(1), "make_session");
    assert_string_equal(site_of(4), "unknown");
}

static void wrappers_are_passed_over(void **state)
{
    (void)state;
    u32 main_stack = world_stack(&w, 0, world_frame(&w, "main", WORLD_SERVER));
    u32 loader = world_stack(&w, main_stack, world_frame(&w, "load", WORLD_SERVER));
    u32 fopen_stack = world_stack(&w, loader, world_frame(&w, "fopen", WORLD_LIBC));
    u32 deep = world_stack(&w, fopen_stack, world_frame(&w, NULL, WORLD_LIBC));
    u32 only_libc = world_stack(&w, 0, world_frame(&w, "_dl_init", WORLD_LIBC));
    only_libc = world_stack(&w, only_libc, world_frame(&w, "malloc", WORLD_LIBC));
    u32 stripped = world_stack(&w, main_stack, world_frame(&w, NULL, WORLD_SERVER));
    u32 nowhere = world_stack(&w, main_stack, world_frame(&w, NULL, 0));
    world_block(&w, 0x1000, 10, deep);
    world_block(&w, 0x2000, 10, only_libc);
    world_block(&w, 0x3000, 10, stripped);
    world_block(&w, 0x4000, 10, nowhere);
    world_block(&w, 0x5000, 10, main_stack | 0);
    build();
    assert_string_equal(site_of(1), "load");
    assert_string_equal(site_of(2), "malloc");
    assert_string_equal(site_of(3), "server+0x106");
    assert_string_equal(type_of(3), "site:server+0x106");
    assert_string_equal(site_of(4), "0x400107");
    assert_string_equal(site_of(5), "main");
}

/* What main -> serve -> make_session calls, the latter two inlined into main. */
static void lines_and_inlined_functions(void **state)
{
    (void)state;
    u32 frame = world_frame(&w, "main", WORLD_SERVER);
    world_line(&w, "xmalloc", "/src/wrap.c", 3);
    world_line(&w, "make_session", "/src/server.c", 42);
    world_line(&w, "main", "/src/server.c", 80);
    u32 outer = world_stack(&w, 0, frame);
    frame = world_frame(&w, "main", WORLD_SERVER);
    world_line(&w, "make_session", "/src/server.c", 43);
    world_line(&w, "main", "/src/server.c", 81);
    u32 other = world_stack(&w, 0, frame);
    frame = world_frame(&w, "malloc", WORLD_LIBC);
    world_line(&w, "malloc", "malloc.c", 9);
    u32 inner = world_stack(&w, outer, frame);
    frame = world_frame(&w, NULL, WORLD_SERVER);
    world_line(&w, "", "start.S", 0);
    u32 assembler = world_stack(&w, 0, frame);
    world_block(&w, 0x1000, 10, inner);
    world_block(&w, 0x2000, 10, other);
    world_block(&w, 0x3000, 10, assembler);
    build();
    assert_string_equal(site_of(1), "make_session (server.c:42)");
    assert_string_equal(type_of(1), "site:make_session (server.c:42)");
    assert_string_equal(site_of(2), "make_session (server.c:43)");
    assert_string_equal(site_of(3), "server+0x103 (start.S)");
    assert_string_equal(source_of(3), "site");
    for (u32 block = 1; block <= 2; block++) {
        u32 site = types_site_of_block(&t, (block_id){block}).v;
        assert_string_equal(t.functions.text[t.function_of_site[site]], "make_session");
    }
    assert_int_equal(t.place_row[0], t.place_row[1]);
    assert_int_equal(t.place_row[2] - t.place_row[1], 3);
    assert_int_equal(t.place_count, 8);
}

static void one_name_is_one_type(void **state)
{
    (void)state;
    u32 a = world_calls(&w, "main", "make", NULL), b = world_calls(&w, "start", "make", NULL);
    u32 first = world_vtable(&w, "1c", 0), second = world_vtable(&w, "*1c", 0);
    world_block(&w, 0x1000, 10, a);
    world_block(&w, 0x2000, 10, b);
    world_block(&w, 0x3000, 10, a)->vtable = first;
    world_block(&w, 0x4000, 10, b)->vtable = second;
    build();
    assert_int_equal(types_of_block(&t, (block_id){1}).v, types_of_block(&t, (block_id){2}).v);
    assert_int_equal(types_of_block(&t, (block_id){3}).v, types_of_block(&t, (block_id){4}).v);
    assert_string_equal(type_of(3), "c");
}

static void a_class_called_like_nothing(void **state)
{
    (void)state;
    u32 stack = world_calls(&w, "main", NULL);
    world_block(&w, 0x1000, 10, stack)->vtable = world_vtable(&w, "", 0);
    build();
    assert_string_equal(type_of(1), "site:main");
}

static void an_empty_snapshot(void **state)
{
    (void)state;
    build();
    assert_int_equal(t.types.count, 1);
    assert_int_equal(t.functions.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rtti_then_site_then_unknown, begin, end),
        cmocka_unit_test_setup_teardown(wrappers_are_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(lines_and_inlined_functions, begin, end),
        cmocka_unit_test_setup_teardown(one_name_is_one_type, begin, end),
        cmocka_unit_test_setup_teardown(a_class_called_like_nothing, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_snapshot, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
