/* SPDX-License-Identifier: MIT
 *
 * moonheap.h - optional hints for a program that is looked at with Moonheap, in C or C++.
 *
 * Nothing needs to be linked: each function finds out whether libmoonheap.so is in the process and
 * does nothing when it is not.
 */
#ifndef MOONHEAP_H
#define MOONHEAP_H

#ifdef __cplusplus
extern "C" {
#endif

/* The library's own functions, which are there or not; use the ones below. */
extern int moonheap_library_active(void) __asm__("moonheap_active") __attribute__((weak));
extern int moonheap_library_run(const char *script) __asm__("moonheap_run") __attribute__((weak));

/* 1 when Moonheap is in this process, else 0. */
static inline int moonheap_active(void)
{
    return moonheap_library_active ? moonheap_library_active() : 0;
}

/* A checkpoint: runs the script (a path, or the bare name of one that Moonheap brings) now, waits,
 * and returns its verdict: 0 when it passed, 1 when it failed or could not be run. Its output goes
 * where that of a signal goes. 0 without Moonheap. */
static inline int moonheap_run(const char *script)
{
    return moonheap_library_run ? moonheap_library_run(script) : 0;
}

#ifdef __cplusplus
}
#endif

#endif
