/* SPDX-License-Identifier: MIT
 *
 * ways.cpp - a way of holding blocks in each function hold_*: two moments, at the first of which
 * everything is held that can be, and at the second nothing is.
 *
 * Context: test victim, built twice: as it is, and with LeakSanitizer (ASK_LEAK_SANITIZER).
 * Invariant: beside the holders there is no copy of a block's address. Whoever looks tells the
 * ways apart by the functions on the call stack, and a way's blocks by their sizes.
 * Usage: ways PLUGIN PLUGIN-TO-UNLOAD. At each moment it says what it is ("held", "dropped") and:
 * asks LeakSanitizer, or valgrind when it runs under it, or waits for a line on its input.
 */
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "asleep.h"

#ifdef ASK_LEAK_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif
#include <valgrind/memcheck.h>

#define NOINLINE __attribute__((noinline))

NOINLINE static void scrub()
{
    volatile char deep[65536];
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = 0;
    __asm__ volatile("xor %%eax, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n"
                     "xor %%esi, %%esi\n xor %%edi, %%edi\n xor %%r8d, %%r8d\n"
                     "xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n xor %%r11d, %%r11d\n"
                     "pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm2, %%xmm2\n"
                     "pxor %%xmm3, %%xmm3\n pxor %%xmm4, %%xmm4\n pxor %%xmm5, %%xmm5\n"
                     "pxor %%xmm6, %%xmm6\n pxor %%xmm7, %%xmm7\n pxor %%xmm8, %%xmm8\n"
                     :
                     :
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "memory");
}

/* Zeroed, so that nothing left over in it holds anything. */
NOINLINE static char *block(size_t size)
{
    return static_cast<char *>(calloc(1, size));
}

/* --- plain ways ---------------------------------------------------------------------------- */

char *volatile way_global;
static char *volatile way_static;
static char *volatile way_interior;
static char *volatile *way_block;
static char *volatile *way_arena;
static char *volatile *way_protected;

NOINLINE static void hold_global() { way_global = block(1001); }
NOINLINE static void hold_static() { way_static = block(1002); }
NOINLINE static void hold_interior() { way_interior = block(1003) + 500; }

NOINLINE static void hold_block()
{
    way_block = reinterpret_cast<char *volatile *>(block(1004));
    way_block[3] = block(2004);
}

NOINLINE static void hold_cycle()
{
    char **one = reinterpret_cast<char **>(block(1005)), **other =
        reinterpret_cast<char **>(block(2005));
    one[1] = reinterpret_cast<char *>(other);
    other[2] = reinterpret_cast<char *>(one);
}

static char *volatile *map_pages()
{
    void *p = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return static_cast<char *volatile *>(p);
}

NOINLINE static void hold_arena()
{
    way_arena = map_pages();
    way_arena[777] = block(1006);
}

/* What a program has write-protected holds as before. */
NOINLINE static void hold_protected()
{
    way_protected = map_pages();
    way_protected[33] = block(1007);
    mprotect(const_cast<char **>(way_protected), 1 << 16, PROT_READ);
}

/* --- threads ------------------------------------------------------------------------------- */

static thread_local char *volatile way_thread_local;
static pthread_key_t key;
static int dropping, arrived; /* futexes */

static void wait_while(int *word, int value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, word, FUTEX_WAIT, value, nullptr);
}

static void arrive()
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &arrived, FUTEX_WAKE, INT_MAX);
}

static void say_thread(const char *way)
{
    printf("%s %ld\n", way, syscall(SYS_gettid));
    scrub();
}

static void end_of_thread()
{
    scrub();
    arrive();
    wait_while(&dropping, 1); /* for ever */
}

static void *hold_thread_local(void *unused)
{
    way_thread_local = block(1008);
    pthread_setspecific(key, block(2008));
    say_thread("hold_thread_local");
    arrive();
    wait_while(&dropping, 0);
    way_thread_local = nullptr;
    pthread_setspecific(key, nullptr);
    end_of_thread();
    return unused;
}

NOINLINE static void keep_on_stack(char *volatile *place) { *place = block(1009); }

static void *hold_on_stack(void *unused)
{
    char *volatile held[4] = {};
    keep_on_stack(&held[2]);
    say_thread("hold_on_stack");
    arrive();
    wait_while(&dropping, 0);
    held[2] = nullptr;
    end_of_thread();
    return unused;
}

/* The address is in rbx alone while the thread waits in the kernel. */
static void *hold_in_register(void *unused)
{
    uintptr_t inverted = ~reinterpret_cast<uintptr_t>(block(1010));
    say_thread("hold_in_register");
    arrive();
    __asm__ volatile("mov %[in], %%rbx\n not %%rbx\n"
                     "1: mov $202, %%eax\n" /* SYS_futex */
                     "mov %[flag], %%rdi\n xor %%esi, %%esi\n xor %%edx, %%edx\n xor %%r10d, %%r10d\n"
                     "syscall\n"
                     "cmpl $0, (%[flag])\n je 1b\n"
                     "xor %%ebx, %%ebx\n"
                     :
                     : [in] "r"(inverted), [flag] "r"(&dropping)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r10", "r11", "memory");
    end_of_thread();
    return unused;
}

static void start_threads()
{
    pthread_key_create(&key, nullptr);
    void *(*const threads[])(void *) = {hold_thread_local, hold_on_stack, hold_in_register};
    int waited = 0;
    for (auto *body : threads) {
        pthread_t t;
        pthread_create(&t, nullptr, body, nullptr);
        while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) == waited)
            wait_while(&arrived, waited);
        waited++;
    }
    wait_until_asleep(0);
}

static void drop_threads()
{
    __atomic_store_n(&arrived, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&dropping, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &dropping, FUTEX_WAKE, INT_MAX);
    for (int n; (n = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE)) < 3;)
        wait_while(&arrived, n);
    wait_until_asleep(0);
}

/* --- modules ------------------------------------------------------------------------------- */

static char *volatile *module_place;
static void *unloaded;

static char *volatile *place_in(void *module)
{
    return static_cast<char *volatile *>(module ? dlsym(module, "plugin_holder") : nullptr);
}

NOINLINE static void hold_module(const char *path)
{
    module_place = place_in(dlopen(path, RTLD_NOW));
    *module_place = block(1011);
}

NOINLINE static void hold_unloaded(const char *path)
{
    unloaded = dlopen(path, RTLD_NOW);
    *place_in(unloaded) = block(1012);
}

/* --- C++ ----------------------------------------------------------------------------------- */

struct first {
    virtual ~first() {}
    long a = 1;
};
struct second {
    virtual ~second() {}
    long b = 2;
};
struct both : first, second {
    char *inside = block(2013);
    char rest[980] = {};
};
struct counted { /* its destructor makes new[] put a count in front */
    char *inside = nullptr;
    ~counted() { free(inside); }
};

/* The holders of all these in one place, which is wiped to drop them. */
struct holders {
    second *volatile base;
    counted *volatile array;
    std::vector<char *> vector;
    std::vector<char *> spare; /* its block has more room than elements */
    std::map<int, char *> map;
    std::unordered_map<int, char *> hash;
    std::string string;
    std::list<char *> list;
    std::deque<char *> deque;
    std::shared_ptr<both> shared;
    std::shared_ptr<counted> joined;
    std::unique_ptr<both> unique;
    std::function<size_t()> function;
};
static holders *held;
alignas(holders) static char way_holders[sizeof(holders)];

NOINLINE static void hold_multiple() { held->base = new both; }

NOINLINE static void hold_array()
{
    held->array = new counted[40];
    held->array[5].inside = block(2014);
}

NOINLINE static void hold_vector()
{
    for (size_t i = 0; i < 5; i++)
        held->vector.push_back(block(2015 + 1000 * i));
}

/* The element that was taken out is not gone from the vector's block. */
NOINLINE static void hold_spare()
{
    held->spare.reserve(20);
    held->spare.push_back(block(2016));
    held->spare.push_back(block(3016));
    held->spare.pop_back();
}

NOINLINE static void hold_map()
{
    for (int i = 0; i < 9; i++)
        held->map[i] = block(2017 + 1000 * static_cast<size_t>(i));
}

NOINLINE static void hold_hash()
{
    for (int i = 0; i < 9; i++)
        held->hash[i * 77] = block(2018 + 1000 * static_cast<size_t>(i));
}

NOINLINE static void hold_string() { held->string = std::string(2019, 'x'); }

NOINLINE static void hold_list()
{
    for (size_t i = 0; i < 5; i++)
        held->list.push_back(block(2020 + 1000 * i));
}

NOINLINE static void hold_deque()
{
    for (size_t i = 0; i < 100; i++)
        held->deque.push_back(i % 25 ? nullptr : block(2021 + 40 * i));
}

NOINLINE static void hold_shared() { held->shared = std::shared_ptr<both>(new both); }

NOINLINE static void hold_joined()
{
    held->joined = std::make_shared<counted>();
    held->joined->inside = block(2023);
}

NOINLINE static void hold_unique() { held->unique.reset(new both); }

NOINLINE static void hold_function()
{
    char *inside = block(2025);
    size_t a = 1, b = 2, c = 3;
    held->function = [inside, a, b, c] { return a + b + c + (inside ? 1 : 0); };
}

/* --- the moments --------------------------------------------------------------------------- */

NOINLINE static void at_the_point(const char *moment)
{
    scrub();
    printf("%s\n", moment);
    fflush(stdout);
    fprintf(stderr, "\nmoment %s\n", moment);
#ifdef ASK_LEAK_SANITIZER
    __lsan_do_recoverable_leak_check();
#else
    char byte = 0;
    if (RUNNING_ON_VALGRIND)
        VALGRIND_DO_LEAK_CHECK;
    else
        while (byte != '\n' && read(STDIN_FILENO, &byte, 1) == 1) {
        }
#endif
}

NOINLINE static void hold(char **argv)
{
    held = new (way_holders) holders;
    start_threads();
    hold_global();
    hold_static();
    hold_interior();
    hold_block();
    hold_cycle();
    hold_arena();
    hold_protected();
    hold_module(argv[1]);
    hold_unloaded(argv[2]);
    hold_multiple();
    hold_array();
    hold_vector();
    hold_spare();
    hold_map();
    hold_hash();
    hold_string();
    hold_list();
    hold_deque();
    hold_shared();
    hold_joined();
    hold_unique();
    hold_function();
}

NOINLINE static void drop()
{
    drop_threads();
    way_global = way_static = way_interior = nullptr;
    way_block[3] = nullptr;
    way_block = nullptr;
    way_arena[777] = nullptr;
    mprotect(const_cast<char **>(way_protected), 1 << 16, PROT_READ | PROT_WRITE);
    way_protected[33] = nullptr;
    *module_place = nullptr;
    dlclose(unloaded);
    memset(way_holders, 0, sizeof way_holders);
}

int main(int argc, char **argv)
{
    static char output[4096]; /* no block of stdio's */
    setvbuf(stdout, output, _IOFBF, sizeof output);
    if (argc != 3)
        return 2;
    hold(argv);
    at_the_point("held");
    drop();
    at_the_point("dropped");
    fprintf(stderr, "\nmoment over\n"); /* valgrind looks once more at the end */
    _exit(0); /* the holders' destructors have nothing to destroy */
}
