/* SPDX-License-Identifier: MIT
 *
 * attr.h - the words the code is written in: fixed-width integers and what we tell the compiler.
 *
 * Context: any.
 */
#ifndef MOONHEAP_BASE_ATTR_H
#define MOONHEAP_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#define ALWAYS_INLINE        inline __attribute__((always_inline))
#define NOINLINE             __attribute__((noinline))
#define COLD                 __attribute__((cold, noinline))
#define EXPORT               __attribute__((visibility("default")))
#define HIDDEN               __attribute__((visibility("hidden"))) /* reached without a table */
#define PRINTF_LIKE(f, a)    __attribute__((format(printf, f, a)))
#define LIKELY(x)            __builtin_expect(!!(x), 1)
#define UNLIKELY(x)          __builtin_expect(!!(x), 0)
#define COUNT_OF(array)      (sizeof(array) / sizeof((array)[0]))
#define CACHE_LINE           64
#define ROUND_DOWN(n, align) ((n) & ~((__typeof__(n))(align)-1))
#define ROUND_UP(n, align)   ROUND_DOWN((n) + (__typeof__(n))(align)-1, align)
#define PAGE_BYTES           4096UL

/* Relaxed access to a word that another thread may read or write at the same moment. */
#define PEEK(p)       __atomic_load_n((p), __ATOMIC_RELAXED)
#define POKE(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ACQUIRE(p)    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* Adds to a counter that this thread alone writes and others may read: one instruction, which
 * compilers do not make of POKE(p, PEEK(p) + n). */
#define BUMP(p, n)    __asm__("addq %1, %0" : "+m"(*(p)) : "er"((i64)(n)) : "cc")

#endif
