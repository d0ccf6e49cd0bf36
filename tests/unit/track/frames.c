/* SPDX-License-Identifier: MIT
 *
 * frames.c - each code address has one number and one rule, for every thread, until its code goes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "track/frames.h"
#include "track/thread.h"

enum { ADDRESSES = 50000, THREADS = 4 };

static u64 pc_of(u32 i)
{
    return 0x10000000 + 7ul * i; /* in no module */
}

static u64 find(struct thread *t, u64 pc)
{
    return frames_find(frames_table, t, pc);
}

static void *find_all(void *argument)
{
    u32 *numbers = argument;
    struct thread *t = thread_settle();
    for (u32 i = 0; i < ADDRESSES; i++)
        numbers[i] = frames_number(t, pc_of(i));
    return NULL;
}

static void every_address_is_numbered_once(void **unused)
{
    (void)unused;
    static u32 numbers[THREADS][ADDRESSES];
    pthread_t threads[THREADS];
    for (u32 i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, find_all, numbers[i]);
    for (u32 i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    u32 twice = 0;
    for (u32 k = 0; k < ADDRESSES; k++)
        for (u32 i = 0; i < THREADS; i++) {
            assert_int_equal(frames_code[numbers[i][k]], pc_of(k));
            twice += numbers[i][k] != numbers[0][k];
        }
    /* while the table grows, one may be made twice */
    assert_true(twice < THREADS * ADDRESSES / 20);
    static u32 again[ADDRESSES], once_more[ADDRESSES];
    find_all(again);
    find_all(once_more);
    assert_memory_equal(again, once_more, sizeof again);
}

static void code_that_is_gone_gives_its_place_away(void **unused)
{
    (void)unused;
    struct thread *t = thread_settle();
    u32 generation = frames_generation;
    u64 one = find(t, pc_of(1)), five = find(t, pc_of(5));
    frames_forget(pc_of(4), pc_of(6));
    assert_int_not_equal(frames_generation, generation);
    assert_int_equal(frames_number(t, pc_of(1)), frame_number(one));
    u64 fresh = find(t, pc_of(5));
    assert_int_not_equal(frame_number(fresh), frame_number(five));
    assert_int_equal(rule_kind(fresh), rule_kind(five));
    assert_int_equal(frames_number(t, pc_of(5)), frame_number(fresh));
    assert_int_equal(frames_code[frame_number(five)], pc_of(5)); /* older stacks still have it */
    u64 slots_used = frames_table->used;
    for (u32 i = 0; i < 1000; i++) {
        frames_forget(pc_of(4), pc_of(6));
        find(t, pc_of(5));
    }
    assert_int_equal(frames_table->used, slots_used);
}

static void rules_are_those_of_the_code(void **unused)
{
    (void)unused;
    struct thread *t = thread_settle();
    assert_int_equal(rule_kind(find(t, pc_of(0))), RULE_LOST);
    u64 here = (u64)__builtin_extract_return_addr(__builtin_return_address(0));
    u64 caller = find(t, here); /* in cmocka, which has unwind tables */
    assert_true(rule_kind(caller) == RULE_SP || rule_kind(caller) == RULE_BP);
    assert_true(rule_cfa_offset(caller) >= 8);
}

int main(void)
{
    if (!frames_start())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_numbered_once),
        cmocka_unit_test(code_that_is_gone_gives_its_place_away),
        cmocka_unit_test(rules_are_those_of_the_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
