/* SPDX-License-Identifier: MIT
 *
 * tasks.c - the threads as the kernel lists them: who there is, and what each is at.
 *
 * Context: frozen; both ways of stopping use it, the tracer from its own process.
 * Invariant: only /proc is read, without libc.
 * Source: proc(5), /proc/PID/task, stat, status and syscall.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "stop.h"

/* Reads a file of a thread; NUL-terminated. Returns its bytes, or a negated errno. */
static long read_of(const struct stop *s, int tid, const char *name, char *out, size_t size)
{
    char path[60];
    text_format(path, sizeof path, "/proc/%d/task/%d/%s", s->pid, tid, name);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long got = sys_read(fd, out, size - 1);
    sys_close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got;
}

char tasks_state(const struct stop *s, int tid)
{
    char text[300];
    long got = read_of(s, tid, "stat", text, sizeof text);
    for (long i = got - 3; i >= 0; i--) /* behind the name, which is in brackets */
        if (text[i] == ')')
            return text[i + 2];
    return 0;
}

bool tasks_has_ended(char state)
{
    return state == 0 || state == 'Z' || state == 'X' || state == 'x';
}

bool tasks_blocks(const struct stop *s, int tid, int signal)
{
    char text[2048];
    read_of(s, tid, "status", text, sizeof text);
    const char *at = strstr(text, "\nSigBlk:\t");
    if (!at)
        return false;
    at += 9;
    return text_hex(&at) >> (signal - 1) & 1;
}

bool tasks_call(const struct stop *s, int tid, struct tasks_call *call)
{
    char text[300];
    const char *at = text;
    u64 number = 0, words[TASKS_CALL_WORDS];
    if (read_of(s, tid, "syscall", text, sizeof text) <= 0 || *at < '0' || *at > '9')
        return false; /* it runs, is in no call, or may not be looked at */
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (u64)(*at - '0');
    for (u32 i = 0; i < TASKS_CALL_WORDS; i++) {
        if (strncmp(at, " 0x", 3) != 0)
            return false;
        at += 3;
        words[i] = text_hex(&at);
    }
    call->number = (long)number;
    memcpy(call->args, words, sizeof call->args);
    call->sp = words[6];
    call->pc = words[7];
    return true;
}

void tasks_name(const struct stop *s, int tid, char *out, size_t size)
{
    read_of(s, tid, "comm", out, size);
    out[strcspn(out, "\n")] = '\0';
}

struct entry { /* linux_dirent64, getdents(2) */
    u64 inode, offset;
    u16 bytes;
    u8 type;
    char name[];
} __attribute__((packed));

static struct stop_thread *find(struct stop *s, int tid)
{
    for (u32 i = s->count; i-- > 0;)
        if (s->threads[i].tid == tid && s->threads[i].state != STOP_GONE)
            return &s->threads[i];
    return NULL;
}

struct stop_thread *tasks_add(struct stop *s, int tid)
{
    if (s->count == s->room)
        return NULL;
    struct stop_thread *t = &s->threads[s->count++];
    t->tid = tid;
    t->state = STOP_RUNNING;
    t->signal = 0;
    return t;
}

bool tasks_meet_new(struct stop *s, void (*meet)(struct stop *s, int tid))
{
    char path[40];
    text_format(path, sizeof path, "/proc/%d/task", s->pid);
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        s->error = fd;
        return false;
    }
    s->missed = 0;
    long got;
    while ((got = sys_call(SYS_getdents64, fd, s->names, sizeof s->names)) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *e = (const struct entry *)(s->names + at);
            at += e->bytes;
            u64 tid;
            if (text_parse_u64(e->name, &tid) && (int)tid != s->self && !find(s, (int)tid))
                meet(s, (int)tid);
        }
    }
    sys_close(fd);
    return true;
}

const char *tasks_why_silent(const struct stop *s, int tid)
{
    return tasks_state(s, tid) == 'D' ? "waits in the kernel uninterruptibly"
                                      : "did not answer in time";
}

void tasks_miss(struct stop *s, int tid, const char *why)
{
    if (s->missed < STOP_MISSED_LISTED)
        s->misses[s->missed] = (struct stop_missed){tid, why};
    s->missed++;
}
