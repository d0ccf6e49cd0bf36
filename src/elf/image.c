/* SPDX-License-Identifier: MIT
 *
 * image.c - reads ELF files piece by piece, each piece checked against the file's length.
 *
 * Context: pure; blocking file reads. Source: the System V ABI, chapters 4 and 5.
 * Invariant: nothing outside [0, size) is ever asked of the file, and a short read is a "no".
 *
 * Why read and not map: a file that is truncated while it is mapped ends its reader with SIGBUS,
 * and the reader sits in somebody's server.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NOTE_BYTES_LIMIT = 1 << 16, /* of one section or segment of notes that is looked at */
};

bool elf_image_read(const struct elf_image *m, u64 offset, void *out, u64 bytes)
{
    if (offset > m->size || bytes > m->size - offset)
        return false;
    u8 *to = out;
    while (bytes > 0) {
        ssize_t n = pread(m->fd, to, bytes < (1u << 30) ? bytes : 1u << 30, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        offset += (u64)n;
        bytes -= (u64)n;
    }
    return true;
}

static bool read_sections(struct elf_image *m, struct err *e)
{
    const Elf64_Ehdr *h = &m->header;
    if (h->e_shoff == 0)
        return true;
    Elf64_Shdr first;
    if (h->e_shentsize != sizeof first || !elf_image_read(m, h->e_shoff, &first, sizeof first))
        return err_set(e, STATUS_MALFORMED, "%s: its section headers are not in it", m->path);
    /* With 0xff00 sections and more, the count stands in the first one. */
    u64 count = h->e_shnum ? h->e_shnum : first.sh_size;
    if (count > (m->size - h->e_shoff) / sizeof first || count > UINT32_MAX)
        return err_set(e, STATUS_MALFORMED, "%s: its %llu section headers are not in it", m->path,
                       (unsigned long long)count);
    if (count == 0)
        return true;
    m->sections = malloc(count * sizeof first);
    if (!m->sections)
        return err_set(e, STATUS_NO_MEMORY, "out of memory while reading %s", m->path);
    if (!elf_image_read(m, h->e_shoff, m->sections, count * sizeof first))
        return err_set(e, STATUS_IO, "%s: its section headers could not be read", m->path);
    m->section_count = (u32)count;
    return true;
}

static bool read_image(struct elf_image *m, struct err *e)
{
    Elf64_Ehdr *h = &m->header;
    if (!elf_image_read(m, 0, h, sizeof *h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return err_set(e, STATUS_MALFORMED, "%s: not an ELF file", m->path);
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return err_set(e, STATUS_UNSUPPORTED,
                       "%s: only 64-bit little-endian ELF files are read so far", m->path);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return err_set(e, STATUS_UNSUPPORTED, "%s: neither a program nor a shared library",
                       m->path);
    return read_sections(m, e);
}

bool elf_image_open(struct elf_image *m, const char *path, struct err *e)
{
    *m = (struct elf_image){.path = path};
    /* Non-blocking: a path may turn out to be a pipe. */
    m->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (m->fd < 0)
        return err_set_errno(e, "open", path);
    struct stat st;
    bool ok;
    if (fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        ok = err_set(e, STATUS_MALFORMED, "%s: not a regular file", path);
    } else {
        m->size = (u64)st.st_size;
        ok = read_image(m, e);
    }
    if (!ok)
        elf_image_close(m);
    return ok;
}

void elf_image_close(struct elf_image *m)
{
    close(m->fd);
    free(m->sections);
    m->sections = NULL;
    m->section_count = 0;
}

const Elf64_Shdr *elf_image_section(const struct elf_image *m, u32 type)
{
    for (u32 i = 0; i < m->section_count; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        if (s->sh_type == type && s->sh_offset <= m->size && s->sh_size <= m->size - s->sh_offset)
            return s;
    }
    return NULL;
}

/* Looks for the build-id among the notes in [offset, offset + bytes) of the file. */
static u32 build_id_in(const struct elf_image *m, u64 offset, u64 bytes, u64 align, u8 *out)
{
    if (bytes > NOTE_BYTES_LIMIT)
        return 0;
    u64 end = offset + bytes;
    if (end < offset)
        return 0;
    align = align == 8 ? 8 : 4; /* other values are written, and mean 4 */
    Elf64_Nhdr note;
    while (offset < end && elf_image_read(m, offset, &note, sizeof note)) {
        u64 name = offset + sizeof note;
        u64 data = offset + ROUND_UP(sizeof note + (u64)note.n_namesz, align);
        u64 next = data + ROUND_UP((u64)note.n_descsz, align);
        char owner[4];
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof owner && note.n_descsz > 0 &&
            note.n_descsz <= ELF_BUILD_ID_LIMIT && data + note.n_descsz <= end &&
            elf_image_read(m, name, owner, sizeof owner) && memcmp(owner, "GNU", 4) == 0 &&
            elf_image_read(m, data, out, note.n_descsz))
            return note.n_descsz;
        offset = next; /* beyond the note's header, so this ends */
    }
    return 0;
}

u32 elf_image_build_id(const struct elf_image *m, u8 out[ELF_BUILD_ID_LIMIT])
{
    for (u32 i = 0; i < m->section_count; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        u32 found = s->sh_type == SHT_NOTE
                        ? build_id_in(m, s->sh_offset, s->sh_size, s->sh_addralign, out)
                        : 0;
        if (found)
            return found;
    }
    const Elf64_Ehdr *h = &m->header;
    for (u32 i = 0; i < h->e_phnum && h->e_phentsize == sizeof(Elf64_Phdr); i++) {
        Elf64_Phdr p;
        if (!elf_image_read(m, h->e_phoff + i * sizeof p, &p, sizeof p))
            break;
        u32 found =
            p.p_type == PT_NOTE ? build_id_in(m, p.p_offset, p.p_filesz, p.p_align, out) : 0;
        if (found)
            return found;
    }
    return 0;
}
