/* SPDX-License-Identifier: MIT
 *
 * standing.c - threads that stand in known functions, each of which holds one block on its frame.
 *
 * Context: test victim, built twice: as it is, and with frame pointers.
 * Invariant: beside the frame (or register) named there is no copy of a block's address, and a
 * block's size says which one it is.
 * Usage: standing [deny-ptrace|THREADS]. With deny-ptrace nobody may trace it. Prints "SIZE TID
 * FUNCTION" for each block, then "ready", and ends with its input. With THREADS it starts so many
 * that wait, and says "ready" only.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "asleep.h"
#include "deny.h"

#ifdef __clang__
#define FRAME         __attribute__((noinline))
#else
#define FRAME         __attribute__((noinline, noclone, noipa))
#endif
#define IN_USE(place) __asm__ volatile("" : : "r"(&(place)) : "memory")

enum { DEEP = 400, STACK_BYTES = 1 << 18 };

static int arrived, ending, spinner_tid;

static FRAME void scrub(void)
{
    volatile char deep[32768];
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = 0;
}

FRAME void fill(void *volatile *place, size_t size)
{
    *place = calloc(1, size);
}

/* Gives the frame at `place` its block. */
static FRAME void hold(void *volatile *place, size_t size, const char *function)
{
    fill(place, size);
    printf("%zu %d %s\n", size, gettid(), function);
}

static FRAME void wait_for_end(void)
{
    scrub();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, &ending, FUTEX_WAIT, 0, NULL);
}

/* --- several frames deep, one of them with an array of changing size ------------------------- */

FRAME void inner_call(void)
{
    void *volatile held[2] = {NULL};
    hold(&held[1], 1001, "inner_call");
    wait_for_end();
    IN_USE(held);
}

FRAME void middle_call(int n)
{
    volatile char room[n];
    void *volatile held = NULL;
    room[0] = 0;
    hold(&held, 1002, "middle_call");
    inner_call();
    IN_USE(held);
    IN_USE(room);
}

FRAME void *outer_call(void *unused)
{
    void *volatile held = NULL;
    hold(&held, 1003, "outer_call");
    middle_call(1000);
    IN_USE(held);
    return unused;
}

/* --- in epoll_wait --------------------------------------------------------------------------- */

FRAME void *poll_for_events(void *unused)
{
    void *volatile held = NULL;
    struct epoll_event event;
    int fd = epoll_create1(0);
    hold(&held, 1004, "poll_for_events");
    scrub();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE))
        epoll_wait(fd, &event, 1, 100000);
    IN_USE(held);
    return unused;
}

/* --- busy ------------------------------------------------------------------------------------ */

FRAME void spin_around(void)
{
    void *volatile held = NULL;
    spinner_tid = gettid();
    hold(&held, 1005, "spin_around");
    scrub();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE))
        IN_USE(held);
}

FRAME void *spin(void *unused)
{
    spin_around();
    __asm__ volatile("");
    return unused;
}

/* --- in a signal handler, on the same stack and on one of its own ------------------------------
 */

FRAME void handle(int number)
{
    void *volatile held = NULL;
    hold(&held, number == SIGUSR2 ? 1006 : 1008, "handle");
    wait_for_end();
    IN_USE(held);
}

FRAME void interrupted(int number)
{
    void *volatile held = NULL;
    hold(&held, number == SIGUSR2 ? 1007 : 1009, "interrupted");
    scrub();
    raise(number);
    IN_USE(held);
}

FRAME void *take_signal(void *number)
{
    void *memory =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t other = {.ss_sp = memory, .ss_size = STACK_BYTES};
    sigaltstack(&other, NULL);
    interrupted((int)(intptr_t)number);
    __asm__ volatile("");
    return NULL;
}

/* --- in a register -----------------------------------------------------------------------------
 */

FRAME void *wait_with_register(void *unused)
{
    void *volatile place;
    hold(&place, 1010, "wait_with_register");
    uintptr_t inverted = ~(uintptr_t)place;
    place = NULL;
    scrub();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
    __asm__ volatile("mov %[in], %%rbx\n not %%rbx\n"
                     "1: mov $202, %%eax\n" /* SYS_futex */
                     "mov %[flag], %%rdi\n xor %%esi, %%esi\n xor %%edx, %%edx\n"
                     "xor %%r10d, %%r10d\n syscall\n"
                     "cmpl $0, (%[flag])\n je 1b\n xor %%ebx, %%ebx\n"
                     :
                     : [in] "r"(inverted), [flag] "r"(&ending)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r10", "r11", "memory");
    return unused;
}

/* --- deeper than anybody records -----------------------------------------------------------------
 */

FRAME void descend(int left)
{
    void *volatile held = NULL;
    if (left == 5)
        hold(&held, 1011, "descend");
    if (left)
        descend(left - 1);
    else
        wait_for_end();
    IN_USE(held);
}

FRAME void *go_deep(void *unused)
{
    descend(DEEP);
    __asm__ volatile("");
    return unused;
}

FRAME void *wait_only(void *unused)
{
    wait_for_end();
    return unused;
}

static void start(void *(*body)(void *), void *argument)
{
    pthread_t t;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int before = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
    if (pthread_create(&t, &attributes, body, argument) != 0)
        abort();
    while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) == before)
        usleep(100);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 1 && !count)
        deny(SYS_ptrace, 0);
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR2, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGRTMIN + 5, &action, NULL);
    for (int i = 0; i < count; i++)
        start(wait_only, NULL);
    if (count == 0) {
        start(outer_call, NULL);
        start(poll_for_events, NULL);
        start(spin, NULL);
        start(take_signal, (void *)(intptr_t)SIGUSR2);
        start(take_signal, (void *)(intptr_t)(SIGRTMIN + 5));
        start(wait_with_register, NULL);
        start(go_deep, NULL);
    }
    scrub();
    wait_until_asleep(spinner_tid);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
