/* SPDX-License-Identifier: MIT
 *
 * Tests of where each key sends a block.
 */
#include "opened.h"

static void words(void **state)
{
    (void)state;
    opened_begin(&o, &w);
    assert_int_equal(query_key_of("type"), QUERY_KEY_TYPE);
    assert_int_equal(query_key_of("age"), QUERY_KEY_AGE);
    assert_int_equal(query_key_of("colour"), QUERY_KEY_COUNT);
    assert_int_equal(query_key_of(""), QUERY_KEY_COUNT);
    assert_string_equal(query_key_word(QUERY_KEY_MODULE), "module");
}

static void size_classes(void **state)
{
    (void)state;
    static const struct {
        u64 bytes;
        const char *key;
    } cases[] = {
        {0, "0 B"},
        {1, "1-16 B"},
        {16, "1-16 B"},
        {17, "17-32 B"},
        {32, "17-32 B"},
        {33, "33-64 B"},
        {512, "257-512 B"},
        {513, "513-1024 B"},
        {1024, "513-1024 B"},
        {1025, "1-2 KiB"},
        {1 << 20, "512-1024 KiB"},
        {(1 << 20) + 1, "1-2 MiB"},
        {5ull << 30, "4-8 GiB"},
        {1ull << 40, "512-1024 GiB"},
        {(1ull << 40) + 1, "more than 1 TiB"},
        {1ull << 45, "more than 1 TiB"},
    };
    for (u32 i = 0; i < COUNT_OF(cases); i++)
        world_block(&w, 0x1000 * (i + 1ull) << 24, cases[i].bytes, 0);
    opened_begin(&o, &w);
    for (u32 i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(opened_key(QUERY_KEY_SIZE, i + 1), cases[i].key);
}

static void ages_and_marks(void **state)
{
    (void)state;
    static const struct query_mark marks[] = {{"warm", 15500000000}, {"load", 4500000000}};
    for (u32 i = 0; i < WORLD_EPOCHS; i++)
        world_block(&w, 0x1000 * (i + 1), 8, 0)->birth = i;
    opened_begin(&o, &w);
    assert_string_equal(opened_key(QUERY_KEY_AGE, 20), "<10s"); /* exactly 1 s */
    assert_string_equal(opened_key(QUERY_KEY_AGE, 12), "<10s");
    assert_string_equal(opened_key(QUERY_KEY_AGE, 11), "<1m"); /* exactly 10 s */
    assert_string_equal(opened_key(QUERY_KEY_AGE, 1), "<1m");
    opened_end(&o);
    opened_begin(&o, &w);
    o.v.marks = marks;
    o.v.mark_count = 2;
    assert_string_equal(opened_key(QUERY_KEY_AGE, 1), "<1m");
    assert_string_equal(opened_key(QUERY_KEY_AGE, 6), "<1m, since warm"); /* 15 s */
    assert_string_equal(opened_key(QUERY_KEY_AGE, 16), "<10s, since warm");
    assert_string_equal(opened_key(QUERY_KEY_AGE, 17), "<10s, since load"); /* 4 s */
}

static void places(void **state)
{
    (void)state;
    u32 lib = world_stack(&w, 0, world_frame(&w, "_dl_init", WORLD_LIBC));
    u32 call = world_calls(&w, "main", "make", NULL);
    u32 nowhere = world_stack(&w, 0, world_frame(&w, NULL, 0));
    world_thread(&w, 1, 4711, "main");
    world_thread(&w, 3, 4720, "worker");
    world_block(&w, 0x1000, 8, call)->thread = 3;
    world_block(&w, 0x2000, 8, lib);
    world_block(&w, 0x3000, 8, nowhere)->thread = 0;
    world_block(&w, 0x4000, 8, 0)->thread = 2; /* of no thread that we know */
    opened_begin(&o, &w);
    assert_string_equal(opened_key(QUERY_KEY_MODULE, 1), "server");
    assert_string_equal(opened_key(QUERY_KEY_MODULE, 2), "libc.so.6");
    assert_string_equal(opened_key(QUERY_KEY_MODULE, 3), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_FILE, 1), "server");
    assert_string_equal(opened_key(QUERY_KEY_MODULE, 4), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_FUNCTION, 1), "make");
    assert_string_equal(opened_key(QUERY_KEY_SITE, 4), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_THREAD, 1), "worker 4720");
    assert_string_equal(opened_key(QUERY_KEY_THREAD, 2), "main 4711");
    assert_string_equal(opened_key(QUERY_KEY_THREAD, 3), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_THREAD, 4), "unknown");
    assert_string_equal(opened_key(QUERY_KEY_TAG, 1), "untagged");
    assert_string_equal(opened_key(QUERY_KEY_TYPE, 1), "site:make");
}

struct text {
    char text[500];
};

static void add(void *context, const char *function)
{
    struct text *t = context;
    strcat(t->text, t->text[0] ? " < " : "");
    strcat(t->text, function);
}

static void stacks_with_the_same_functions_are_one(void **state)
{
    (void)state;
    u32 a = world_calls(&w, "main", "f", "g", NULL), b = world_calls(&w, "main", "f", "g", NULL);
    u32 c = world_calls(&w, "main", "f", "g", "g", NULL), d = world_calls(&w, "f", "g", NULL);
    world_block(&w, 0x1000, 8, a);
    world_block(&w, 0x2000, 8, b);
    world_block(&w, 0x3000, 8, c);
    world_block(&w, 0x4000, 8, d);
    world_block(&w, 0x5000, 8, 0);
    opened_begin(&o, &w);
    const struct query_grouping *g = query_grouping(&o.v, QUERY_KEY_STACK, &o.memory.memory);
    u32 group[6];
    for (u32 i = 1; i <= 5; i++)
        group[i] = query_group_of(&o.v, g, (block_id){i});
    assert_int_equal(group[1], group[2]);
    assert_int_not_equal(group[1], group[3]);
    assert_int_not_equal(group[1], group[4]);
    assert_int_equal(group[5], 0);
    struct text t = {""};
    query_stack_text(&o.v, g, group[3], add, &t);
    assert_string_equal(t.text, "g < g < f < main");
    assert_true(query_group_is(&o.v, g, group[3], "g < g < f < main"));
    assert_false(query_group_is(&o.v, g, group[3], "g < g < f"));
    assert_false(query_group_is(&o.v, g, group[3], "g < g < f < main < x"));
    assert_false(query_group_is(&o.v, g, group[1], "g < g < f < main"));
    assert_false(query_group_is(&o.v, g, group[1], ""));
    assert_true(query_group_is(&o.v, g, 0, "unknown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        opened_test(words),
        opened_test(size_classes),
        opened_test(ages_and_marks),
        opened_test(places),
        opened_test(stacks_with_the_same_functions_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
