/* SPDX-License-Identifier: MIT
 *
 * trie.c - stacks are found again, by every thread, while the table grows.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "track/trie.h"

enum { STACKS = 60000, DEPTH = 6, THREADS = 4 };

static u64 frame_of(u32 stack, u32 level)
{
    /* the outer levels are shared by many stacks */
    return trie_frame(0x400000 + (u64)level * 0x10000 + stack % (7u << (2 * level)), level & 3);
}

static u32 intern(u32 stack)
{
    u32 node = 0;
    for (u32 level = 0; level < DEPTH; level++)
        node = trie_intern(node, frame_of(stack, level));
    return node;
}

static void assert_node_is(u32 node, u32 stack)
{
    for (u32 level = DEPTH; level-- > 0;) {
        assert_int_not_equal(node, 0);
        struct track_node n = track_node(node);
        assert_int_equal(n.pc, frame_of(stack, level) & 0xffffffffffff);
        assert_int_equal(n.incarnation, level & 3);
        assert_false(n.cut);
        assert_true(n.parent < node);
        node = n.parent;
    }
    assert_int_equal(node, 0);
}

static void *intern_all(void *argument)
{
    u32 *nodes = argument;
    for (u32 i = 0; i < STACKS; i++)
        nodes[i] = intern(i);
    return NULL;
}

static void every_thread_gets_the_stack_it_asked_for(void **unused)
{
    (void)unused;
    static u32 nodes[THREADS][STACKS];
    pthread_t threads[THREADS];
    for (u32 i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, intern_all, nodes[i]);
    for (u32 i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    u32 twice = 0;
    for (u32 i = 0; i < THREADS; i++)
        for (u32 k = 0; k < STACKS; k++) {
            assert_node_is(nodes[i][k], k);
            twice += nodes[i][k] != nodes[0][k];
        }
    /* duplicates are allowed while the table grows, and only then */
    assert_true(twice < THREADS * STACKS / 20);
}

static void alone_the_same_stack_has_the_same_number(void **unused)
{
    (void)unused;
    u32 before[100];
    for (u32 i = 0; i < 100; i++)
        before[i] = intern(i * 31);
    u32 count = track_node_count();
    for (u32 i = 0; i < 100; i++)
        assert_int_equal(intern(i * 31), before[i]);
    assert_int_equal(track_node_count(), count);
}

static void a_cut_stack_is_another_one(void **unused)
{
    (void)unused;
    u64 frame = trie_frame(0x123456, 5);
    u32 whole = trie_intern(0, frame), cut = trie_intern(0, frame | TRIE_CUT);
    assert_int_not_equal(whole, cut);
    assert_false(track_node(whole).cut);
    assert_true(track_node(cut).cut);
    assert_int_equal(track_node(cut).pc, 0x123456);
    assert_int_equal(track_node(cut).incarnation, 5);
}

int main(void)
{
    if (!trie_start())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_gets_the_stack_it_asked_for),
        cmocka_unit_test(alone_the_same_stack_has_the_same_number),
        cmocka_unit_test(a_cut_stack_is_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
