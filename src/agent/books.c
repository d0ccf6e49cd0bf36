/* SPDX-License-Identifier: MIT
 *
 * books.c - what Moonheap itself holds, and what the program's allocator holds from the kernel.
 *
 * Context: agent.
 * Invariant: Lua and everything else that the agent allocates is in its private heap, so overhead
 * is that heap, open snapshots, what their contents cost and the recorder's own memory, each
 * counted once.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

#include "agent.h"

static u64 snapshot_bytes; /* of those that are open */
static void (*release_snapshot)(struct snapshot *s);
static int (*jemalloc_control)(const char *, void *, size_t *, void *, size_t);

void agent_books_prepare(void)
{
    if (!track_allocator()[0])
        return;
    void *found = dlsym(RTLD_DEFAULT, "mallctl");
    memcpy(&jemalloc_control, &found, sizeof found);
}

static void release_counted(struct snapshot *s)
{
    snapshot_bytes -= snapshot_memory(s);
    release_snapshot(s);
}

void agent_books_adopt(struct snapshot *s)
{
    snapshot_bytes += snapshot_memory(s);
    release_snapshot = s->release;
    s->release = release_counted;
}

u64 agent_books_overhead(void)
{
    u64 held_bytes;
    agent_held_look(&held_bytes);
    return heap_mapped_bytes(agent.heap) + snapshot_bytes + held_bytes;
}

static u64 jemalloc_bytes(void)
{
    u64 epoch = 1;
    size_t mapped = 0, size = sizeof mapped;
    jemalloc_control("epoch", NULL, NULL, &epoch, sizeof epoch); /* else figures are stale */
    return jemalloc_control("stats.mapped", &mapped, &size, NULL, 0) == 0 ? mapped : 0;
}

u64 agent_books_allocator(void)
{
    if (track_allocator()[0])
        return jemalloc_control ? jemalloc_bytes() : 0;
    struct mallinfo2 (*glibc_figures)(void);
    void *found = exported_find(&agent.libc, "mallinfo2");
    if (!found) /* before 2.33 */
        return 0;
    memcpy(&glibc_figures, &found, sizeof found);
    struct mallinfo2 figures = glibc_figures();
    return figures.arena + figures.hblkhd;
}

/* Second field of statm, in pages; proc(5). */
u64 agent_books_rss(void)
{
    char text[128];
    int fd = sys_open("/proc/thread-self/statm", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long got = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[got > 0 ? got : 0] = '\0';
    char *resident = strchr(text, ' ');
    u64 pages = 0;
    if (resident) {
        resident[1 + strcspn(resident + 1, " ")] = '\0';
        text_parse_u64(resident + 1, &pages);
    }
    return pages * PAGE_BYTES;
}
