/* SPDX-License-Identifier: MIT
 *
 * image.h - an ELF file as bytes that may lie: header, sections and build-id.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_ELF_IMAGE_H
#define MOONHEAP_ELF_IMAGE_H

#include <elf.h>

#include "base/base.h"

struct elf_image {
    int fd;
    u64 size;
    const char *path; /* the caller's, for messages */
    Elf64_Ehdr header;
    Elf64_Shdr *sections; /* ours */
    u32 section_count;
};

/* Opens the file when it is a regular ELF64 little-endian file; the sections are read. */
bool elf_image_open(struct elf_image *m, const char *path, struct err *e);
void elf_image_close(struct elf_image *m);

/* Copies [offset, offset + bytes) of the file; false when any of it is not there. */
bool elf_image_read(const struct elf_image *m, u64 offset, void *out, u64 bytes);
/* The first section of a type whose bytes lie in the file; NULL when there is none. */
const Elf64_Shdr *elf_image_section(const struct elf_image *m, u32 type);

/* The GNU build-id; returns its length, 0 when there is none or it is longer than 64 bytes. */
enum { ELF_BUILD_ID_LIMIT = 64 };
u32 elf_image_build_id(const struct elf_image *m, u8 out[ELF_BUILD_ID_LIMIT]);

#endif
