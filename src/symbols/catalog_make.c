/* SPDX-License-Identifier: MIT
 *
 * catalog_make.c - makes the type catalogue of a module, in a process of its own.
 *
 * Context: tool.
 * Invariant: whatever the file holds, the caller gets checked bytes or an error. Debug information
 * is read in a child that may crash, hang or ask for any amount of memory; its answer is checked as
 * if it came from a stranger.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "catalog_build.h"
#include "module.h"

enum { MESSAGE_PROGRESS, MESSAGE_FAILED, MESSAGE_DONE };

/* Smaller than PIPE_BUF: written and read whole. */
struct message {
    u32 what, status;
    u64 number; /* progress: per mille; done: bytes of the catalogue */
    u64 debug_bytes;
    char text[500];
};

/* --- the child ------------------------------------------------------------------------------- */

struct child {
    int pipe, result;
    u32 told;
};

static void send_message(const struct child *c, const struct message *m)
{
    sys_write_all(c->pipe, m, sizeof *m, -1);
}

static void tell_progress(void *context, u32 per_mille)
{
    struct child *c = context;
    if (per_mille == c->told)
        return;
    c->told = per_mille;
    send_message(c, &(struct message){.what = MESSAGE_PROGRESS, .number = per_mille});
}

/* Bytes of debug information in a file, as they lie there. */
static u64 debug_bytes(Elf *elf)
{
    u64 bytes = 0;
    size_t names;
    if (!elf || elf_getshdrstrndx(elf, &names) != 0)
        return 0;
    for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s)) != NULL;) {
        GElf_Shdr header;
        const char *name = gelf_getshdr(s, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (name && header.sh_type != SHT_NOBITS &&
            (!strncmp(name, ".debug_", 7) || !strncmp(name, ".zdebug_", 8)))
            bytes += header.sh_size;
    }
    return bytes;
}

static u64 info_bytes(Dwarf *dwarf)
{
    Dwarf_Off next = 0, at = 0, last = 0;
    size_t header;
    while (dwarf_nextcu(dwarf, at = next, &next, &header, NULL, NULL, NULL) == 0 && next > at)
        last = next;
    return last;
}

static bool has_units(Dwarf *dwarf)
{
    Dwarf_CU *cu = NULL;
    return dwarf && dwarf_get_units(dwarf, cu, &cu, NULL, NULL, NULL, NULL) == 0;
}

static void list_segments(struct catalog_build *b, Elf *elf)
{
    size_t count = 0;
    GElf_Phdr segment;
    if (!elf || elf_getphdrnum(elf, &count) != 0)
        return;
    for (size_t i = 0; i < count && i < INT32_MAX && gelf_getphdr(elf, (int)i, &segment); i++) {
        struct catalog_span s = {.lo = segment.p_vaddr, .hi = segment.p_vaddr + segment.p_memsz};
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W))
            *CATALOG_ADD(&b->pool, &b->writable) = s;
        if (segment.p_type == PT_TLS)
            b->thread_local_image = s;
        if (segment.p_type == PT_GNU_RELRO)
            *CATALOG_ADD(&b->pool, &b->sealed) = s;
    }
}

static void *build(struct catalog_build *b, const char *path, struct message *m, struct err *e)
{
    struct module module;
    if (!module_open(&module, path, NULL, 0, NULL)) {
        err_set(e, STATUS_MALFORMED, "%s is no ELF file that can be read", path);
        return NULL;
    }
    if (!has_units(module.dwarf)) {
        err_set(e, STATUS_NOT_FOUND,
                "%s has no debug information: compile it with -g, or install its -dbg or -dbgsym "
                "package",
                path);
        return NULL;
    }
    const unsigned char *bits;
    GElf_Addr at;
    int id_bytes = dwfl_module_build_id(module.dwfl_module, &bits, &at);
    m->debug_bytes = debug_bytes(dwarf_getelf(module.dwarf));
    b->pool.e = e;
    if (setjmp(b->pool.out))
        return NULL;
    list_segments(b, dwfl_module_getelf(module.dwfl_module, &at));
    catalog_unit_read_all(b, module.dwarf, info_bytes(module.dwarf));
    if (b->split_missing == b->skeletons && b->skeletons > 0) {
        err_set(e, STATUS_NOT_FOUND,
                "%s was compiled with -gsplit-dwarf and its .dwo files are not where they were "
                "written",
                path);
        return NULL;
    }
    if (id_bytes < 0 || id_bytes > CATALOG_BUILD_ID_MAX)
        id_bytes = 0;
    return catalog_merge(b, bits, (u32)id_bytes, &m->number);
}

/* When memory is short, the kernel shall take this process and nobody else's. */
static void go_first(void)
{
    int fd = sys_open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        sys_write_all(fd, "1000", 4, 0);
        sys_close(fd);
    }
}

static _Noreturn void run_child(struct child *c, const char *path, u64 memory_bytes)
{
    struct err e = {.text = "out of memory"};
    struct message m = {.what = MESSAGE_DONE};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    go_first();
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifdef __SANITIZE_ADDRESS__ /* which reserves terabytes of address space */
    memory_bytes = RLIM_INFINITY;
#endif
    setrlimit(RLIMIT_AS, &(struct rlimit){memory_bytes, memory_bytes});
    struct catalog_build *b = calloc(1, sizeof *b);
    void *bytes = NULL;
    if (b) {
        b->progress = tell_progress;
        b->context = c;
        bytes = build(b, path, &m, &e);
    }
    if (bytes && !sys_write_all(c->result, bytes, m.number, -1)) {
        bytes = NULL;
        err_set(&e, STATUS_NO_MEMORY, "out of memory");
    }
    if (!bytes) {
        m.what = MESSAGE_FAILED;
        m.status = e.status;
        text_format(m.text, sizeof m.text, "%s", e.text);
    }
    send_message(c, &m);
    _exit(0);
}

/* --- the parent ------------------------------------------------------------------------------ */

static bool take_result(int fd, u64 size, struct symbols_catalog *out, struct err *e)
{
    struct catalog whole;
    out->bytes = size > 0 && size < UINT32_MAX ? malloc(size) : NULL;
    if (!out->bytes)
        return err_set(e, STATUS_NO_MEMORY, "out of memory for a catalogue of %llu bytes",
                       (unsigned long long)size);
    for (u64 at = 0; at < size;) {
        long got = sys_pread(fd, (u8 *)out->bytes + at, size - at, at);
        if (got <= 0)
            return err_set(e, STATUS_IO, "the catalogue could not be read back");
        at += (u64)got;
    }
    out->size = size;
    return catalog_view(&whole, out->bytes, size, e);
}

/* Reads messages until the last one; false: *m is not filled, and *e says why. */
static bool wait_for(int fd, const struct symbols_catalog_limits *limits, u64 deadline_ns,
                     struct message *m, struct err *e)
{
    for (;;) {
        u64 now = sys_monotonic_ns();
        if (now >= deadline_ns)
            return err_set(e, STATUS_TIMEOUT, "it took longer than %llu s, the limit",
                           (unsigned long long)(limits->time_ns / 1000000000));
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, (int)((deadline_ns - now) / 1000000) + 1) <= 0)
            continue;
        ssize_t got = read(fd, m, sizeof *m);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof *m)
            return err_set(e, STATUS_MALFORMED, "its debug information could not be read");
        m->text[sizeof m->text - 1] = '\0';
        if (m->what != MESSAGE_PROGRESS)
            return true;
        if (limits->progress)
            limits->progress(limits->context, (u32)m->number);
    }
}

static bool finish(int pid, int pipe, int result, const struct symbols_catalog_limits *limits,
                   u64 began_ns, struct symbols_catalog *out, struct err *e)
{
    struct message m;
    bool ok = wait_for(pipe, limits, began_ns + limits->time_ns, &m, e);
    if (!ok && e->status == STATUS_TIMEOUT)
        kill(pid, SIGKILL);
    int status = 0;
    struct rusage usage = {0};
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    out->seconds = (double)(sys_monotonic_ns() - began_ns) / 1e9;
    out->peak_bytes = (u64)usage.ru_maxrss * 1024;
    if (!ok && WIFSIGNALED(status) && e->status != STATUS_TIMEOUT)
        return err_set(e, STATUS_MALFORMED,
                       "the process that read its debug information crashed (%s); the file is "
                       "damaged, or elfutils has an error",
                       strsignal(WTERMSIG(status)));
    if (!ok)
        return false;
    if (m.what != MESSAGE_DONE)
        return err_set(e, m.status ? m.status : STATUS_MALFORMED, "%s", m.text);
    out->debug_bytes = m.debug_bytes;
    return take_result(result, m.number, out, e);
}

bool symbols_catalog_make(struct symbols_catalog *out, const char *path,
                          const struct symbols_catalog_limits *limits, struct err *e)
{
    *out = (struct symbols_catalog){0};
    u64 began_ns = sys_monotonic_ns();
    int ends[2] = {-1, -1};
    int result = memfd_create("moonheap-catalog", MFD_CLOEXEC);
    if (result < 0 || pipe(ends) != 0) {
        if (result >= 0)
            close(result);
        return err_set(e, STATUS_IO, "no pipe to a process that would read %s: %s", path,
                       strerrordesc_np(errno));
    }
    int pid = fork();
    if (pid == 0) {
        struct child c = {.pipe = ends[1], .result = result, .told = UINT32_MAX};
        close(ends[0]);
        run_child(&c, path, limits->memory_bytes);
    }
    close(ends[1]);
    bool ok = pid > 0 ? finish(pid, ends[0], result, limits, began_ns, out, e)
                      : err_set(e, STATUS_IO, "cannot start a process that would read %s: %s", path,
                                strerrordesc_np(errno));
    close(ends[0]);
    close(result);
    if (!ok)
        symbols_catalog_free(out);
    return ok;
}

void symbols_catalog_free(struct symbols_catalog *c)
{
    free(c->bytes);
    c->bytes = NULL;
}
