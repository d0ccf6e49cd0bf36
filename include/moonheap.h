/* SPDX-License-Identifier: MIT
 *
 * moonheap.h - optional hints for a program that is looked at with Moonheap, in C or C++.
 *
 * Nothing needs to be linked: each function finds out whether libmoonheap.so is in the process and
 * does nothing when it is not. It asks the loader, since a weak reference to the library's function
 * would be settled to "not there" when a program is linked to a fixed address. In a statically
 * linked program, and before glibc 2.34 without -ldl, the library is taken to be absent.
 */
#ifndef MOONHEAP_H
#define MOONHEAP_H

#include <dlfcn.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma weak dlsym

static inline void *moonheap_find(const char *name)
{
    void *(*find)(void *, const char *) = dlsym;
    return find ? find((void *)0 /* RTLD_DEFAULT */, name) : (void *)0;
}

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

#ifdef __cplusplus
}
#endif

#endif
