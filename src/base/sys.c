/* SPDX-License-Identifier: MIT
 *
 * sys.c - the kernel in one place: raw system calls that touch neither errno nor libc.
 *
 * Context: hot, frozen and any other.
 * Invariant: nothing here reads or writes thread-local storage, takes a lock or allocates, so each
 * call is good in a signal handler, on a stack of a few kilobytes and in a cloned child.
 * Why EINTR is retried here: every caller would have to, and none has a use for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#include "own.h"
#include "sys.h"
#include "vdso.h"

enum { NS_PER_SECOND = 1000000000 };

long sys_clone(u64 flags, void *stack_end, int *tid, void (*act)(void *), void *argument)
{
    register void *kept_argument __asm__("r12") = argument;
    register void (*kept_act)(void *) __asm__("r13") = act;
    register int *r10 __asm__("r10") = tid;
    register u64 r8 __asm__("r8") = 0;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[argument], %%rdi\n\t"
                     "call *%[act]\n\t"
                     "mov %[exit], %%eax\n\t"
                     "xor %%edi, %%edi\n\t"
                     "syscall\n\t"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone), "D"(flags), "S"(stack_end), "d"(tid), "r"(r10),
                       "r"(r8), [argument] "r"(kept_argument), [act] "r"(kept_act),
                       [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

int sys_open(const char *path, int flags, int mode)
{
    long fd;
    do
        fd = sys_call6(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
    while (fd == -EINTR);
    return (int)fd;
}

void sys_close(int fd)
{
    sys_call(SYS_close, fd, 0, 0);
}

long sys_read(int fd, void *buffer, size_t bytes)
{
    long got;
    do
        got = sys_call(SYS_read, fd, buffer, bytes);
    while (got == -EINTR);
    return got;
}

long sys_pread(int fd, void *buffer, size_t bytes, u64 offset)
{
    long got;
    do
        got = sys_call6(SYS_pread64, fd, (long)buffer, (long)bytes, (long)offset, 0, 0);
    while (got == -EINTR);
    return got;
}

bool sys_write_all(int fd, const void *data, size_t bytes, int timeout_ms)
{
    const char *at = data;
    while (bytes) {
        long wrote = sys_call(SYS_write, fd, at, bytes);
        if (wrote > 0) {
            at += wrote;
            bytes -= (size_t)wrote;
        } else if (wrote == -EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            long polled = sys_call(SYS_poll, &ready, 1, timeout_ms);
            if (polled == 0 || (sys_failed(polled) && polled != -EINTR))
                return false;
        } else if (wrote != -EINTR) {
            return false;
        }
    }
    return true;
}

static void *map(size_t bytes, int protection, int flags)
{
    long at = sys_call6(SYS_mmap, 0, (long)bytes, protection, MAP_ANONYMOUS | MAP_NORESERVE | flags,
                        -1, 0);
    if (sys_failed(at))
        return NULL;
    own_add((u64)at, bytes);
    return (void *)at;
}

void *sys_map(size_t bytes)
{
    return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

void sys_small_pages(void *at, size_t bytes)
{
    u64 from = ROUND_UP((u64)at, PAGE_BYTES), to = ROUND_DOWN((u64)at + bytes, PAGE_BYTES);
    if (to > from)
        sys_call(SYS_madvise, from, to - from, MADV_NOHUGEPAGE);
}

void *sys_map_sparse(size_t bytes)
{
    void *at = sys_map(bytes);
    if (at)
        sys_small_pages(at, bytes);
    return at;
}

void *sys_map_shared(size_t bytes)
{
    return map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
}

void *sys_reserve(size_t bytes)
{
    return map(bytes, PROT_NONE, MAP_PRIVATE);
}

bool sys_commit(void *at, size_t bytes)
{
    return !sys_failed(sys_call(SYS_mprotect, at, bytes, PROT_READ | PROT_WRITE));
}

void sys_discard(void *at, size_t bytes)
{
    sys_call(SYS_madvise, at, bytes, MADV_DONTNEED);
}

void sys_unmap(void *at, size_t bytes)
{
    own_remove((u64)at, bytes); /* first: the address may soon be another's */
    sys_call(SYS_munmap, at, bytes, 0);
}

int sys_getpid(void)
{
    return (int)sys_call(SYS_getpid, 0, 0, 0);
}

int sys_gettid(void)
{
    return (int)sys_call(SYS_gettid, 0, 0, 0);
}

bool sys_thread_alive(int pid, int tid)
{
    return sys_call(SYS_tgkill, pid, tid, 0) == 0;
}

static u64 clock_ns(int clock)
{
    struct timespec now = {0};
    sys_call(SYS_clock_gettime, clock, &now, 0);
    return (u64)now.tv_sec * NS_PER_SECOND + (u64)now.tv_nsec;
}

u64 sys_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int (*vdso_clock)(int clock, struct timespec *now);

void sys_use_vdso(void)
{
    int (*f)(int, struct timespec *);
    void *found = vdso_find("__vdso_clock_gettime");
    memcpy(&f, &found, sizeof f);
    RELEASE(&vdso_clock, f);
}

u64 sys_coarse_ns(void)
{
    struct timespec now;
    int (*f)(int, struct timespec *) = ACQUIRE(&vdso_clock);
    if (!f || f(CLOCK_MONOTONIC_COARSE, &now) != 0)
        return clock_ns(CLOCK_MONOTONIC_COARSE);
    return (u64)now.tv_sec * NS_PER_SECOND + (u64)now.tv_nsec;
}

u64 sys_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

void sys_futex_wait(u32 *word, u32 expected, u64 timeout_ns)
{
    struct timespec limit = {.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
                             .tv_nsec = (long)(timeout_ns % NS_PER_SECOND)};
    sys_call6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)expected,
              timeout_ns ? (long)&limit : 0, 0, 0);
}

void sys_futex_wake(u32 *word, int count)
{
    sys_call(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
}

size_t sys_read_memory(u64 address, void *out, size_t bytes)
{
    int self = sys_gettid(); /* the main thread may have ended, and has no memory then */
    size_t done = 0;
    while (done < bytes) {
        struct iovec local = {.iov_base = (char *)out + done, .iov_len = bytes - done};
        struct iovec remote = {.iov_base = (void *)(address + done), .iov_len = bytes - done};
        long got = sys_call6(SYS_process_vm_readv, self, (long)&local, 1, (long)&remote, 1, 0);
        if (sys_failed(got) || got == 0)
            break;
        done += (size_t)got;
    }
    return done;
}

bool sys_read_memory_pair(u64 first, void *out, size_t bytes, u64 second, void *second_out,
                          size_t second_bytes)
{
    struct iovec local[] = {{out, bytes}, {second_out, second_bytes}};
    struct iovec remote[] = {{(void *)first, bytes}, {(void *)second, second_bytes}};
    long got = sys_call6(SYS_process_vm_readv, sys_gettid(), (long)local, 2, (long)remote, 2, 0);
    return got == (long)(bytes + second_bytes);
}
