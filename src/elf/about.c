/* SPDX-License-Identifier: MIT
 *
 * about.c - what an ELF file says of itself: its build-id, and whether there is debug information.
 *
 * Context: pure: it reads files.
 * Invariant: only headers and notes are read, so the question is cheap for a file of any size.
 */
#include <string.h>
#include <unistd.h>

#include "elf.h"
#include "image.h"

_Static_assert((int)ELF_ABOUT_BUILD_ID == (int)ELF_BUILD_ID_LIMIT, "one limit");

enum { NAME_BYTES = sizeof ".zdebug_info" };

static bool section_says_debug(const struct elf_image *m, const Elf64_Shdr *names, u32 name)
{
    char text[NAME_BYTES + 1] = "";
    if (name >= names->sh_size)
        return false;
    u64 left = names->sh_size - name;
    if (!elf_image_read(m, names->sh_offset + name, text, left < NAME_BYTES ? left : NAME_BYTES))
        return false;
    return !strcmp(text, ".debug_info") || !strcmp(text, ".zdebug_info");
}

static bool has_sections(const struct elf_image *m)
{
    u32 index = m->header.e_shstrndx;
    if (index >= m->section_count)
        return false;
    for (u32 i = 0; i < m->section_count; i++)
        if (m->sections[i].sh_type == SHT_PROGBITS &&
            section_says_debug(m, &m->sections[index], m->sections[i].sh_name))
            return true;
    return false;
}

static bool has_debug_file(const struct elf_about *a)
{
    char path[sizeof "/usr/lib/debug/.build-id//.debug" + 2 * ELF_ABOUT_BUILD_ID];
    if (a->build_id_bytes < 2)
        return false;
    size_t used = text_format(path, sizeof path, "/usr/lib/debug/.build-id/%02x/", a->build_id[0]);
    for (u32 i = 1; i < a->build_id_bytes; i++)
        used += text_format(path + used, sizeof path - used, "%02x", a->build_id[i]);
    text_format(path + used, sizeof path - used, ".debug");
    return access(path, R_OK) == 0;
}

bool elf_about(const char *path, struct elf_about *a, struct err *e)
{
    struct elf_image m;
    *a = (struct elf_about){0};
    if (!elf_image_open(&m, path, e))
        return false;
    a->build_id_bytes = elf_image_build_id(&m, a->build_id);
    a->has_debug = has_sections(&m) || has_debug_file(a);
    elf_image_close(&m);
    return true;
}
