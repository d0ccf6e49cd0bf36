/* SPDX-License-Identifier: MIT
 *
 * interrupted.c - may a thread be created at the point where a signal interrupted the program?
 *
 * Context: hot.
 * Invariant: the answer is no while any frame of the interrupted stack lies in the loader, or in a
 * function of libc that holds what pthread_create takes (the list of stacks, the loader's lists,
 * the lock of thread-local storage) or that must not see a new thread appear (fork, setuid).
 * Why a table: glibc documents no such function, so these were found by reading its sources for
 * users of stack_cache_lock, dl_load_lock and dl_load_tls_lock. Functions that are only a jump
 * into a nameless one (pthread_join is) are followed there. glibc blocks signals itself within
 * pthread_create and at a thread's end; the table does not rely on that.
 */
#include <errno.h>
#include <link.h>
#include <string.h>

#include "agent.h"

/* X(function, may it wait for long? then a thread that sleeps in it holds nothing) */
#define INTERRUPTED_TABLE(X)                                                                       \
    X(pthread_create, false) X(pthread_join, true) X(pthread_timedjoin_np, true)                   \
    X(pthread_clockjoin_np, true) X(pthread_tryjoin_np, false) X(pthread_detach, false)            \
    X(pthread_exit, false) X(pthread_cancel, false) X(pthread_getattr_np, false)                   \
    X(pthread_attr_init, false) X(pthread_attr_destroy, false) X(pthread_attr_setstack, false)     \
    X(pthread_getattr_default_np, false) X(pthread_setattr_default_np, false)                      \
    X(thrd_create, false) X(thrd_join, true) X(thrd_detach, false) X(thrd_exit, false)             \
    X(fork, false) X(_Fork, false) X(vfork, false) X(posix_spawn, false) X(posix_spawnp, false)    \
    X(dlopen, false) X(dlmopen, false) X(dlclose, false) X(dlsym, false) X(dlvsym, false)          \
    X(dladdr, false) X(dladdr1, false) X(dlinfo, false) X(dl_iterate_phdr, false)                  \
    X(setuid, false) X(setgid, false) X(seteuid, false) X(setegid, false) X(setreuid, false)       \
    X(setregid, false) X(setresuid, false) X(setresgid, false) X(setgroups, false)                 \
    X(initgroups, false) X(exit, false) X(quick_exit, false) X(abort, false)

enum {
    FRAMES_MAX = 128,
    FUNCTIONS_MAX = 96,
    PARTIAL_WALK_TRIES = 20, /* then a walk that did not reach the outermost frame must do */
};

static struct {
    u64 start;
    bool waits;
} functions[FUNCTIONS_MAX];
static u32 function_count;
static u64 loader_lo, loader_hi; /* its code */

static void add(u64 start, bool waits)
{
    if (start && function_count < FUNCTIONS_MAX) {
        functions[function_count].start = start;
        functions[function_count++].waits = waits;
    }
}

/* Adds the functions that this one jumps to, if it is a short one: a call in tail position leaves
 * no frame of its own behind. */
static void add_jumps(u64 start, bool waits)
{
    enum { SHORT = 48 };
    u64 end;
    if (track_function_start(start, &end) != start)
        return;
    if (end > start + SHORT)
        end = start + SHORT;
    for (const u8 *code = (const u8 *)start; (u64)code < end; code++) {
        i32 far;
        memcpy(&far, code + 1, sizeof far);
        u64 target = *code == 0xe9   ? (u64)code + 5 + (u64)(i64)far
                     : *code == 0xeb ? (u64)code + 2 + (u64)(i64)(signed char)code[1]
                                     : 0;
        if (target && target != start && track_function_start(target, NULL) == target)
            add(target, waits);
    }
}

static int find_loader(struct dl_phdr_info *object, size_t size, void *base)
{
    (void)size;
    if (object->dlpi_addr != *(const ElfW(Addr) *)base)
        return 0;
    for (u32 i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            loader_lo = object->dlpi_addr + p->p_vaddr;
            loader_hi = loader_lo + p->p_memsz;
        }
    }
    return 1;
}

void agent_interrupted_prepare(void)
{
    ElfW(Addr) base = _r_debug.r_ldbase;
    dl_iterate_phdr(find_loader, &base);
}

/* Once, at the first signal and not at every start of a program: it looks up forty names and reads
 * unwind tables. The agent's state lets only one thread at a time come here. */
static void find_functions(void)
{
    static const struct {
        const char *name;
        bool waits;
    } table[] = {
#define X(name, waits) {#name, waits},
        INTERRUPTED_TABLE(X)
#undef X
    };
    static bool done;
    if (done)
        return;
    function_count = 0; /* a fork may have come in the middle */
    for (u32 i = 0; i < COUNT_OF(table); i++)
        add((u64)exported_find(&agent.libc, table[i].name), table[i].waits);
    u32 named = function_count;
    for (u32 i = 0; i < named; i++)
        add_jumps(functions[i].start, functions[i].waits);
    done = true;
}

/* Does the context stand in a system call that waits on a futex? The kernel has either set it back
 * to the instruction, to be done again, or failed the call with EINTR. */
static bool sleeps_on_futex(const ucontext_t *context)
{
    static const u8 syscall_instruction[2] = {0x0f, 0x05};
    u64 pc = (u64)context->uc_mcontext.gregs[REG_RIP];
    i64 rax = context->uc_mcontext.gregs[REG_RAX];
    u8 around[4] = {0};
    if (sys_read_memory(pc - 2, around, sizeof around) != sizeof around)
        return false;
    if (rax == SYS_futex && memcmp(around + 2, syscall_instruction, 2) == 0)
        return true;
    return rax == -EINTR && memcmp(around, syscall_instruction, 2) == 0;
}

static bool is_forbidden(u64 pc, bool sleeps)
{
    if (pc >= loader_lo && pc < loader_hi)
        return true;
    u64 start = track_function_start(pc, NULL);
    for (u32 i = 0; start && i < function_count; i++)
        if (functions[i].start == start)
            return !(functions[i].waits && sleeps);
    return false;
}

bool agent_interrupted_safely(const ucontext_t *context, u32 tries)
{
    u64 pcs[FRAMES_MAX];
    bool whole = false;
    find_functions();
    u32 count = track_walk(context, pcs, FRAMES_MAX, &whole);
    bool sleeps = sleeps_on_futex(context);
    for (u32 i = 0; i < count; i++)
        if (is_forbidden(i ? pcs[i] - 1 : pcs[i], sleeps)) /* return addresses: the call is before */
            return false;
    return whole || tries >= PARTIAL_WALK_TRIES;
}
