/* SPDX-License-Identifier: MIT
 *
 * moonheap.h - optional hints for a program that is looked at with Moonheap, in C or C++.
 *
 * Nothing needs to be linked: each function finds out whether libmoonheap.so is in the process and
 * does nothing when it is not. It asks the loader, since a weak reference to the library's function
 * would be settled to "not there" when a program is linked to a fixed address; and it asks once in
 * each source file, at the first call. In a statically linked program, and before glibc 2.34
 * without -ldl, the library is taken to be absent.
 */
#ifndef MOONHEAP_H
#define MOONHEAP_H

#include <dlfcn.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma weak dlsym

static inline void *moonheap_find(const char *name)
{
    void *(*find)(void *, const char *) = dlsym;
    return find ? find((void *)0 /* RTLD_DEFAULT */, name) : (void *)0;
}

/* The same, remembered: *known is 0 before the first call, and its own address when there is no
 * such function. Threads that ask at the same time find the same. */
static inline void *moonheap_find_once(void **known, const char *name)
{
    void *found = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (!found) {
        found = moonheap_find(name);
        if (!found)
            found = (void *)known;
        __atomic_store_n(known, found, __ATOMIC_RELAXED);
    }
    return found == (void *)known ? (void *)0 : found;
}

/* Calls a function of the library's, when it is there. */
#define MOONHEAP_CALL(name, parameters, arguments)                                                 \
    typedef void(*moonheap_function) parameters;                                                   \
    static void *moonheap_known;                                                                   \
    moonheap_function moonheap_found =                                                             \
        __extension__(moonheap_function) moonheap_find_once(&moonheap_known, name);                \
    if (moonheap_found)                                                                            \
    moonheap_found arguments

/* 1 when Moonheap is in this process, else 0. */
static inline int moonheap_active(void)
{
    return moonheap_find("moonheap_active") != (void *)0;
}

/* A checkpoint: runs the script (a path, or the bare name of one that Moonheap brings) now, waits,
 * and returns its verdict: 0 when it passed, 1 when it failed or could not be run. Its output goes
 * where that of a signal goes. 0 without Moonheap. */
static inline int moonheap_run(const char *script)
{
    typedef int (*moonheap_run_function)(const char *);
    moonheap_run_function run =
        __extension__(moonheap_run_function) moonheap_find("moonheap_run");
    return run ? run(script) : 0;
}

/* --- allocators of the program's own, and pools --------------------------------------------- */

/* Your allocator hands out `size` bytes at `ptr`: a block, with the call stack from here. Its
 * memory may come from malloc, mmap or anywhere; what is inside of a block of malloc's is a block
 * inside a block. */
static inline void moonheap_alloc(void *ptr, size_t size)
{
    MOONHEAP_CALL("moonheap_alloc", (void *, size_t), (ptr, size));
}

/* It takes the block back. A pool that goes as a whole need not say so for each of its blocks when
 * its memory is given back with free: they go with it. */
static inline void moonheap_free(void *ptr)
{
    MOONHEAP_CALL("moonheap_free", (void *), (ptr));
}

/* The block is at another address now, or has another size. Where and when it was born, its tag and
 * that it is ignored stay. Call it after a realloc of a pool for each block that moved. */
static inline void moonheap_move(void *from, void *to, size_t size)
{
    MOONHEAP_CALL("moonheap_move", (void *, void *, size_t), (from, to, size));
}

/* --- what is held -------------------------------------------------------------------------- */

/* What these bytes point to is in use: memory that Moonheap would not look into by itself, or that
 * is to be known by a name. 0 bytes: it is no root any more. */
static inline void moonheap_root(void *ptr, size_t bytes, const char *name)
{
    MOONHEAP_CALL("moonheap_root", (void *, size_t, const char *), (ptr, bytes, name));
}

/* The block that begins at `ptr` is meant to stay: neither it nor what it holds is called
 * unreachable. Until it is freed (a realloc frees it). */
static inline void moonheap_ignore(void *ptr)
{
    MOONHEAP_CALL("moonheap_ignore", (void *), (ptr));
}

/* --- names --------------------------------------------------------------------------------- */

/* The block that begins at `ptr` is a `name`: its tag, and its type. NULL takes the tag away. A
 * realloc makes a new block, without. */
static inline void moonheap_tag(void *ptr, const char *name)
{
    MOONHEAP_CALL("moonheap_tag", (void *, const char *), (ptr, name));
}

/* What this thread allocates from here on gets the tag, until the pop. They nest. */
static inline void moonheap_tag_push(const char *name)
{
    MOONHEAP_CALL("moonheap_tag_push", (const char *), (name));
}

/* Ends the last push of that name, and those since; of any name when it is NULL. */
static inline void moonheap_tag_pop(const char *name)
{
    MOONHEAP_CALL("moonheap_tag_pop", (const char *), (name));
}

#undef MOONHEAP_CALL

#ifdef __cplusplus
}
#endif

#endif
