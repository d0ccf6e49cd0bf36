/* SPDX-License-Identifier: MIT
 *
 * Tests of what the source files of sites are called, and of stacks with inlined functions.
 */
#include "opened.h"

static u32 stack_at(const char *function, const char *file, u32 line)
{
    u32 frame = world_frame(&w, function, WORLD_SERVER);
    world_line(&w, function, file, line);
    return world_stack(&w, 0, frame);
}

static void names_and_paths(void **state)
{
    (void)state;
    world_block(&w, 0x1000, 10, stack_at("make", "/src/server.c", 1));
    world_block(&w, 0x2000, 10, stack_at("one", "/src/net/util.c", 2));
    world_block(&w, 0x3000, 10, stack_at("two", "/src/db/util.c", 3));
    world_block(&w, 0x4000, 10, stack_at("more", "/src/server.c", 4));
    world_block(&w, 0x5000, 10, world_calls(&w, "main", NULL));
    world_block(&w, 0x6000, 10, 0);
    opened_begin(&o, &w);
    assert_string_equal(opened_key(QUERY_KEY_FILE, 1), "server.c");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 2), "/src/net/util.c");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 3), "/src/db/util.c");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 4), "server.c");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 5), "server");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 6), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_MODULE, 1), "server");
    assert_string_equal(opened_key(QUERY_KEY_SITE, 2), "one (util.c:2)");
    assert_string_equal(opened_key(QUERY_KEY_FUNCTION, 2), "one");
}

static void add(void *text, const char *piece)
{
    if (*(char *)text)
        strcat(text, "|");
    strcat(text, piece);
}

static void inlined_functions_are_folded_like_others(void **state)
{
    (void)state;
    u32 frame = world_frame(&w, "main", WORLD_SERVER);
    world_line(&w, "make", "server.c", 5);
    world_line(&w, "main", "server.c", 50);
    u32 inlined = world_stack(&w, 0, frame);
    u32 caller = stack_at("main", "server.c", 60);
    u32 called = world_stack(&w, caller, world_frame(&w, "make", WORLD_SERVER));
    world_line(&w, "make", "server.c", 6);
    world_block(&w, 0x1000, 10, inlined);
    world_block(&w, 0x2000, 10, called);
    opened_begin(&o, &w);
    const struct query_grouping *g = query_grouping(&o.v, QUERY_KEY_STACK, &o.memory.memory);
    u32 group = query_group_of(&o.v, g, (block_id){1});
    assert_int_equal(group, query_group_of(&o.v, g, (block_id){2}));
    assert_true(query_group_is(&o.v, g, group, "make < main"));

    char text[200] = "";
    query_stack_places(&o.v, (stack_id){inlined}, add, text);
    assert_string_equal(text, "make (server.c:5)|main (server.c:50)");
    text[0] = 0;
    query_stack_places(&o.v, (stack_id){called}, add, text);
    assert_string_equal(text, "make (server.c:6)|main (server.c:60)");
    text[0] = 0;
    query_stack_places(&o.v, (stack_id){0}, add, text);
    assert_string_equal(text, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        opened_test(names_and_paths),
        opened_test(inlined_functions_are_folded_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
