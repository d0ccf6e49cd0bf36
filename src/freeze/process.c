/* SPDX-License-Identifier: MIT
 *
 * process.c - what /proc/self says of the process.
 *
 * Context: frozen. Formats: proc(5).
 */
#include <fcntl.h>
#include <string.h>

#include "job.h"

bool freeze_process_text(const char *path, char *out, size_t size)
{
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    long got = fd < 0 ? 0 : sys_read(fd, out, size - 1);
    out[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        sys_close(fd);
    return got > 0;
}

/* The number in the nth field (from 0), fields being parted by one space. */
static u64 field(const char *text, u32 n)
{
    while (n > 0 && *text)
        n -= *text++ == ' ';
    u64 value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (u64)(*text - '0');
    return value;
}

void freeze_process_read(struct freeze_process *p)
{
    char text[1024];
    p->pid = (u64)sys_getpid();
    freeze_process_text("/proc/thread-self/statm", text, sizeof text);
    p->rss_bytes = field(text, 1) * PAGE_BYTES;

    /* The second field is the name in brackets, and may itself hold spaces and brackets. */
    freeze_process_text("/proc/self/stat", text, sizeof text);
    const char *name_end = text;
    for (const char *at = text; *at; at++)
        if (*at == ')')
            name_end = at;
    p->start = field(name_end, 22 - 2);

    long length = sys_call(SYS_readlink, "/proc/thread-self/exe", p->exe, sizeof p->exe - 1);
    p->exe[length > 0 ? length : 0] = '\0';
}
