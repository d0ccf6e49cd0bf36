/* SPDX-License-Identifier: MIT
 *
 * vdso.h - functions that the kernel has put into the process, see vdso(7).
 *
 * Context: hot.
 */
#ifndef MOONHEAP_BASE_VDSO_H
#define MOONHEAP_BASE_VDSO_H

#include "attr.h"

/* Address of that function; NULL when there is none (under valgrind, or as the kernel was told). */
void *vdso_find(const char *name);

#endif
