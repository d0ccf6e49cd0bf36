/* SPDX-License-Identifier: MIT
 *
 * thread_locals.c - where thread-local storage lies in every thread, asked of the loader.
 *
 * Context: agent. The loader's lock is taken: not where a thread that may hold it stands.
 * Invariant: only blocks in front of the thread pointer are told of, at the same distance in each
 * thread. What a module that came later has is an allocated block like any other.
 */
#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "agent.h"

/* The loader tells it to the C library and to sanitizers; where it does not, thread-local roots are
 * called stack. */
static u64 static_bytes(void)
{
    void (*ask)(size_t *bytes, size_t *align) = NULL;
    size_t bytes = 0, align = 0;
    void *found = dlsym(RTLD_DEFAULT, "_dl_get_tls_static_info");
    memcpy(&ask, &found, sizeof ask);
    if (ask)
        ask(&bytes, &align);
    return bytes;
}

static void insert(struct agent_thread_locals *l, struct freeze_thread_locals m)
{
    if (l->count == AGENT_THREAD_LOCALS)
        return;
    u32 at = l->count++;
    for (; at > 0 && l->modules[at - 1].below < m.below; at--)
        l->modules[at] = l->modules[at - 1];
    l->modules[at] = m;
}

static int see_module(struct dl_phdr_info *module, size_t size, void *context)
{
    struct agent_thread_locals *l = context;
    u64 pointer = (u64)__builtin_thread_pointer(), begin = 0, bytes = 0;
    if (size >= offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof module->dlpi_tls_data)
        begin = (u64)module->dlpi_tls_data;
    for (u32 i = 0; i < module->dlpi_phnum; i++)
        if (module->dlpi_phdr[i].p_type == PT_TLS)
            bytes = module->dlpi_phdr[i].p_memsz;
    if (begin && bytes && begin < pointer && pointer - begin <= l->static_bytes)
        insert(l, (struct freeze_thread_locals){.inside = (u64)module->dlpi_phdr,
                                                .below = pointer - begin,
                                                .bytes = bytes});
    return 0;
}

void agent_thread_locals(struct agent_thread_locals *l)
{
    l->static_bytes = static_bytes();
    l->count = 0;
    dl_iterate_phdr(see_module, l);
}
