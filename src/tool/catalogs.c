/* SPDX-License-Identifier: MIT
 *
 * catalogs.c - makes type catalogues and puts them where the process that needs them looks.
 *
 * Context: tool.
 * Invariant: for a process of another user, files are read and written with that user's rights and
 * in its cache directory: root neither follows its paths with more, nor leaves files there that it
 * cannot read.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "elf/elf.h"
#include "tool.h"

enum { CALM_MS = 1000, MODULES_MAX = 4096 };
static const u64 memory_limit = 16ULL << 30;

/* --- one file ----------------------------------------------------------------------------------
 */

static void show_progress(void *context, u32 per_mille)
{
    struct tool_catalogs *t = context;
    if (sys_monotonic_ns() - t->began_ns < CALM_MS * 1000000ULL || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rtypes of %s: %u %%\033[K", t->file, per_mille / 10);
    t->progress_shown = true;
}

bool tool_catalogs_make(struct tool_catalogs *t, const char *file, struct symbols_catalog *out,
                        struct err *e)
{
    struct symbols_catalog_limits limits = {
        .time_ns = t->time_ns,
        .memory_bytes = memory_limit,
        .progress = show_progress,
        .context = t,
    };
    t->file = file;
    t->began_ns = sys_monotonic_ns();
    t->progress_shown = false;
    bool ok = symbols_catalog_make(out, file, &limits, e);
    if (t->progress_shown)
        fputs("\r\033[K", stderr);
    return ok;
}

bool tool_catalogs_place(const struct tool_catalogs *t, const char *file, const u8 *build_id,
                         u32 build_id_bytes, char *out, size_t size, struct err *e)
{
    if (build_id_bytes == 0 || build_id_bytes > CATALOG_BUILD_ID_MAX)
        return err_set(e, STATUS_UNSUPPORTED,
                       "%s has no build-id to keep its catalogue under; link it with "
                       "-Wl,--build-id, or write the catalogue somewhere with -o FILE",
                       file);
    return catalog_path(t->environment, build_id, build_id_bytes, out, size) ||
           err_set(e, STATUS_NOT_FOUND,
                   "there is no cache directory: set MOONHEAP_CATALOG or HOME");
}

/* --- the files of a process
 * ----------------------------------------------------------------------- */

struct module {
    dev_t device;
    ino_t inode;
};

/* The file as we see it: by its path, or through the process when it lives in another root. */
static bool find_file(int pid, const char *path, const struct module *m, char *out, size_t size)
{
    struct stat st;
    for (u32 i = 0; i < 2; i++) {
        if (i == 0)
            text_format(out, size, "%s", path);
        else
            text_format(out, size, "/proc/%d/root%s", pid, path);
        if (stat(out, &st) == 0 && st.st_ino == m->inode)
            return true;
    }
    return false; /* deleted or replaced */
}

static bool seen_before(const struct module *list, u32 count, const struct module *m)
{
    for (u32 i = 0; i < count; i++)
        if (list[i].device == m->device && list[i].inode == m->inode)
            return true;
    return false;
}

/* Calls each() for every file that the process has code of; stops when it says false. */
static void each_module(int pid, const char *maps,
                        bool (*each)(struct tool_catalogs *t, const char *file),
                        struct tool_catalogs *t)
{
    struct module *list = calloc(MODULES_MAX, sizeof *list);
    u32 count = 0;
    for (const char *line = maps; list && line && *line && count < MODULES_MAX;) {
        unsigned major_number, minor_number;
        unsigned long inode;
        char rights[5], path[4096], file[4200];
        const char *end = strchr(line, '\n');
        int fields = sscanf(line, "%*x-%*x %4s %*x %x:%x %lu %4095[^\n]", rights, &major_number,
                            &minor_number, &inode, path);
        line = end ? end + 1 : NULL;
        struct module m = {makedev(major_number, minor_number), inode};
        if (fields != 5 || rights[2] != 'x' || path[0] != '/' ||
            maps_names_library(strrchr(path, '/')) || seen_before(list, count, &m))
            continue;
        list[count++] = m;
        if (find_file(pid, path, &m, file, sizeof file) && !each(t, file))
            break;
    }
    free(list);
}

static bool is_there(const char *path)
{
    struct catalog c;
    bool there = catalog_open(&c, path, NULL);
    if (there)
        catalog_close(&c);
    return there;
}

/* Remembers beside its place that making a catalogue failed, so that not every poke tries again. */
static bool leave_mark(const char *path, struct err *e)
{
    return catalog_save("", 0, path, e);
}

static void complain(struct tool_catalogs *t, const struct err *e)
{
    if (t->said)
        t->said(t->file, NULL, e->text);
    t->failed++;
}

static bool make_missing(struct tool_catalogs *t, const char *file)
{
    struct elf_about about;
    struct symbols_catalog made;
    struct err e = {0};
    char path[4096], mark[4096 + sizeof ".failed"];
    t->file = file;
    u64 now = sys_monotonic_ns();
    if (t->deadline_ns && now >= t->deadline_ns)
        return false;
    if (!elf_about(file, &about, NULL) || !about.has_debug ||
        !tool_catalogs_place(t, file, about.build_id, about.build_id_bytes, path, sizeof path, &e))
        return true;
    text_format(mark, sizeof mark, "%s.failed", path);
    if (!t->again && (is_there(path) || access(mark, F_OK) == 0))
        return true;
    if (!leave_mark(mark, &e)) { /* seen before the work; a poke does without */
        if (t->again)
            complain(t, &e);
        return false;
    }
    unlink(mark);
    if (t->deadline_ns && t->time_ns > t->deadline_ns - now)
        t->time_ns = t->deadline_ns - now;
    if (!tool_catalogs_make(t, file, &made, &e)) {
        leave_mark(mark, NULL);
        if (e.status != STATUS_NOT_FOUND) /* what looked like debug information was none */
            complain(t, &e);
        return true;
    }
    if (!catalog_save(made.bytes, made.size, path, &e)) {
        complain(t, &e);
    } else {
        t->made++;
        if (t->said)
            t->said(file, &made, path);
    }
    symbols_catalog_free(&made);
    return true;
}

/* --- a process
 * ---------------------------------------------------------------------------------------- */

static char **split_environment(char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += text[i] == '\0';
    char **list = calloc(count + 1, sizeof *list);
    char *at = text;
    for (size_t i = 0; list && i < count; i++, at += strlen(at) + 1)
        list[i] = at;
    return list;
}

static void make_for(struct tool_catalogs *t, int pid, const char *maps, char *environment,
                     size_t bytes)
{
    char **list = t->own_environment ? NULL : split_environment(environment, bytes);
    if (!list && !t->own_environment)
        return;
    if (list)
        t->environment = list;
    each_module(pid, maps, make_missing, t);
    if (list)
        t->environment = NULL;
    free(list);
}

enum { CHILD_MADE, CHILD_NOTHING, CHILD_FAILED };

/* With the rights of the process's user, in a child that gives them up for good. */
static void make_as(struct tool_catalogs *t, const struct stat *owner, int pid, const char *maps,
                    char *environment, size_t bytes)
{
    fflush(NULL);
    int child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) == 0 && setgid(owner->st_gid) == 0 && setuid(owner->st_uid) == 0)
            make_for(t, pid, maps, environment, bytes);
        fflush(NULL);
        _exit(t->failed ? CHILD_FAILED : t->made ? CHILD_MADE : CHILD_NOTHING);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    bool ended = status >= 0 && WIFEXITED(status);
    t->made += ended && WEXITSTATUS(status) == CHILD_MADE;
    t->failed += !ended || WEXITSTATUS(status) == CHILD_FAILED;
}

bool tool_catalogs_process(struct tool_catalogs *t, int pid, struct err *e)
{
    char path[64];
    struct stat owner;
    size_t bytes = 0;
    snprintf(path, sizeof path, "/proc/%d", pid);
    if (stat(path, &owner) != 0)
        return err_set(e, STATUS_NOT_FOUND, "there is no process %d", pid);
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    char *maps = tool_read_file(path, NULL);
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    char *environment = maps ? tool_read_file(path, &bytes) : NULL;
    bool ok = environment != NULL;
    if (!ok)
        err_set(e, STATUS_DENIED, "process %d may not be looked at (%s)", pid, strerror(errno));
    else if (geteuid() == 0 && owner.st_uid != 0)
        make_as(t, &owner, pid, maps, environment, bytes);
    else
        make_for(t, pid, maps, environment, bytes);
    free(maps);
    free(environment);
    return ok;
}
