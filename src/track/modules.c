/* SPDX-License-Identifier: MIT
 *
 * modules.c - see modules.h.
 *
 * Context: hot (cold path of it). Lock-free: an entry is filled in private and linked with one
 * compare-and-swap; who loses the race to link the same module leaves its entry unused.
 */
#include <elf.h>
#include <string.h>

#include "frames.h"
#include "modules.h"
#include "thread.h"

enum { MODULE_MAX = 1 << 14 };

struct entry {
    struct track_module module;
    u32 next; /* index + 1 of the entry linked before this one */
    bool linked;
    u64 note;        /* where its build-id lies in memory, 0 = none */
    Elf64_Ehdr head; /* its first bytes, to recognise it by */
};

static struct entry *entries; /* MODULE_MAX of them, address space until used */
static u32 entry_count;       /* taken, linked or not */
static u32 newest;            /* index + 1 of the head of the linked list */

static struct entry *entry_table(void)
{
    struct entry *table = ACQUIRE(&entries);
    if (LIKELY(table))
        return table;
    size_t bytes = ROUND_UP(sizeof(struct entry) * MODULE_MAX, PAGE_BYTES);
    struct entry *fresh = sys_map_sparse(bytes);
    if (!fresh)
        return NULL;
    if (__atomic_compare_exchange_n(&entries, &table, fresh, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return fresh;
    sys_unmap(fresh, bytes);
    return table;
}

/* Is what was mapped there still the same file? A reload of the same file at the same address
 * counts as the same: its rules and names have not changed. */
static bool entry_intact(const struct entry *e)
{
    Elf64_Ehdr head;
    u8 id[sizeof e->module.build_id];
    u32 bytes = e->module.build_id_bytes;
    return sys_read_memory_pair(e->module.lo, &head, sizeof head, e->note, id, bytes) &&
           memcmp(&head, &e->head, sizeof head) == 0 && memcmp(id, e->module.build_id, bytes) == 0;
}

static void entry_retire(struct entry *e)
{
    POKE(&e->module.gone, true);
    frames_forget(e->module.lo, e->module.hi);
}

static struct entry *list_find(struct entry *table, u64 pc)
{
    for (u32 i = ACQUIRE(&newest); i; i = table[i - 1].next) {
        struct entry *e = &table[i - 1];
        if (pc >= e->module.lo && pc < e->module.hi && !PEEK(&e->module.gone))
            return e;
    }
    return NULL;
}

/* Reads a piece of the module, most of which are in its first page: that is in page[] already. */
static bool read_piece(const struct entry *e, const char *page, u64 at, void *out, size_t bytes)
{
    u64 lo = e->module.lo;
    if (at < lo || at - lo > PAGE_BYTES - bytes)
        return sys_read_memory(at, out, bytes) == bytes;
    memcpy(out, page + (at - lo), bytes);
    return true;
}

/* Reads the note at [note, note + bytes) of the process into the entry if it is the build-id. */
static void read_build_id(struct entry *e, const char *page, u64 note, u64 bytes)
{
    u64 end = note + bytes;
    while (note + sizeof(Elf64_Nhdr) + 4 <= end) {
        struct {
            Elf64_Nhdr n;
            char name[4];
        } head;
        if (!read_piece(e, page, note, &head, sizeof head))
            return;
        u64 desc = note + sizeof head.n + ROUND_UP((u64)head.n.n_namesz, 4);
        u32 size = head.n.n_descsz;
        if (desc + size > end)
            return;
        if (head.n.n_type == NT_GNU_BUILD_ID && head.n.n_namesz == 4 && size > 0 &&
            size <= sizeof e->module.build_id && memcmp(head.name, "GNU", 4) == 0 &&
            read_piece(e, page, desc, e->module.build_id, size)) {
            e->note = desc;
            e->module.build_id_bytes = (u8)size;
            return;
        }
        note = desc + ROUND_UP((u64)size, 4);
    }
}

/* Copies the ELF header and program headers mapped at `lo` into page[PAGE_BYTES]; what is mapped
 * there may go at any moment, so it is never read in place. Gives the program headers. */
static const Elf64_Phdr *copy_headers(char *page, u64 lo, u32 *count)
{
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)page;
    if (sys_read_memory(lo, page, PAGE_BYTES) != PAGE_BYTES ||
        memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64 ||
        head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phoff > PAGE_BYTES ||
        head->e_phoff % 8 != 0 ||
        head->e_phoff + (u64)head->e_phnum * sizeof(Elf64_Phdr) > PAGE_BYTES)
        return NULL;
    *count = head->e_phnum;
    return (const Elf64_Phdr *)(page + head->e_phoff);
}

/* The span of virtual addresses that the file's segments take, page-aligned. */
static bool load_span(const Elf64_Phdr *ph, u32 count, u64 *first, u64 *last)
{
    *first = ~0ul;
    *last = 0;
    for (u32 i = 0; i < count; i++) {
        if (ph[i].p_type != PT_LOAD)
            continue;
        if (ph[i].p_vaddr < *first)
            *first = ROUND_DOWN(ph[i].p_vaddr, PAGE_BYTES);
        if (ph[i].p_vaddr + ph[i].p_memsz > *last)
            *last = ROUND_UP(ph[i].p_vaddr + ph[i].p_memsz, PAGE_BYTES);
    }
    return *first < *last;
}

static bool read_headers(struct thread *t, struct entry *e, u64 lo)
{
    u32 count;
    u64 first, last;
    const Elf64_Phdr *ph = copy_headers(t->scratch.page, lo, &count);
    if (!ph || !load_span(ph, count, &first, &last))
        return false;
    memcpy(&e->head, t->scratch.page, sizeof e->head);
    e->module.lo = lo;
    e->module.bias = lo - first;
    e->module.hi = e->module.bias + last;
    for (u32 i = 0; i < count; i++) {
        u64 at = e->module.bias + ph[i].p_vaddr;
        if (at < lo || at + ph[i].p_memsz > e->module.hi)
            continue;
        if (ph[i].p_type == PT_GNU_EH_FRAME)
            e->module.eh_frame_hdr = at;
        else if (ph[i].p_type == PT_NOTE && !e->note)
            read_build_id(e, t->scratch.page, at, ph[i].p_memsz);
    }
    return true;
}

static u32 count_before(struct entry *table, u64 lo, u64 hi)
{
    u32 incarnation = 0;
    for (u32 i = ACQUIRE(&newest); i; i = table[i - 1].next) {
        const struct track_module *m = &table[i - 1].module;
        if (m->lo < hi && lo < m->hi && m->incarnation >= incarnation)
            incarnation = m->incarnation + 1;
    }
    return incarnation;
}

/* Links `fresh` unless the same module was linked meanwhile; returns the one that is linked. */
static struct entry *list_add(struct entry *table, struct entry *fresh)
{
    u32 head = ACQUIRE(&newest);
    for (;;) {
        struct entry *other = list_find(table, fresh->module.lo);
        if (other && other->module.hi == fresh->module.hi)
            return other;
        if (other)
            entry_retire(other);
        fresh->module.incarnation = count_before(table, fresh->module.lo, fresh->module.hi);
        fresh->next = head;
        if (__atomic_compare_exchange_n(&newest, &head, (u32)(fresh - table) + 1, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            RELEASE(&fresh->linked, true);
            return fresh;
        }
    }
}

static void add_module(struct thread *t, struct entry *table, u64 lo, const char *path)
{
    u32 slot = __atomic_fetch_add(&entry_count, 1, __ATOMIC_RELAXED);
    if (slot >= MODULE_MAX) {
        POKE(&entry_count, MODULE_MAX);
        return;
    }
    struct entry *fresh = &table[slot];
    if (!read_headers(t, fresh, lo)) { /* no module: its place is given back */
        *fresh = (struct entry){0};
        u32 taken = slot + 1;
        __atomic_compare_exchange_n(&entry_count, &taken, slot, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
        return;
    }
    text_format(fresh->module.path, sizeof fresh->module.path, "%s", path);
    list_add(table, fresh);
}

/* Does `address` belong to the file whose header is mapped at `lo`? */
static bool same_load(struct thread *t, u64 lo, u64 address)
{
    u32 count;
    u64 first, last;
    const Elf64_Phdr *ph = copy_headers(t->scratch.page, lo, &count);
    return ph && load_span(ph, count, &first, &last) && address - lo < last - first;
}

/* Scans the mappings for files with code, and adds those that are new: the kernel takes longer to
 * write the list than we to read the files' first pages, so it is not asked for each file anew.
 * The mappings of one load of a file lie in a row, the first at file offset 0 with its header;
 * the zero-filled tail of its data has no name and does not end the row. */
static void scan(struct thread *t, struct entry *table)
{
    struct maps_reader *r = &t->scratch.reader;
    struct maps_region *m = &t->scratch.region;
    char *row = t->scratch.path;
    u64 lo = 0;
    if (!maps_open(r, t->scratch.maps))
        return;
    row[0] = 0;
    while (maps_next(r, m)) {
        bool vdso = strcmp(m->path, "[vdso]") == 0;
        if (m->path[0] != '/' && !vdso)
            continue;
        bool same = strcmp(m->path, row) == 0;
        if (m->offset == 0 && m->read && !(same && lo && same_load(t, lo, m->lo))) {
            lo = m->lo;
            text_format(row, sizeof t->scratch.path, "%s", m->path);
        } else if (!same) {
            lo = 0;
            row[0] = 0;
        }
        if (m->exec && lo && !list_find(table, m->lo))
            add_module(t, table, lo, m->path);
    }
    maps_close(r);
}

const struct track_module *modules_find(struct thread *t, u64 pc)
{
    struct entry *table = entry_table();
    if (!table)
        return NULL;
    struct entry *e = list_find(table, pc);
    if (e && !entry_intact(e)) {
        entry_retire(e);
        e = NULL;
    }
    if (!e) {
        scan(t, table);
        e = list_find(table, pc);
    }
    return e ? &e->module : NULL;
}

const struct track_module *modules_known(u64 pc)
{
    struct entry *table = ACQUIRE(&entries);
    struct entry *e = table ? list_find(table, pc) : NULL;
    return e && entry_intact(e) ? &e->module : NULL;
}

void modules_check(void)
{
    struct entry *table = entry_table();
    if (!table)
        return;
    for (u32 i = ACQUIRE(&newest); i; i = table[i - 1].next) {
        struct entry *e = &table[i - 1];
        if (!PEEK(&e->module.gone) && !entry_intact(e))
            entry_retire(e);
    }
}

bool modules_mapping(struct thread *t, u64 address, u64 *lo, u64 *hi)
{
    struct maps_reader *r = &t->scratch.reader;
    struct maps_region *m = &t->scratch.region;
    bool found = false;
    if (!maps_open(r, t->scratch.maps))
        return false;
    while (!found && maps_next(r, m)) {
        if (address >= m->lo && address < m->hi && m->read) {
            *lo = m->lo;
            *hi = m->hi;
            found = true;
        }
    }
    maps_close(r);
    return found;
}

u32 track_modules_refresh(void)
{
    struct entry *table = entry_table();
    struct thread *t = thread_settle_agent();
    if (!table || !t)
        return 0;
    modules_check();
    scan(t, table);
    return ACQUIRE(&entry_count);
}

const struct track_module *track_module(u32 index)
{
    static const struct track_module unused;
    struct entry *table = entry_table();
    return table && ACQUIRE(&table[index].linked) ? &table[index].module : &unused;
}
