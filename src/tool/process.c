/* SPDX-License-Identifier: MIT
 *
 * process.c - what /proc says about another process: has it our library, which signal, whose.
 *
 * Context: tool.
 * Invariant: only /proc is read; the process is not stopped, signalled or traced by looking.
 * Why not ptrace or process_vm_readv: Yama forbids them between siblings on many systems, while
 * maps and status may be read by whoever may signal the process. Settings: see base/sign.h.
 * Source: proc(5).
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* All but SIGKILL, SIGSTOP and those of libc. */
#define CATCHABLE_SIGNALS (0x7fffffffULL & ~(1ULL << 8 | 1ULL << 18))

char *tool_read_file(const char *path, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t used = 0, room = 8192;
    char *text = malloc(room);
    ssize_t got = -1;
    while (text && (got = read(fd, text + used, room - used - 1)) > 0) {
        used += (size_t)got;
        if (room - used > 1)
            continue;
        char *larger = realloc(text, room *= 2);
        if (!larger)
            free(text);
        text = larger;
    }
    int failure = errno;
    close(fd);
    if (text && got < 0) {
        free(text);
        text = NULL;
    }
    errno = failure;
    if (text)
        text[used] = 0;
    if (text && bytes)
        *bytes = used;
    return text;
}

static char *read_proc(int pid, const char *name, size_t *bytes)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return tool_read_file(path, bytes);
}

/* The value of a "Name:\tvalue" line of /proc/PID/status; NULL when there is none. */
static const char *status_line(const char *status, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = status; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, length) && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

/* "NSpid:\t4711\t12": the pid in each namespace, the process's own last. */
static int last_number(const char *line)
{
    long number = 0;
    for (char *end; *line && *line != '\n'; line = end) {
        number = strtol(line, &end, 10);
        if (end == line)
            break;
    }
    return (int)number;
}

static u64 status_mask(const char *status, const char *name)
{
    const char *value = status_line(status, name);
    return value ? strtoull(value, NULL, 16) : 0;
}

/* Is the library mapped as code? */
static bool maps_have_library(const char *maps)
{
    for (const char *at = maps; (at = strstr(at, "/libmoonheap")) != NULL; at++)
        if (maps_names_library(at))
            return true;
    return false;
}

static int find_agent(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    int tid = 0;
    for (struct dirent *entry; tasks && !tid && (entry = readdir(tasks)) != NULL;) {
        char name[40];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(name, sizeof name, "task/%.20s/comm", entry->d_name);
        char *comm = read_proc(pid, name, NULL);
        if (comm && !strcmp(comm, "moonheap\n") && atoi(entry->d_name) != pid)
            tid = atoi(entry->d_name);
        free(comm);
    }
    if (tasks)
        closedir(tasks);
    return tid;
}

/* The frozen copy of a process that snapshots work on, and no process that answers: it has the name
 * of the thread that made it, and blocks what can be blocked. */
static bool is_image(const char *status, u64 blocked)
{
    static const char own_name[] = "moonheap\n";
    const char *name = status_line(status, "Name");
    return name && !strncmp(name, own_name, strlen(own_name)) &&
           (blocked & CATCHABLE_SIGNALS) == CATCHABLE_SIGNALS;
}

bool tool_process_read(struct tool_process *p, int pid, struct err *e)
{
    *p = (struct tool_process){.pid = pid};
    char *status = read_proc(pid, "status", NULL);
    if (!status)
        return err_set(e, STATUS_NOT_FOUND, "there is no process %d", pid);
    const char *group = status_line(status, "Tgid");
    const char *state = status_line(status, "State");
    bool thread = group && atoi(group) != pid;
    const char *pids = status_line(status, "NSpid");
    bool zombie = state && (*state == 'Z' || *state == 'X');
    p->stopped = state && (*state == 'T' || *state == 't');
    p->inner_pid = pids ? last_number(pids) : pid;
    p->caught = status_mask(status, "SigCgt");
    p->blocked = status_mask(status, "SigBlk");
    bool image = is_image(status, p->blocked);
    int owner = group ? atoi(group) : pid;
    free(status);
    if (thread)
        return err_set(e, STATUS_USAGE, "%d is a thread of process %d; give that pid", pid, owner);
    if (zombie)
        return err_set(e, STATUS_NOT_FOUND, "process %d has ended (nobody has collected it yet)",
                       pid);

    char *maps = read_proc(pid, "maps", NULL);
    if (!maps && (errno == ENOENT || errno == ESRCH))
        return err_set(e, STATUS_NOT_FOUND, "process %d ended just now", pid);
    if (!maps)
        return err_set(e, STATUS_DENIED,
                       "process %d may not be looked at (%s); run this as its user or as root", pid,
                       strerror(errno));
    if (sign_read(maps, &p->sign)) {
        p->has_library = true;
    } else {
        struct options defaults;
        options_read(&defaults, (char *[]){NULL}, NULL);
        p->sign = (struct sign){defaults.signal, defaults.track, defaults.script_timeout_ns, "?"};
        p->has_library = maps_have_library(maps);
    }
    free(maps);
    size_t command_bytes = 0;
    p->command = read_proc(pid, "cmdline", &command_bytes);
    for (size_t i = 0; p->command && i + 1 < command_bytes; i++)
        if (iscntrl((unsigned char)p->command[i])) /* the ends of arguments, and what they hold */
            p->command[i] = ' ';
    p->has_library &= !image;
    if (p->has_library)
        p->agent_tid = find_agent(pid);
    return p->command || err_set(e, STATUS_NOT_FOUND, "process %d ended just now", pid);
}

void tool_process_free(struct tool_process *p)
{
    free(p->command);
    *p = (struct tool_process){0};
}
