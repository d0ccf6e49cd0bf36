/* SPDX-License-Identifier: MIT
 *
 * guard.c - who could have written a script decides whether it runs.
 *
 * Context: pure.
 * Invariant: what is judged is the file that was opened, not its name: the descriptor stays the
 * same whatever happens to the name meanwhile.
 * Why so strict: a script runs inside the program with the program's rights. As sudo and ssh do
 * for their files: a regular file of ours or root's that nobody else can write, in a folder where
 * nobody else can put another in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"

enum { PATH_BYTES = 4096 };

static bool ours(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

static void stamp_of(const struct stat *st, char stamp[SCRIPT_STAMP_BYTES])
{
    text_format(stamp, SCRIPT_STAMP_BYTES, "%lx:%lx:%lx:%lx.%lx", (unsigned long)st->st_dev,
                (unsigned long)st->st_ino, (unsigned long)st->st_size,
                (unsigned long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
}

static bool check_file(const char *path, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return err_set(e, STATUS_UNSAFE, "cannot run %s: it is not a regular file", path);
    if (!ours(st->st_uid))
        return err_set(e, STATUS_UNSAFE,
                       "refused to run %s: it belongs to user %u; `chown %u %s` if you trust it",
                       path, (unsigned)st->st_uid, (unsigned)geteuid(), path);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, STATUS_UNSAFE,
                       "refused to run %s: other users can write it; `chmod go-w %s`", path, path);
    return true;
}

static bool check_folder(const char *path, const char *folder, struct err *e)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return err_set(e, STATUS_UNSAFE, "cannot look at %s, the folder of %s: %s", folder, path,
                       strerror(errno));
    if (!ours(st.st_uid))
        return err_set(e, STATUS_UNSAFE,
                       "refused to run %s: its folder %s belongs to user %u; `chown %u %s` if you "
                       "trust it",
                       path, folder, (unsigned)st.st_uid, (unsigned)geteuid(), folder);
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
        return err_set(e, STATUS_UNSAFE,
                       "refused to run %s: other users can write its folder %s; `chmod go-w %s`",
                       path, folder, folder);
    return true;
}

/* The folder that the opened file lies in, links followed. */
static void real_folder(int fd, const char *path, char *out, size_t size)
{
    char link[40], real[PATH_BYTES];
    text_format(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real, sizeof real - 1);
    if (n > 0 && real[0] == '/') {
        real[n] = 0;
        script_folder(real, out, size);
    } else {
        script_folder(path, out, size);
    }
}

bool script_guard_open(const char *path, int *fd, char stamp[SCRIPT_STAMP_BYTES], struct err *e)
{
    char folder[PATH_BYTES];
    struct stat st;
    /* Not blocking: a pipe in place of the script must not hang us. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return err_set(e, missing ? STATUS_NOT_FOUND : STATUS_DENIED, "cannot open %s: %s", path,
                       strerror(errno));
    }
    bool good;
    if (fstat(*fd, &st) != 0) {
        good = err_set(e, STATUS_IO, "cannot look at %s: %s", path, strerror(errno));
    } else {
        stamp_of(&st, stamp);
        script_folder(path, folder, sizeof folder);
        good = check_file(path, &st, e) && check_folder(path, folder, e);
        real_folder(*fd, path, folder, sizeof folder);
        good = good && check_folder(path, folder, e);
    }
    if (!good) {
        close(*fd);
        *fd = -1;
    }
    return good;
}

void script_guard_stamp(const char *path, char stamp[SCRIPT_STAMP_BYTES])
{
    struct stat st;
    stamp[0] = 0;
    if (stat(path, &st) == 0)
        stamp_of(&st, stamp);
}
