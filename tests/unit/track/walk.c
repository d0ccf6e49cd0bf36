/* SPDX-License-Identifier: MIT
 *
 * walk.c - stacks captured by the recorder equal those of libunwind, frame by frame, in code made
 * to be hard: recursion of changing shape, alloca, callbacks through libc, signal frames,
 * alternate stacks, coroutines, threads, realigned frames.
 */
#define UNW_LOCAL_ONLY
#include <alloca.h>
#include <libunwind.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include <cmocka.h>

#include "track/record.h"
#include "track/trie.h"

enum { FRAMES_MAX = 300 };

static u64 probes, differences;
static char first_difference[8000];

static u32 frames_of(u32 node, u64 *pcs, bool *cut)
{
    u32 n = 0;
    *cut = false;
    for (; node && n < FRAMES_MAX; node = track_node(node).parent) {
        pcs[n++] = track_node(node).pc;
        *cut = track_node(node).cut;
    }
    return n;
}

/* Plays the part of a hooked function: captures, and holds the result against libunwind's. */
static NOINLINE void probe(void)
{
    void *reference[FRAMES_MAX + 8];
    u64 ours[FRAMES_MAX];
    bool cut;
    struct thread *t = thread_settle();
    assert_non_null(t);
    thread_enter(t);
    u32 node = walk_capture(t, WALK_ORIGIN());
    thread_leave(t);
    u32 n = frames_of(node, ours, &cut);
    int all = unw_backtrace(reference, (int)COUNT_OF(reference));
    int theirs = all - 1; /* without this function */
    if (theirs > (int)walk_limit)
        theirs = (int)walk_limit;
    bool same = (int)n == theirs;
    for (u32 i = 0; same && i < n; i++)
        same = ours[i] == ((u64)reference[i + 1] & 0xffffffffffff);
    if (cut != (all - 1 > (int)walk_limit))
        same = false;
    __atomic_fetch_add(&probes, 1, __ATOMIC_RELAXED);
    if (!same && __atomic_fetch_add(&differences, 1, __ATOMIC_RELAXED) == 0) {
        size_t used = text_format(first_difference, sizeof first_difference,
                                  "ours %u frames%s, libunwind %d:", n, cut ? " (cut)" : "", all - 1);
        for (u32 i = 0; i < n || (int)i < theirs; i++)
            used += text_format(first_difference + used, sizeof first_difference - used,
                                "\n  %lx %lx", i < n ? ours[i] : 0,
                                (int)i < theirs ? (u64)reference[i + 1] : 0);
    }
}

static void check(void)
{
    if (differences)
        fail_msg("%lu of %lu stacks differ, the first: %s", differences, probes, first_difference);
    assert_true(probes > 0);
}

static u64 seed;

static u32 roll(u64 *state, u32 sides)
{
    *state = *state * 6364136223846793005ul + 1442695040888963407ul;
    return (u32)(*state >> 33) % sides;
}

/* --- recursion that changes its shape all the time ----------------------------------------- */

static void wander(u64 *state, u32 depth);
static u64 sink;

static NOINLINE void plain(u64 *state, u32 depth)
{
    wander(state, depth);
    sink++;
}

static NOINLINE void with_alloca(u64 *state, u32 depth)
{
    char *p = alloca(roll(state, 400) + 1);
    p[0] = 1;
    __asm__ volatile("" ::"r"(p) : "memory");
    wander(state, depth);
    sink += (u64)p[0];
}

/* Keeps so many values alive over the call that rbp is used as one more register. */
static NOINLINE u64 with_many_values(u64 *state, u32 depth, u64 a, u64 b, u64 c, u64 d)
{
    u64 e = a * b, f = c ^ d, g = a + c, h = b - d;
    wander(state, depth);
    u64 again = e + f * g + h + a + b + c + d;
    wander(state, depth / 2);
    return again ^ e ^ f ^ g ^ h;
}

static NOINLINE void with_realigned_frame(u64 *state, u32 depth)
{
    _Alignas(64) volatile char block[64];
    block[0] = (char)depth;
    char *p = alloca(roll(state, 64) + 1);
    __asm__ volatile("" ::"r"(p), "r"(block) : "memory");
    wander(state, depth);
    sink += (u64)block[0];
}

static u64 *callback_state;
static u32 callback_depth;
static int compare(const void *a, const void *b)
{
    if (callback_depth) {
        u32 depth = callback_depth;
        callback_depth = 0;
        wander(callback_state, depth);
    }
    return *(const int *)a - *(const int *)b;
}

static NOINLINE void through_qsort(u64 *state, u32 depth)
{
    int numbers[] = {3, 1, 2};
    u64 *saved = callback_state;
    callback_state = state;
    callback_depth = depth;
    qsort(numbers, 3, sizeof numbers[0], compare);
    callback_state = saved;
}

static NOINLINE void through_varargs(u64 *state, ...)
{
    va_list args;
    va_start(args, state);
    u32 depth = va_arg(args, u32);
    va_end(args);
    wander(state, depth);
    sink++;
}

static bool single_threaded = true;

static void wander(u64 *state, u32 depth)
{
    probe();
    if (depth == 0)
        return;
    for (u32 i = roll(state, 3); i > 0; i--) {
        switch (roll(state, single_threaded ? 6 : 5)) {
        case 0:
            plain(state, depth - 1);
            break;
        case 1:
            with_alloca(state, depth - 1);
            break;
        case 2:
            sink += with_many_values(state, depth - 1, sink, depth, i, *state);
            break;
        case 3:
            with_realigned_frame(state, depth - 1);
            break;
        case 4:
            through_varargs(state, depth - 1);
            break;
        default:
            through_qsort(state, depth - 1);
        }
        probe();
    }
}

static void stacks_that_change_shape(void **unused)
{
    (void)unused;
    u64 state = seed;
    for (u32 i = 0; i < 300; i++)
        wander(&state, 2 + roll(&state, 18));
    check();
}

static NOINLINE void dive(u32 depth)
{
    if (depth == 0 || depth % 7 == 0)
        probe();
    if (depth)
        dive(depth - 1);
    if (depth % 5 == 0)
        probe();
    sink++;
}

static void stacks_deeper_than_the_limit(void **unused)
{
    (void)unused;
    u32 limit = walk_limit;
    dive(200);
    dive(60);
    walk_limit = 5;
    dive(30);
    walk_limit = 1;
    dive(3);
    walk_limit = 256;
    dive(220);
    walk_limit = limit;
    check();
}

/* --- signals, other stacks ----------------------------------------------------------------- */

static void handler(int number)
{
    (void)number;
    u64 state = seed;
    wander(&state, 4);
}

static void through_a_signal_frame(void **unused)
{
    (void)unused;
    struct sigaction act = {.sa_handler = handler}, before;
    sigaction(SIGUSR2, &act, &before);
    for (u32 i = 0; i < 20; i++)
        raise(SIGUSR2);
    sigaction(SIGUSR2, &before, NULL);
    check();
}

/* libunwind follows the interrupted stack through an alternate one as we do. */
static void through_a_signal_frame_on_another_stack(void **unused)
{
    (void)unused;
    stack_t other = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18}, before;
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_ONSTACK}, act_before;
    sigaltstack(&other, &before);
    sigaction(SIGUSR2, &act, &act_before);
    for (u32 i = 0; i < 20; i++)
        raise(SIGUSR2);
    sigaction(SIGUSR2, &act_before, NULL);
    sigaltstack(&before, NULL);
    free(other.ss_sp);
    check();
}

static ucontext_t main_context, routines[3];
static u64 routine_states[3];

static void routine(int which)
{
    for (u32 i = 0; i < 50; i++) {
        wander(&routine_states[which], 3);
        swapcontext(&routines[which], &main_context);
    }
}

static void in_coroutines(void **unused)
{
    (void)unused;
    for (volatile int i = 0; i < 3; i++) { /* getcontext may return a second time */
        routine_states[i] = seed + (u64)i;
        getcontext(&routines[i]);
        routines[i].uc_stack.ss_sp = malloc(1 << 18);
        routines[i].uc_stack.ss_size = 1 << 18;
        routines[i].uc_link = &main_context;
        makecontext(&routines[i], (void (*)(void))routine, 1, i);
    }
    for (u32 turn = 0; turn < 51; turn++)
        for (int i = 0; i < 3; i++) {
            swapcontext(&main_context, &routines[i]);
            probe();
        }
    for (int i = 0; i < 3; i++)
        free(routines[i].uc_stack.ss_sp);
    check();
}

/* Runs a function on a stack of its own, and comes back; as some libraries do for deep recursion. */
void walk_on_stack(void *top, void (*function)(void));
__asm__("walk_on_stack:\n\t.cfi_startproc\n\tpushq %rbp\n\t.cfi_def_cfa_offset 16\n\t"
        ".cfi_offset %rbp, -16\n\tmovq %rsp, %rbp\n\t.cfi_def_cfa_register %rbp\n\t"
        "movq %rdi, %rsp\n\tcall *%rsi\n\tleave\n\t.cfi_def_cfa %rsp, 8\n\tret\n\t"
        ".cfi_endproc\n\t.type walk_on_stack, @function\n\t.size walk_on_stack, .-walk_on_stack");

static char *second_top;

static void wander_there(void)
{
    u64 state = seed;
    for (u32 i = 0; i < 20; i++)
        wander(&state, 6);
}

static void go_on_on_the_second(void)
{
    probe();
    walk_on_stack(second_top, wander_there);
    probe();
}

static void on_stacks_above_and_below_each_other(void **unused)
{
    (void)unused;
    enum { BYTES = 1 << 18 };
    char *stacks = malloc(2 * BYTES);
    char *tops[2] = {stacks + BYTES, stacks + 2 * BYTES};
    for (int i = 0; i < 2; i++) {
        second_top = (char *)((u64)tops[1 - i] & ~15ul);
        walk_on_stack((char *)((u64)tops[i] & ~15ul), go_on_on_the_second);
    }
    free(stacks);
    check();
}

/* Calls itself n times, with frames of a page each, and then the function. */
void walk_pages(u64 times, void (*function)(void));
__asm__("walk_pages:\n\t.cfi_startproc\n\tsubq $4088, %rsp\n\t.cfi_adjust_cfa_offset 4088\n\t"
        "testq %rdi, %rdi\n\tjz 1f\n\tdecq %rdi\n\tcall walk_pages\n\tjmp 2f\n1:\tcall *%rsi\n"
        "2:\taddq $4088, %rsp\n\t.cfi_adjust_cfa_offset -4088\n\tret\n\t.cfi_endproc\n\t"
        ".type walk_pages, @function\n\t.size walk_pages, .-walk_pages");

static u64 pages_deep;

static void go_deep(void)
{
    walk_pages(pages_deep, probe);
}

/* The smaller one has the same return address in the same place as the larger one had there, but
 * the larger one's outer frames are no longer mapped. */
static void on_a_stack_where_a_larger_one_was(void **unused)
{
    (void)unused;
    enum { LARGE = 512, SMALL = 32, DEEP = 5 };
    char *p = sys_map(LARGE * PAGE_BYTES);
    assert_non_null(p);
    for (u64 pages = SMALL; pages < SMALL + 3; pages++) {
        pages_deep = LARGE - pages + DEEP;
        walk_on_stack(p + LARGE * PAGE_BYTES, go_deep);
        sys_unmap(p + pages * PAGE_BYTES, (LARGE - pages) * PAGE_BYTES);
        pages_deep = DEEP;
        walk_on_stack(p + pages * PAGE_BYTES, go_deep);
        assert_ptr_equal(mmap(p, LARGE * PAGE_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                         p);
    }
    sys_unmap(p, LARGE * PAGE_BYTES);
    check();
}

static jmp_buf home;
static NOINLINE void jump_out(u64 *state, u32 depth)
{
    with_alloca(state, 2);
    if (depth == 0)
        longjmp(home, 1);
    if (*state != 0)
        jump_out(state, depth - 1);
    sink++;
}

static void across_longjmp(void **unused)
{
    (void)unused;
    static u64 state;
    static volatile u32 i;
    state = seed;
    for (i = 0; i < 100; i++) {
        if (setjmp(home) == 0)
            jump_out(&state, i % 13);
        wander(&state, 3);
    }
    check();
}

static void *run_thread(void *argument)
{
    u64 state = *(u64 *)argument;
    for (u32 i = 0; i < 100; i++)
        wander(&state, 12);
    return NULL;
}

static void in_threads(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    u64 states[4];
    single_threaded = false;
    for (u32 i = 0; i < 4; i++) {
        states[i] = seed + i;
        pthread_create(&threads[i], NULL, run_thread, &states[i]);
    }
    for (u32 i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    single_threaded = true;
    check();
}

/* --- interrupted contexts ------------------------------------------------------------------ */

static u64 context_walks, context_failures;

static void context_handler(int number, siginfo_t *info, void *context)
{
    u64 pcs[64];
    bool whole;
    (void)number;
    (void)info;
    u32 n = track_walk(context, pcs, 64, &whole);
    context_walks++;
    const ucontext_t *u = context;
    if (!whole || n < 3 || pcs[0] != (u64)u->uc_mcontext.gregs[REG_RIP])
        context_failures++;
}

static NOINLINE u64 busy(u32 depth, u64 until)
{
    if (depth)
        return busy(depth - 1, until) + 1;
    u64 n = 0;
    while (PEEK(&context_walks) < until)
        n += (u64)snprintf(first_difference, 32, "%lu", n) % 3;
    first_difference[0] = 0;
    return n;
}

static void from_an_interrupted_context(void **unused)
{
    (void)unused;
    struct sigaction act = {.sa_sigaction = context_handler, .sa_flags = SA_SIGINFO}, before;
    sigaction(SIGALRM, &act, &before);
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_settime(timer, 0, &often, NULL);
    sink += busy(10, 200);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(context_failures, 0);
}

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define INSTRUMENTED
#endif
#elif defined __SANITIZE_ADDRESS__
#define INSTRUMENTED
#endif
#if defined __OPTIMIZE__ && !defined INSTRUMENTED
static const bool frames_follow_from_rsp = true;
#else
static const bool frames_follow_from_rsp = false;
#endif

static NOINLINE void innermost(void)
{
    probe();
    __asm__ volatile("" ::: "memory"); /* no call in tail position */
}

/* Ways to the same innermost function over frames of 2^n bytes. */
#define WAY(bytes)                                                                                 \
    static NOINLINE void way_##bytes(void)                                                         \
    {                                                                                              \
        char room[bytes];                                                                          \
        __asm__ volatile("" ::"r"(room) : "memory");                                               \
        innermost();                                                                               \
        __asm__ volatile("" ::"r"(room) : "memory");                                               \
    }
WAY(64) WAY(128) WAY(256) WAY(512) WAY(1024) WAY(2048) WAY(4096) WAY(8192) WAY(16384)
static NOINLINE void way_64_too(void)
{
    char room[64];
    __asm__ volatile("" ::"r"(room) : "memory");
    innermost();
    __asm__ volatile("" ::"r"(room) : "memory");
}

static u32 turns_of(const struct thread *t)
{
    u32 turns = 0;
    for (u32 i = 0; i < WALK_MEMOS; i++)
        turns += t->memos[i][0].turns;
    return turns;
}

static void two_that_come_in_turn_are_both_remembered(void **unused)
{
    (void)unused;
    static void (*const ways[])(void) = {way_64_too, way_128,  way_256,  way_512, way_1024,
                                         way_2048,   way_4096, way_8192, way_16384};
    enum { WARM = 4, ROUNDS = 12 };
    const struct thread *t = thread_settle();
    if (!frames_follow_from_rsp)
        skip(); /* frames that are found through rbp are not */
    u32 before = turns_of(t);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        u32 kept = 0;
        for (u32 round = 0; round < ROUNDS; round++) {
            way_64();
            ways[i]();
            if (round == WARM)
                kept = turns_of(t);
        }
        assert_int_equal(turns_of(t), kept);
    }
    assert_int_not_equal(turns_of(t), before);
    check();
}

static void a_function_is_known_by_its_start(void **unused)
{
    (void)unused;
    u64 start = (u64)(void *)dive;
    u64 end;
    assert_int_equal(track_function_start(start, &end), start);
    assert_true(end > start);
    assert_int_equal(track_function_start(end - 1, NULL), start);
    assert_int_not_equal(track_function_start(end, NULL), start);
    assert_int_equal(track_function_start(16, NULL), 0);
}

int main(void)
{
    const char *given = getenv("MOONHEAP_SEED");
    seed = given ? strtoul(given, NULL, 0) : (u64)time(NULL);
    printf("seed %lu (MOONHEAP_SEED)\n", seed);
    struct options o;
    char *nothing[] = {NULL};
    options_read(&o, nothing, NULL);
    track_start(&o);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_that_change_shape),
        cmocka_unit_test(stacks_deeper_than_the_limit),
        cmocka_unit_test(through_a_signal_frame),
        cmocka_unit_test(through_a_signal_frame_on_another_stack),
        cmocka_unit_test(in_coroutines),
        cmocka_unit_test(on_stacks_above_and_below_each_other),
        cmocka_unit_test(on_a_stack_where_a_larger_one_was),
        cmocka_unit_test(across_longjmp),
        cmocka_unit_test(in_threads),
        cmocka_unit_test(from_an_interrupted_context),
        cmocka_unit_test(two_that_come_in_turn_are_both_remembered),
        cmocka_unit_test(a_function_is_known_by_its_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
