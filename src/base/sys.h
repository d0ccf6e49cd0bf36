/* SPDX-License-Identifier: MIT
 *
 * sys.h - the kernel in one place: raw system calls that touch neither errno nor libc.
 *
 * Context: hot, frozen and any other.
 * Why not libc's wrappers: they set errno, may be cancellation points, and can be interposed by
 * the very program we sit in. A result in [-4095, -1] is a negated errno.
 */
#ifndef MOONHEAP_BASE_SYS_H
#define MOONHEAP_BASE_SYS_H

#include <sys/syscall.h>

#include "attr.h"

#ifndef __x86_64__
#error "Moonheap runs on x86-64 Linux only so far; see CONTRIBUTING.md for what a port needs"
#endif

static ALWAYS_INLINE long sys_call6(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define sys_call(n, a, b, c) sys_call6((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys_failed(r)        ((unsigned long)(r) >= -4095UL)

/* clone(2) as the kernel has it, since libc's wrapper is for threads of libc only: calls
 * act(argument) on a stack that ends at `stack_end` (a multiple of 16) and ends that process or thread
 * when it returns. `tid` is where CLONE_PARENT_SETTID puts the number and CLONE_CHILD_CLEARTID
 * clears it. Returns that number, or a negated errno. */
long sys_clone(u64 flags, void *stack_end, int *tid, void (*act)(void *), void *argument);

int sys_open(const char *path, int flags, int mode);
void sys_close(int fd);
long sys_read(int fd, void *buffer, size_t bytes);
long sys_pread(int fd, void *buffer, size_t bytes, u64 offset);
/* Writes all of it, waiting where the descriptor does not block, at most `timeout_ms` a wait. */
bool sys_write_all(int fd, const void *data, size_t bytes, int timeout_ms);

/* Private anonymous memory that counts against nothing until touched; NULL when refused. */
void *sys_map(size_t bytes);
/* The same for a table of which little is touched, here and there. Many distributions give huge pages
 * to whoever has the addresses for one: then each touch would take 2 MiB. */
void *sys_map_sparse(size_t bytes);
/* The same of memory that is there already: the pages that lie in it whole. */
void sys_small_pages(void *at, size_t bytes);
/* As sys_map, shared with children that are cloned later. */
void *sys_map_shared(size_t bytes);
/* Address space only, no access. */
void *sys_reserve(size_t bytes);
bool sys_commit(void *at, size_t bytes);
/* Gives the pages back to the kernel; they read as zero afterwards. */
void sys_discard(void *at, size_t bytes);
void sys_unmap(void *at, size_t bytes);

int sys_getpid(void);
int sys_gettid(void);
/* Is that thread of this process still there? */
bool sys_thread_alive(int pid, int tid);

u64 sys_monotonic_ns(void);
/* Cheaper and coarser (a few milliseconds); with sys_use_vdso some ns instead of a system call. */
u64 sys_coarse_ns(void);
void sys_use_vdso(void);
u64 sys_realtime_ns(void);

/* Sleeps until *word != expected, a wake, or timeout_ns (0 = no limit). */
void sys_futex_wait(u32 *word, u32 expected, u64 timeout_ns);
void sys_futex_wake(u32 *word, int count);

/* Copies memory of this process that may not be there. Returns the bytes copied, which may be
 * fewer than asked, or 0; never faults. */
size_t sys_read_memory(u64 address, void *out, size_t bytes);
/* The same of two pieces at once: are both there, whole? */
bool sys_read_memory_pair(u64 first, void *out, size_t bytes, u64 second, void *second_out,
                          size_t second_bytes);

#endif
