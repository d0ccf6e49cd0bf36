/* SPDX-License-Identifier: MIT
 *
 * save.c - snapshots to files and back.
 *
 * Context: pure: files only; it may block.
 * Invariant: the file at the path is the old one or the whole new one, never part of one; and what
 * was opened does not change when the file does.
 *
 * Why a file is read instead of mapped: a mapped file that someone truncates kills the reader with
 * SIGBUS, and the reader may be the program under observation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "layout.h"
#include "view.h"

/* Sections are laid anew, one behind another: the room that a writer did not use stays out. */
static bool write_sections(struct whole_file *f, const struct snapshot *s, struct err *e)
{
    struct snapshot_header header = *(const struct snapshot_header *)s->bytes;
    const struct snapshot_entry *from = snapshot_table(s->bytes);
    size_t table_bytes = header.section_count * sizeof *from;
    struct snapshot_entry *table = malloc(table_bytes ? table_bytes : 1);
    if (!table)
        return err_set(e, STATUS_NO_MEMORY, "out of memory while saving %s", f->path);

    u64 end = sizeof header + table_bytes;
    for (u32 i = 0; i < header.section_count; i++) {
        table[i] = from[i];
        table[i].offset = ROUND_UP(end, (u64)SNAPSHOT_ALIGN);
        end = table[i].offset + table[i].count * table[i].record_bytes;
    }
    header.file_bytes = end;

    static const u8 zeros[SNAPSHOT_ALIGN];
    u64 at = sizeof header + table_bytes;
    bool ok = whole_file_write(f, &header, sizeof header, e) &&
              whole_file_write(f, table, table_bytes, e);
    for (u32 i = 0; ok && i < header.section_count; i++) {
        u64 bytes = table[i].count * table[i].record_bytes;
        ok = whole_file_write(f, zeros, table[i].offset - at, e) &&
             whole_file_write(f, s->bytes + from[i].offset, bytes, e);
        at = table[i].offset + bytes;
    }
    free(table);
    return ok;
}

bool snapshot_save(const struct snapshot *s, const char *path, struct err *e)
{
    struct whole_file f;
    return whole_file_begin(&f, path, e) && whole_file_end(&f, write_sections(&f, s, e), e);
}

static void release_read(struct snapshot *s)
{
    sys_unmap((void *)(uintptr_t)s->bytes, ROUND_UP(s->size, PAGE_BYTES));
}

static bool read_bytes(int fd, u8 *into, u64 count, const char *path, struct err *e)
{
    while (count > 0) {
        ssize_t n = read(fd, into, count < (1u << 30) ? count : 1u << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, "read", path);
        if (n == 0)
            return err_set(e, STATUS_IO, "cannot read %s: it was cut while it was read", path);
        into += n;
        count -= (u64)n;
    }
    return true;
}

bool snapshot_open_file(struct snapshot *s, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(e, "open", path);
    struct stat st;
    bool ok = fstat(fd, &st) == 0 || err_set_errno(e, "open", path);
    if (ok && !S_ISREG(st.st_mode))
        ok = err_set(e, STATUS_MALFORMED, "cannot open %s: not a regular file", path);
    if (ok && st.st_size == 0)
        ok = err_set(e, STATUS_MALFORMED, "moonheap snapshot %s: the file is empty", path);
    if (ok) {
        u64 size = (u64)st.st_size;
        u64 mapped = ROUND_UP(size, PAGE_BYTES);
        u8 *bytes = sys_map(mapped);
        if (!bytes)
            ok = err_set(e, STATUS_NO_MEMORY, "out of memory: %s has %llu bytes", path,
                         (unsigned long long)size);
        else if (!read_bytes(fd, bytes, size, path, e) ||
                 !snapshot_check(s, path, bytes, size, release_read, e)) {
            sys_unmap(bytes, mapped);
            ok = false;
        }
    }
    close(fd);
    return ok;
}
