/* SPDX-License-Identifier: MIT
 *
 * asleep.h - waits until the other threads of a victim wait in the kernel, however busy the machine.
 *
 * Context: test victim.
 * Why without libc's directories: what a victim allocates is what a test looks at.
 */
#ifndef TESTS_VICTIMS_ASLEEP_H
#define TESTS_VICTIMS_ASLEEP_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does that thread sleep, or is it gone? proc(5), /proc/PID/stat. */
static inline int is_asleep(const char *tid)
{
    char path[60], text[200];
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 1;
    long got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *behind_name = strrchr(text, ')');
    return got <= 0 || (behind_name && strchr("SZX", behind_name[2]));
}

static inline int all_asleep_but(int busy_tid)
{
    struct entry { /* linux_dirent64, getdents(2) */
        uint64_t inode, offset;
        unsigned short bytes;
        unsigned char type;
        char name[];
    };
    char names[4096] __attribute__((aligned(8)));
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), asleep = fd >= 0;
    long got;
    while (asleep && (got = syscall(SYS_getdents64, fd, names, sizeof names)) > 0)
        for (long at = 0; asleep && at < got;) {
            const struct entry *e = (const struct entry *)(const void *)(names + at);
            long tid = atol(e->name);
            at += e->bytes;
            asleep = tid <= 0 || tid == busy_tid || tid == syscall(SYS_gettid) || is_asleep(e->name);
        }
    if (fd >= 0)
        close(fd);
    return asleep;
}

/* All threads but this one and `busy_tid` (0: no other). One that only waits for a lock, valgrind's
 * for one, is awake again soon: so they are looked at several times. */
static inline void wait_until_asleep(int busy_tid)
{
    for (int times = 0; times < 5; times++) {
        usleep(2000);
        if (!all_asleep_but(busy_tid))
            times = -1;
    }
}

#endif
