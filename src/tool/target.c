/* SPDX-License-Identifier: MIT
 *
 * target.c - can the loader put our library into that program?
 *
 * Context: tool.
 * Invariant: a refusal is certain (the kernel or the loader would ignore LD_PRELOAD); whatever is
 * doubtful is let through, for the program must be run as without us.
 * Source: ld.so(8), "Secure-execution mode"; execve(2), "Interpreter scripts"; elf(5), PT_INTERP.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool.h"

enum { SCRIPT_DEPTH = 4 }; /* a script whose interpreter is a script: the kernel's limit is 4 */

/* As execvp looks: the first regular file of that name in PATH that may be executed. */
static bool look_up(const char *command, char *out, size_t size, struct err *e)
{
    if (strchr(command, '/')) {
        struct stat st;
        if (stat(command, &st))
            return err_set(e, STATUS_NOT_FOUND, "cannot run '%s': %s", command, strerror(errno));
        if (S_ISDIR(st.st_mode) || access(command, X_OK))
            return err_set(e, STATUS_DENIED, "cannot run '%s': not an executable file", command);
        return (size_t)snprintf(out, size, "%s", command) < size ||
               err_set(e, STATUS_LIMIT, "the path of '%s' is too long", command);
    }
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
        at += *at == ':';
        size_t length = strcspn(at, ":");
        struct stat st;
        if ((size_t)snprintf(out, size, "%.*s%s%s", (int)length, at, length ? "/" : "", command) <
                size &&
            !stat(out, &st) && S_ISREG(st.st_mode) && !access(out, X_OK))
            return true;
    }
    return err_set(e, STATUS_NOT_FOUND, "there is no program '%s' in PATH", command);
}

/* In secure-execution mode the loader takes no library from a path that the user chose. */
static bool check_privileges(const char *path, int fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st))
        return true;
    const char *why = NULL;
    if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
        why = "set-user-ID";
    else if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
        why = "set-group-ID";
    else if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
        why = "given file capabilities";
    if (!why)
        return true;
    return err_set(e, STATUS_UNSUPPORTED,
                   "'%s' is %s, so the loader ignores LD_PRELOAD for it; run it as the user whose "
                   "rights it takes, or run a copy without that bit", path, why);
}

static bool check_elf(const char *path, int fd, const Elf64_Ehdr *h, struct err *e)
{
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return err_set(e, STATUS_UNSUPPORTED,
                       "'%s' is not a 64-bit x86 program, and libmoonheap.so is", path);
    if (h->e_phentsize != sizeof(Elf64_Phdr))
        return true;
    for (u32 i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        if (pread(fd, &p, sizeof p, (off_t)(h->e_phoff + i * sizeof p)) != (ssize_t)sizeof p)
            return true;
        if (p.p_type == PT_INTERP)
            return check_privileges(path, fd, e);
    }
    return err_set(e, STATUS_UNSUPPORTED,
                   "'%s' is statically linked: no loader runs, so no library can be put into it; "
                   "link it dynamically", path);
}

/* "#!/bin/sh -e": the interpreter into `path`. */
static bool script_interpreter(const char *head, char *path, size_t size)
{
    if (head[0] != '#' || head[1] != '!')
        return false;
    head += 2 + strspn(head + 2, " \t");
    size_t length = strcspn(head, " \t\n");
    if (!length || length >= size)
        return false;
    memcpy(path, head, length);
    path[length] = 0;
    return true;
}

bool tool_target_check(const char *command, struct err *e)
{
    char path[PATH_MAX];
    if (!look_up(command, path, sizeof path, e))
        return false;
    for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
        union {
            Elf64_Ehdr elf;
            char text[PATH_MAX];
        } head = {0};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return true; /* executable but not readable: exec will tell */
        ssize_t got = read(fd, head.text, sizeof head.text - 1);
        bool ok = true, more = false;
        if (got >= (ssize_t)sizeof head.elf && !memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
            ok = check_elf(path, fd, &head.elf, e);
        else if (got > 2)
            more = script_interpreter(head.text, path, sizeof path);
        close(fd);
        if (!ok || !more)
            return ok;
    }
    return true;
}
