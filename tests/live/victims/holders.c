/* SPDX-License-Identifier: MIT
 *
 * holders.c - holds one block each in every way in which C can hold one, and lets go of them.
 *
 * Context: test victim.
 * Invariant: beside the holder there is no copy of a block's address: addresses are told inverted,
 * and what the building left in registers and on the stack is overwritten.
 * Usage: holders [PLUGIN]. Prints "HOLDER INVERTED-ADDRESS" for each, then "."; then takes lines:
 * "drop" (every holder lets go; answers "dropped") and ends with its input.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "asleep.h"

static char output[4096];
static size_t used;

static __attribute__((noinline)) void *make(const char *name)
{
    void *p = calloc(1, 100);
    used += (size_t)snprintf(output + used, sizeof output - used, "%s %lx\n", name, ~(uintptr_t)p);
    return p;
}

static __attribute__((noinline)) void scrub(void)
{
    volatile char deep[65536];
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = 0;
    __asm__ volatile("xor %%eax, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n"
                     "xor %%esi, %%esi\n xor %%edi, %%edi\n xor %%r8d, %%r8d\n"
                     "xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n xor %%r11d, %%r11d\n"
                     "pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm2, %%xmm2\n"
                     "pxor %%xmm3, %%xmm3\n pxor %%xmm4, %%xmm4\n pxor %%xmm5, %%xmm5\n"
                     "vzeroupper\n"
                     :
                     :
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "memory");
}

static void in_use(void *volatile *place)
{
    __asm__ volatile("" : : "r"(place) : "memory");
}

void *holder_global;
static void *volatile holder_static;
static void *volatile holder_data = &output; /* in .data, not .bss */
static __thread void *volatile holder_thread_local;
static struct {
    int filler;
    void *volatile into;
} interior;
static pthread_key_t key;
static void **page;
static void *module;
static int *dropping; /* 1: threads let go and wait on */
static int ready;

static void pause_for_ever(void)
{
    for (;;)
        pause();
}

static void say_ready(void)
{
    __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
}

static void wait_ready(int n)
{
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < n)
        usleep(1000);
}

static int asked_to_drop(void)
{
    return __atomic_load_n(dropping, __ATOMIC_ACQUIRE);
}

/* --- threads that hold --------------------------------------------------------------------- */

static void *on_stack(void *unused)
{
    void *volatile held[4] = {0};
    held[1] = make("thread-stack");
    scrub();
    say_ready();
    while (!asked_to_drop())
        usleep(1000);
    held[1] = NULL;
    in_use(held);
    scrub();
    say_ready();
    pause_for_ever();
    return unused;
}

static void *in_thread_local(void *unused)
{
    holder_thread_local = make("thread-local");
    pthread_setspecific(key, make("thread-specific"));
    scrub();
    say_ready();
    while (!asked_to_drop())
        usleep(1000);
    holder_thread_local = NULL;
    pthread_setspecific(key, NULL);
    scrub();
    say_ready();
    pause_for_ever();
    return unused;
}

/* The address is nowhere in memory while these run. */
static void *in_register(void *unused)
{
    uintptr_t inverted = ~(uintptr_t)make("register");
    scrub();
    __asm__ volatile("mov %[in], %%rbx\n not %%rbx\n"
                     "lock incl %[ready]\n"
                     "1: cmpl $0, (%[flag])\n je 1b\n"
                     "xor %%ebx, %%ebx\n"
                     : [ready] "+m"(ready)
                     : [in] "r"(inverted), [flag] "r"(dropping)
                     : "rbx", "memory");
    say_ready();
    pause_for_ever();
    return unused;
}

static void *in_vector_register(void *unused)
{
    uintptr_t inverted = ~(uintptr_t)make("vector-register");
    scrub();
    __asm__ volatile("mov %[in], %%rax\n not %%rax\n movq %%rax, %%xmm11\n xor %%eax, %%eax\n"
                     "lock incl %[ready]\n"
                     "1: cmpl $0, (%[flag])\n je 1b\n"
                     "pxor %%xmm11, %%xmm11\n"
                     : [ready] "+m"(ready)
                     : [in] "r"(inverted), [flag] "r"(dropping)
                     : "rax", "xmm11", "memory");
    say_ready();
    pause_for_ever();
    return unused;
}

/* In the middle of a handler that runs on another stack. */
static void handle(int number)
{
    void *volatile held[1] = {make("alternate-stack")};
    (void)number;
    scrub();
    say_ready();
    while (!asked_to_drop())
        usleep(1000);
    held[0] = NULL;
    in_use(held);
}

static void *on_alternate_stack(void *unused)
{
    void *volatile held[4] = {0};
    stack_t other = {.ss_size = 1 << 18};
    other.ss_sp = mmap(NULL, other.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    struct sigaction act = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR2, &act, NULL);
    sigaltstack(&other, NULL);
    held[2] = make("stack-below-handler");
    scrub();
    raise(SIGUSR2);
    held[2] = NULL;
    in_use(held);
    scrub();
    say_ready();
    pause_for_ever();
    return unused;
}

/* --- a coroutine that is not running ------------------------------------------------------- */

static ucontext_t main_context, coroutine;

static void coroutine_main(void)
{
    void *volatile held[1] = {make("coroutine-stack")};
    scrub();
    swapcontext(&coroutine, &main_context);
    held[0] = NULL;
    in_use(held);
    scrub();
    swapcontext(&coroutine, &main_context);
}

static void start_coroutine(void)
{
    getcontext(&coroutine);
    coroutine.uc_stack.ss_size = 1 << 18;
    coroutine.uc_stack.ss_sp = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    makecontext(&coroutine, coroutine_main, 0);
    swapcontext(&main_context, &coroutine);
}

/* --- threads that are gone ----------------------------------------------------------------- */

static void *leave_on_stack(void *unused)
{
    void *volatile held[4] = {0};
    held[3] = make("gone-thread-stack");
    in_use(held);
    return unused;
}

/* --- the whole ----------------------------------------------------------------------------- */

static __attribute__((noinline)) void lose(const char *name)
{
    void *volatile p = make(name);
    (void)p;
}

static __attribute__((noinline)) void build(const char *plugin)
{
    pthread_t t;
    void **arena = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page = arena + 5000;
    *page = make("mapping");
    dropping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_key_create(&key, NULL);
    pthread_create(&t, NULL, leave_on_stack, NULL);
    pthread_join(t, NULL);
    holder_global = make("global");
    holder_static = make("static");
    holder_data = make("data");
    interior.into = (char *)make("interior") + 60;
    *(void **)holder_global = make("block");
    void **one = make("cycle"), **other = make("cycle");
    *one = other;
    *other = one;
    lose("lost");
    lose("lost");
    int waits = 0;
    void *(*const threads[])(void *) = {on_stack, in_thread_local, in_register, in_vector_register,
                                        on_alternate_stack};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        pthread_create(&t, NULL, threads[i], NULL);
        wait_ready(++waits);
    }
    start_coroutine();
    if (plugin) {
        module = dlopen(plugin, RTLD_NOW);
        void **place = module ? dlsym(module, "plugin_holder") : NULL;
        if (place)
            *place = make("plugin");
    }
}

static __attribute__((noinline)) void drop(void)
{
    holder_global = holder_static = holder_data = interior.into = *page = NULL;
    if (module)
        dlclose(module); /* takes its variable along */
    swapcontext(&main_context, &coroutine);
    __atomic_store_n(&ready, 0, __ATOMIC_RELEASE);
    __atomic_store_n(dropping, 1, __ATOMIC_RELEASE);
    wait_ready(5);
    wait_until_asleep(0);
}

static void put(const char *text, size_t bytes)
{
    if (write(STDOUT_FILENO, text, bytes) < 0)
        _exit(3);
}

static __attribute__((noinline)) void wait_line(void)
{
    char byte = 0;
    while (byte != '\n')
        if (read(STDIN_FILENO, &byte, 1) <= 0)
            _exit(0);
}

int main(int argc, char **argv)
{
    void *volatile held[1] = {make("main-stack")};
    build(argc > 1 ? argv[1] : NULL);
    scrub();
    put(output, used);
    put(".\n", 2);
    wait_line();
    held[0] = NULL;
    in_use(held);
    drop();
    scrub();
    put("dropped\n", 8);
    for (;;)
        wait_line();
}
