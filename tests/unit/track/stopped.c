/* SPDX-License-Identifier: MIT
 *
 * stopped.c - the stack of a thread that stands, walked by another one, equals libunwind's frame by
 * frame; and no registers and no memory can make the walk fault, or go on for ever.
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../busy.h"
#include "track/track.h"

enum { CALLS_MAX = 256, ROUNDS = 20000 };

/* What libunwind says of the interrupted thread, asked by itself, which then waits. */
static struct {
    u64 registers[TRACK_REGISTERS];
    u64 pc[CALLS_MAX], sp[CALLS_MAX];
    u32 count;
    u64 lo, hi; /* its stack */
} seen;
static int stands, may_go;

static void capture(int number, siginfo_t *info, void *context)
{
    static const int place[TRACK_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                               REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                               REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    (void)number;
    (void)info;
    ucontext_t *c = context;
    unw_cursor_t cursor;
    unw_word_t word;
    for (u32 i = 0; i < TRACK_REGISTERS; i++)
        seen.registers[i] = (u64)c->uc_mcontext.gregs[place[i]];
    unw_init_local2(&cursor, c, UNW_INIT_SIGNAL_FRAME);
    seen.count = 0;
    do {
        unw_get_reg(&cursor, UNW_REG_IP, &word);
        seen.pc[seen.count] = word;
        unw_get_reg(&cursor, UNW_REG_SP, &word);
        seen.sp[seen.count++] = word;
    } while (seen.count < CALLS_MAX && unw_step(&cursor) > 0);
    RELEASE(&stands, 1);
    while (!ACQUIRE(&may_go))
        ;
}

static bool on_the_stack(void *context, u64 address, u64 *value)
{
    (void)context;
    if (address < seen.lo || address > seen.hi - sizeof *value)
        return false;
    *value = *(const u64 *)address;
    return true;
}

/* --- places to stand in -------------------------------------------------------------------- */

static volatile int ready, stander_tid;

static NOINLINE void spin(void)
{
    ready = 1;
    while (!ACQUIRE(&stands))
        ;
    __asm__ volatile("");
}

static NOINLINE void wait_in_the_kernel(void)
{
    ready = 1;
    pause();
    __asm__ volatile("");
}

static NOINLINE void with_room(size_t n)
{
    volatile char *room = alloca(n);
    room[0] = 0;
    spin();
    room[n - 1] = 1;
}

static void in_a_handler(int number)
{
    (void)number;
    spin();
    __asm__ volatile("");
}

static NOINLINE void under_a_signal(void)
{
    raise(SIGUSR2);
    __asm__ volatile("");
}

static NOINLINE void down(int n)
{
    if (n)
        down(n - 1);
    else
        spin();
    __asm__ volatile("");
}

static void *stand(void *place)
{
    pthread_attr_t attributes;
    void *stack;
    size_t bytes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &bytes);
    pthread_attr_destroy(&attributes);
    stander_tid = gettid();
    seen.lo = (u64)stack;
    seen.hi = (u64)stack + bytes;
    switch (*(const int *)place) {
    case 0:
        spin();
        break;
    case 1:
        wait_in_the_kernel();
        break;
    case 2:
        with_room(500 + (size_t)rand() % 5000);
        break;
    case 3:
        under_a_signal();
        break;
    default:
        down(*(const int *)place);
    }
    return NULL;
}

/* The walk over a thread that stands in that place. */
static u32 walk(int place, struct track_call *calls, u32 max, bool *whole)
{
    pthread_t t;
    struct sigaction action = {.sa_sigaction = capture, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGUSR2, in_a_handler);
    stands = may_go = ready = 0;
    assert_int_equal(pthread_create(&t, NULL, stand, &place), 0);
    while (!ready)
        ;
    if (place == 1)
        BUSY_AWAIT(busy_thread_state(stander_tid) == 'S');
    pthread_kill(t, SIGUSR1);
    while (!ACQUIRE(&stands))
        ;
    struct track_walker w = {.read = on_the_stack};
    u32 n = track_walk_stopped(&w, seen.registers, calls, max, whole);
    RELEASE(&may_go, 1);
    pthread_join(t, NULL);
    return n;
}

/* The kernel's frames and the innermost one are told apart from those that called. */
static void equals_libunwind(void **state)
{
    (void)state;
    static const int places[] = {0, 1, 2, 3, 10, 100};
    struct track_call calls[CALLS_MAX];
    for (u32 p = 0; p < COUNT_OF(places); p++) {
        bool whole;
        u32 n = walk(places[p], calls, CALLS_MAX, &whole);
        assert_true(whole);
        assert_int_equal(n, seen.count);
        u32 signals = 0;
        for (u32 i = 0; i < n; i++) {
            assert_int_equal(calls[i].pc, seen.pc[i]);
            assert_int_equal(calls[i].sp, seen.sp[i]);
            assert_true(i + 1 == n || calls[i].next_sp == calls[i + 1].sp);
            assert_int_equal(calls[i].exact, i == 0 || calls[i - 1].signal);
            signals += calls[i].signal;
        }
        assert_int_equal(signals, places[p] == 3);
    }
}

static void stops_where_it_must(void **state)
{
    (void)state;
    struct track_call calls[8];
    bool whole = true;
    assert_int_equal(walk(100, calls, COUNT_OF(calls), &whole), COUNT_OF(calls));
    assert_false(whole);
    assert_int_equal(calls[7].pc, seen.pc[7]);
    assert_int_equal(walk(0, calls, 0, &whole), 0);

    /* a call of NULL; code that nobody knows; a stack that is not there */
    struct track_walker w = {.read = on_the_stack};
    u64 registers[TRACK_REGISTERS] = {0};
    assert_int_equal(track_walk_stopped(&w, registers, calls, COUNT_OF(calls), &whole), 0);
    registers[16] = 0x123456789000;
    assert_int_equal(track_walk_stopped(&w, registers, calls, COUNT_OF(calls), &whole), 1);
    assert_false(whole);
    assert_int_equal(calls[0].next_sp, 0);
    registers[16] = (u64)with_room + 4;
    assert_int_equal(track_walk_stopped(&w, registers, calls, COUNT_OF(calls), &whole), 1);
    assert_false(whole);
}

/* --- lies ---------------------------------------------------------------------------------- */

static u64 random_word(void)
{
    static const u64 ends[] = {0, 1, 8, 0x7fffffffffff, 0x800000000000, UINT64_MAX, UINT64_MAX - 7};
    u64 code = (u64)with_room - 2000 + (u64)rand() % 6000;
    switch (rand() % 6) {
    case 0:
        return ends[(size_t)rand() % COUNT_OF(ends)];
    case 1:
        return (u64)rand() << 32 | (u64)rand();
    case 2:
        return (u64)raise + (u64)rand() % 400;
    case 3:
        return 0x7f0000000000 + (u64)(rand() % 4096) * 8;
    default:
        return code;
    }
}

static bool any_word(void *context, u64 address, u64 *value)
{
    u64 *asked = context;
    assert_int_equal(address & 7, 0);
    (*asked)++;
    *value = random_word();
    return rand() % 50 != 0;
}

static void nothing_makes_it_fault(void **state)
{
    (void)state;
    const char *given = getenv("TRACK_SEED");
    u32 seed = given ? (u32)strtoul(given, NULL, 0) : (u32)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    u64 asked = 0, calls_made = 0;
    for (u32 round = 0; round < ROUNDS; round++) {
        struct track_walker w = {.context = &asked, .read = any_word};
        struct track_call calls[64];
        u64 registers[TRACK_REGISTERS];
        bool whole;
        for (u32 i = 0; i < TRACK_REGISTERS; i++)
            registers[i] = random_word();
        if (round % 4) { /* mostly such as lead on */
            registers[16] = (u64)with_room + (u64)rand() % 3000;
            registers[7] = registers[6] = 0x7f0000000000 + (u64)(rand() % 4096) * 8;
        }
        u32 n = track_walk_stopped(&w, registers, calls, COUNT_OF(calls), &whole);
        assert_true(n <= COUNT_OF(calls));
        calls_made += n;
    }
    printf("%llu words read, %llu frames\n", (unsigned long long)asked,
           (unsigned long long)calls_made);
    assert_true(calls_made > ROUNDS + ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_libunwind),
        cmocka_unit_test(stops_where_it_must),
        cmocka_unit_test(nothing_makes_it_fault),
    };
    if (!track_modules_refresh())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
