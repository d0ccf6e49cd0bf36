/* SPDX-License-Identifier: MIT
 *
 * vdso.c - see vdso.h.
 *
 * Context: hot.
 * Why not libc's clock_gettime: a program may be run with one of its own in front, which makes up
 * the time (libfaketime).
 */
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include "exported.h"
#include "vdso.h"

void *vdso_find(const char *name)
{
    u64 base = getauxval(AT_SYSINFO_EHDR), bias = base;
    const ElfW(Dyn) *dynamic = NULL;
    if (!base)
        return NULL;
    const ElfW(Ehdr) *header = (const void *)base;
    const ElfW(Phdr) *segment = (const void *)(base + header->e_phoff);
    for (u32 i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD)
            bias = base + segment[i].p_offset - segment[i].p_vaddr;
        else if (segment[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(base + segment[i].p_offset);
    }
    if (!dynamic)
        return NULL;
    struct exported e = exported_by(bias, dynamic, bias);
    return exported_find(&e, name);
}
