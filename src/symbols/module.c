/* SPDX-License-Identifier: MIT
 *
 * module.c - finds the debug information of a file, and which unit of it an address belongs to.
 *
 * Context: tool.
 * Invariant: module_open succeeds only with a file of the build-id that was asked for. Ranges are
 * sorted by where they begin and know the furthest end so far, so that a search backwards may stop:
 * what a linker threw away leaves ranges that overlap others.
 *
 * Why a list of ranges of our own: libdw 0.188 finds units by .debug_aranges alone, which clang
 * does not write (DWARF 5 standard, 6.1.2 calls it optional). The units' own DW_AT_ranges are
 * complete.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module.h"

/* --- the file ------------------------------------------------------------------------------ */

static int open_regular(const char *path)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool is_wanted(Dwfl_Module *module, const u8 *build_id, u32 build_id_bytes)
{
    const unsigned char *bits;
    GElf_Addr address;
    if (!build_id_bytes)
        return true;
    int length = dwfl_module_build_id(module, &bits, &address);
    return length == (int)build_id_bytes && memcmp(bits, build_id, build_id_bytes) == 0;
}

static bool report(struct module *m, const char *path, const u8 *build_id, u32 build_id_bytes)
{
    int fd = open_regular(path);
    if (fd < 0)
        return false;
    dwfl_report_begin(m->dwfl);
    m->dwfl_module = dwfl_report_elf(m->dwfl, path, path, fd, 0, true);
    if (!m->dwfl_module)
        close(fd);
    dwfl_report_end(m->dwfl, NULL, NULL);
    return m->dwfl_module && is_wanted(m->dwfl_module, build_id, build_id_bytes);
}

/* The file may have been replaced since it was loaded; its debug file may still be there. */
static bool report_debug_file(struct module *m, const u8 *build_id, u32 build_id_bytes)
{
    static const char folder[] = "/usr/lib/debug/.build-id/";
    char path[sizeof folder + 2 * 64 + sizeof "/.debug"];
    if (build_id_bytes < 2 || build_id_bytes > 64)
        return false;
    size_t used = text_format(path, sizeof path, "%s%02x/", folder, build_id[0]);
    for (u32 i = 1; i < build_id_bytes; i++)
        used += text_format(path + used, sizeof path - used, "%02x", build_id[i]);
    text_format(path + used, sizeof path - used, ".debug");
    return report(m, path, build_id, build_id_bytes);
}

/* --- units --------------------------------------------------------------------------------- */

static bool add_range(struct module *m, size_t *room, struct module_range range)
{
    if (m->range_count == *room) {
        size_t wanted = *room ? 2 * *room : 256;
        struct module_range *more = realloc(m->ranges, wanted * sizeof *more);
        if (!more)
            return false;
        m->ranges = more;
        *room = wanted;
    }
    m->ranges[m->range_count++] = range;
    return true;
}

static int by_lo(const void *left, const void *right)
{
    const struct module_range *a = left, *b = right;
    return a->lo < b->lo ? -1 : a->lo > b->lo;
}

static void list_units(struct module *m)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die unit;
    uint8_t type;
    size_t room = 0;
    bool more = true;
    while (more && dwarf_get_units(m->dwarf, cu, &cu, NULL, &type, &unit, NULL) == 0) {
        if (type != DW_UT_compile && type != DW_UT_skeleton)
            continue;
        Dwarf_Addr base, lo, hi;
        ptrdiff_t at = 0;
        while (more && (at = dwarf_ranges(&unit, at, &base, &lo, &hi)) > 0)
            if (lo < hi)
                more =
                    add_range(m, &room, (struct module_range){lo, hi, 0, dwarf_dieoffset(&unit)});
    }
    if (m->range_count > 1)
        qsort(m->ranges, m->range_count, sizeof *m->ranges, by_lo);
    u64 reach = 0;
    for (size_t i = 0; i < m->range_count; i++) {
        reach = m->ranges[i].hi > reach ? m->ranges[i].hi : reach;
        m->ranges[i].reach = reach;
    }
}

bool module_unit(const struct module *m, u64 address, Dwarf_Die *unit)
{
    size_t begun = BISECT(i, m->range_count, m->ranges[i].lo <= address);
    for (size_t i = begun; i > 0 && m->ranges[i - 1].reach > address; i--)
        if (address < m->ranges[i - 1].hi)
            return dwarf_offdie(m->dwarf, m->ranges[i - 1].unit, unit) != NULL;
    return false;
}

/* --- the whole ----------------------------------------------------------------------------- */

const char *module_symbol(const struct module *m, u64 address)
{
    GElf_Sym symbol;
    GElf_Off offset;
    const char *name =
        dwfl_module_addrinfo(m->dwfl_module, address, &offset, &symbol, NULL, NULL, NULL);
    bool inside = name && (symbol.st_size == 0 || offset < symbol.st_size);
    return inside && GELF_ST_TYPE(symbol.st_info) == STT_FUNC ? name : NULL;
}

bool module_open(struct module *m, const char *path, const u8 *build_id, u32 build_id_bytes,
                 const struct symbols_where *where)
{
    static const struct symbols_where usual;
    where = where ? where : &usual;
    *m = (struct module){.callbacks = {.find_elf = dwfl_build_id_find_elf,
                                       .find_debuginfo = dwfl_standard_find_debuginfo,
                                       .section_address = dwfl_offline_section_address,
                                       .debuginfo_path = &m->debug_path},
                         .debug_path = (char *)(uintptr_t)where->debug_path};
    m->dwfl = dwfl_begin(&m->callbacks);
    if (!m->dwfl)
        return false;
    if (!report(m, path, build_id, build_id_bytes) &&
        !(where->spare && build_id_bytes && report(m, where->spare, build_id, build_id_bytes)) &&
        !report_debug_file(m, build_id, build_id_bytes)) {
        module_close(m);
        return false;
    }
    Dwarf_Addr bias = 0;
    m->dwarf = dwfl_module_getdwarf(m->dwfl_module, &bias);
    m->bias = bias;
    if (m->dwarf)
        list_units(m);
    return true;
}

void module_close(struct module *m)
{
    free(m->ranges);
    dwfl_end(m->dwfl);
    *m = (struct module){0};
}
