/* SPDX-License-Identifier: MIT
 *
 * trie.c - stacks are found again, by every thread, while the table grows.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "track/thread.h"
#include "track/trie.h"

enum { STACKS = 60000, DEPTH = 6, THREADS = 4 };

/* An address in no module: such frames can be numbered, too. */
static u64 pc_of(u32 stack, u32 level)
{
    /* the outer levels are shared by many stacks */
    return 0x400000 + (u64)level * 0x10000 + stack % (7u << (2 * level));
}

static u32 frames_of[DEPTH][7u << (2 * DEPTH)];

static u32 frame_of(u32 stack, u32 level)
{
    return frames_of[level][stack % (7u << (2 * level))];
}

static int number_frames(void **unused)
{
    (void)unused;
    struct thread *t = thread_settle();
    for (u32 level = 0; level < DEPTH; level++)
        for (u32 i = 0; i < 7u << (2 * level); i++)
            frames_of[level][i] = frames_number(t, pc_of(i, level));
    return 0;
}

static __thread struct trie_room room;

static u32 intern(u32 stack)
{
    u32 words[DEPTH], nodes[DEPTH];
    for (u32 level = 0; level < DEPTH; level++)
        words[level] = frame_of(stack, level);
    u32 node = trie_intern(&room, 0, words, DEPTH, nodes);
    assert_int_not_equal(node, 0); /* also while another thread is slow to make a larger table */
    for (u32 level = DEPTH; level-- > 1;)
        assert_int_equal(track_node(nodes[level]).parent, nodes[level - 1]);
    assert_int_equal(node, nodes[DEPTH - 1]);
    return node;
}

static void assert_node_is(u32 node, u32 stack)
{
    for (u32 level = DEPTH; level-- > 0;) {
        assert_int_not_equal(node, 0);
        struct track_node n = track_node(node);
        assert_int_equal(n.pc, pc_of(stack, level));
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

static void a_known_stack_is_continued_in_place(void **unused)
{
    (void)unused;
    u32 outer[2] = {frame_of(1, 3), frame_of(2, 3)}, inner = frame_of(3, 3), other = frame_of(4, 3);
    u32 nodes[2], node = trie_intern(&room, 0, outer, 2, nodes), before = room.next;
    u32 first = trie_intern(&room, node, &inner, 1, nodes);
    u32 second = trie_intern(&room, node, &other, 1, nodes);
    assert_int_equal(track_node(first).parent, node);
    assert_int_equal(track_node(second).parent, node);
    assert_int_not_equal(first, second);
    assert_int_equal(trie_intern(&room, node, &inner, 1, nodes), first);
    assert_int_equal(trie_intern(&room, node, &other, 1, nodes), second);
    assert_int_equal(room.next, before + 6); /* a head of two units and a frame of one */
}

static void a_cut_stack_is_another_one(void **unused)
{
    (void)unused;
    u32 frame = frame_of(6, 2), cut_frame = frame | TRIE_CUT, node;
    u32 whole = trie_intern(&room, 0, &frame, 1, &node);
    u32 cut = trie_intern(&room, 0, &cut_frame, 1, &node);
    assert_int_not_equal(whole, cut);
    assert_false(track_node(whole).cut);
    assert_true(track_node(cut).cut);
    assert_int_equal(track_node(cut).pc, pc_of(6, 2));
}

/* Frames with numbers of more than 15 bits and such with flags take more room, and stand beside
 * the others in a stack. */
static void wide_frames_are_frames_like_others(void **unused)
{
    (void)unused;
    u32 plain = frame_of(7, 2), large = 0, node = 0;
    for (u32 i = 0; large <= 1 << 15; i++)
        large = frames_number(thread_settle(), 0x7f0000000000 + i);
    const u32 stacks[][4] = {
        {plain, large, plain, large},
        {plain, large, large, plain},
        {large, large, large, large},
        {large | TRIE_CUT, plain, large, trie_tag(FRAME_MAX)},
        {plain, plain, plain | TRIE_CUT, TRIE_IGNORED},
    };
    u32 nodes[COUNT_OF(stacks)][4], again[4];
    for (u32 i = 0; i < COUNT_OF(stacks); i++)
        trie_intern(&room, 0, stacks[i], 4, nodes[i]);
    for (u32 i = 0; i < COUNT_OF(stacks); i++) {
        trie_intern(&room, 0, stacks[i], 4, again);
        node = 0;
        for (u32 k = 0; k < 4; k++) {
            struct track_node n = track_node(nodes[i][k]);
            u32 frame = stacks[i][k], alone;
            assert_int_equal(nodes[i][k], again[k]);
            assert_int_equal(n.parent, node);
            assert_int_equal(n.ignored, frame == TRIE_IGNORED);
            assert_int_equal(n.tag, frame == trie_tag(FRAME_MAX) ? FRAME_MAX : 0);
            assert_int_equal(n.cut, !(frame & TRIE_MARK) && frame & TRIE_CUT);
            if (!(frame & TRIE_MARK))
                assert_int_equal(n.pc, frames_code[frame & FRAME_MAX] & FRAME_CODE_MASK);
            assert_int_equal(trie_intern(&room, node, &frame, 1, &alone), nodes[i][k]);
            node = nodes[i][k];
        }
    }
    assert_int_equal(nodes[0][1], nodes[1][1]);
    assert_int_not_equal(nodes[0][2], nodes[1][2]);
}

/* As below the loop of a server or an interpreter. */
static void a_node_can_have_any_number_of_callees(void **unused)
{
    (void)unused;
    enum { CALLEES = 20000 };
    static u32 nodes[CALLEES];
    u32 outer = frame_of(8, 2), parent = trie_intern(&room, 0, &outer, 1, nodes);
    for (u32 i = 0; i < CALLEES; i++)
        assert_int_not_equal(trie_intern(&room, parent, &(u32){i + 1}, 1, &nodes[i]), 0);
    u32 count = track_node_count();
    for (u32 i = 0; i < CALLEES; i++) {
        u32 node;
        assert_int_equal(track_node(nodes[i]).parent, parent);
        assert_int_equal(trie_intern(&room, parent, &(u32){i + 1}, 1, &node), nodes[i]);
    }
    assert_int_equal(track_node_count(), count);
}

/* Whoever lists stacks goes from callers to callees by number. */
static void a_callee_has_the_higher_number_whoever_made_its_caller(void **unused)
{
    (void)unused;
    struct trie_room two[2] = {{0}};
    u32 node = 0;
    for (u32 i = 0; i < 10000; i++) {
        u32 frame = frame_of(9 + i % 5, 5), above = node;
        node = trie_intern(&two[i * i % 7 & 1], node, &frame, 1, &node);
        assert_true(node > above);
        assert_int_equal(track_node(node).parent, above);
    }
}

int main(void)
{
    if (!frames_start() || !trie_start())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_gets_the_stack_it_asked_for),
        cmocka_unit_test(alone_the_same_stack_has_the_same_number),
        cmocka_unit_test(a_known_stack_is_continued_in_place),
        cmocka_unit_test(a_cut_stack_is_another_one),
        cmocka_unit_test(wide_frames_are_frames_like_others),
        cmocka_unit_test(a_node_can_have_any_number_of_callees),
        cmocka_unit_test(a_callee_has_the_higher_number_whoever_made_its_caller),
    };
    return cmocka_run_group_tests(tests, number_frames, NULL);
}
