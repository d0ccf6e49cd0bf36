/* SPDX-License-Identifier: MIT
 *
 * memory.c - how much memory an image may take, and what else /proc says of memory.
 *
 * Context: frozen.
 * Invariant: what cannot be read sets no limit; the smallest of those that can be is the limit.
 * Why beforehand: a snapshot's pages are shared, so they stay when the clone is killed for want of
 * memory, and the program would be next.
 * Formats: proc(5) for meminfo, smaps_rollup, status and cgroup; kernel: Documentation/admin-guide/cgroup-v2.rst.
 */
#include <string.h>

#include "job.h"

static bool number_at(const char *text, u64 *n)
{
    while (*text == ' ' || *text == '\t')
        text++;
    *n = 0;
    bool any = false;
    for (; *text >= '0' && *text <= '9'; text++, any = true)
        *n = *n * 10 + (u64)(*text - '0');
    return any; /* "max" is none */
}

static const char *behind(const char *text, const char *key)
{
    for (size_t n = strlen(key); *text; text++)
        if (strncmp(text, key, n) == 0)
            return text + n;
    return NULL;
}

static bool number_in(const char *folder, const char *file, u64 *n)
{
    char path[600], text[64];
    text_format(path, sizeof path, "/sys/fs/cgroup%s/%s", folder, file);
    return freeze_process_text(path, text, sizeof text) && number_at(text, n);
}

/* The group itself and all those above it have a limit of their own. */
static u64 group_room(void)
{
    char text[500];
    u64 least = UINT64_MAX, most, used;
    if (!freeze_process_text("/proc/thread-self/cgroup", text, sizeof text))
        return least;
    const char *unified = strncmp(text, "0::", 3) == 0 ? text + 3 : behind(text, "\n0::");
    if (!unified)
        return least;
    char folder[500];
    text_format(folder, sizeof folder, "%s", unified);
    for (char *at = folder; *at; at++)
        if (*at == '\n')
            *at = '\0';
    for (size_t length = strlen(folder);; folder[length] = '\0') {
        if (number_in(folder, "memory.max", &most) && number_in(folder, "memory.current", &used)) {
            u64 room = used < most ? most - used : 0;
            least = room < least ? room : least;
        }
        while (length > 0 && folder[length] != '/')
            length--;
        if (length == 0)
            return least;
    }
}

static bool figure(const char *path, const char *key, u64 *bytes)
{
    char text[4096];
    const char *found = freeze_process_text(path, text, sizeof text) ? behind(text, key) : NULL;
    bool there = found && number_at(found, bytes);
    *bytes = there ? *bytes * 1024 : 0;
    return there;
}

u64 memory_figure(const char *key)
{
    u64 bytes;
    return figure("/proc/meminfo", key, &bytes) ? bytes : UINT64_MAX;
}

u64 memory_private(void)
{
    u64 clean, dirty, tables;
    figure("/proc/thread-self/smaps_rollup", "Private_Clean:", &clean);
    figure("/proc/thread-self/smaps_rollup", "Private_Dirty:", &dirty);
    figure("/proc/thread-self/status", "VmPTE:", &tables);
    return clean + dirty + tables;
}

u64 memory_room(void)
{
    u64 group = group_room(), machine = memory_figure("MemAvailable:");
    return (group < machine ? group : machine) / 2;
}
