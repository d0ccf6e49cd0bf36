/* SPDX-License-Identifier: MIT
 *
 * lookup.c - many addresses at once: by file, in it by unit, in that by function.
 *
 * Context: tool.
 * Invariant: one file is open at a time, and each of its units is read once.
 * Why sorted: ten thousand addresses of a program lie in a few hundred units; and what is read of a
 * unit is worth keeping only as long as that unit is asked about.
 */
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"
#include "inlined.h"
#include "module.h"
#include "names.h"

/* One question while its file is open. */
struct item {
    u64 address;    /* of the debug information */
    Dwarf_Off unit; /* 0: none */
    u32 question;
};

struct lookup {
    const struct symbols_question *questions;
    symbols_found *found;
    void *context;
    struct elf_names *elf;
    struct module module;
    bool open;
    struct names names;
};

/* The items of one unit. */
struct batch {
    struct lookup *l;
    const struct item *items;
    Dwarf_Die *unit;    /* has the table of lines */
    Dwarf_Files *files; /* those that inlined calls refer to; may be NULL */
    u8 *answered;
};

/* --- one answer ---------------------------------------------------------------------------- */

static void read_line(Dwarf_Die *unit, u64 address, struct symbols_line *out)
{
    Dwarf_Line *line = unit ? dwarf_getsrc_die(unit, address) : NULL;
    const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
    int number;
    if (!file)
        return;
    out->file = file;
    if (dwarf_lineno(line, &number) == 0 && number > 0)
        out->line = (u32)number;
}

static void read_call(const struct batch *b, const struct inlined_scope *scope,
                      struct symbols_line *out)
{
    const char *file = b->files && scope->call_file != INLINED_NOWHERE
                           ? dwarf_filesrc(b->files, scope->call_file, NULL, NULL)
                           : NULL;
    if (!file || !strcmp(file, "???")) /* libdw's word for file 0 before DWARF 5 */
        return;
    out->file = file;
    out->line = scope->call_line;
}

/* The function that the machine code is of: by its symbol, which is what it is called without debug
 * information too. *owned is to be freed. */
static const char *compiled_function(struct lookup *l, const struct item *item,
                                     const struct inlined_scope *scope, char **owned)
{
    const struct symbols_question *q = &l->questions[item->question];
    const char *name = elf_names_find(l->elf, q->path, q->build_id, q->build_id_bytes, q->address);
    *owned = NULL;
    if (*name)
        return name;
    const char *mangled = l->open ? module_symbol(&l->module, q->address) : NULL;
    *owned = mangled ? elf_demangle(mangled) : NULL;
    if (*owned)
        return *owned;
    return scope ? names_of(&l->names, (Dwarf_Die *)(uintptr_t)&scope->function) : "";
}

static void answer(struct lookup *l, const struct batch *b, const struct item *item,
                   const struct inlined_scope *scope)
{
    struct symbols_line lines[LOOKUP_DEPTH_MAX] = {{"", "", 0}};
    u32 depth = 1;
    char *owned;
    read_line(b ? b->unit : NULL, item->address, &lines[0]);
    for (; scope && scope->outer && depth < LOOKUP_DEPTH_MAX; scope = scope->outer) {
        lines[depth - 1].function = names_of(&l->names, (Dwarf_Die *)(uintptr_t)&scope->function);
        lines[depth] = (struct symbols_line){"", "", 0};
        read_call(b, scope, &lines[depth]);
        depth++;
    }
    lines[depth - 1].function = compiled_function(l, item, scope, &owned);
    if (depth > 1 || *lines[0].function || *lines[0].file)
        l->found(l->context, item->question, lines, depth);
    free(owned);
}

/* --- one unit, one file -------------------------------------------------------------------- */

static void answer_scope(void *context, u32 index, const struct inlined_scope *innermost)
{
    struct batch *b = context;
    b->answered[index] = 1;
    answer(b->l, b, &b->items[index], innermost);
}

/* The entries of a unit may lie in a file of their own (.dwo). */
static Dwarf_Die *entries_of(Dwarf_Die *unit, Dwarf_Die *split)
{
    uint8_t type;
    if (dwarf_cu_info(unit->cu, NULL, &type, NULL, split, NULL, NULL, NULL) == 0 &&
        type == DW_UT_skeleton && split->addr)
        return split;
    return unit;
}

static void answer_unit(struct lookup *l, const struct item *items, u32 count)
{
    Dwarf_Die unit, split;
    struct batch b = {.l = l, .items = items, .unit = &unit};
    u64 *addresses = malloc(count * sizeof *addresses);
    b.answered = calloc(count, 1);
    if (addresses && b.answered && dwarf_offdie(l->module.dwarf, items[0].unit, &unit)) {
        size_t file_count;
        Dwarf_Die *entries = entries_of(&unit, &split);
        if (dwarf_getsrcfiles(entries, &b.files, &file_count) != 0)
            b.files = NULL;
        for (u32 i = 0; i < count; i++)
            addresses[i] = items[i].address;
        inlined_find(entries, addresses, count, answer_scope, &b);
        for (u32 i = 0; i < count; i++)
            if (!b.answered[i])
                answer(l, &b, &items[i], NULL);
    }
    free(addresses);
    free(b.answered);
}

static int by_unit(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    return a->address < b->address ? -1 : a->address > b->address;
}

static void answer_file(struct lookup *l, struct item *items, u32 count,
                        const struct symbols_where *where)
{
    const struct symbols_question *q = &l->questions[items[0].question];
    l->open = module_open(&l->module, q->path, q->build_id, q->build_id_bytes, where);
    for (u32 i = 0; l->open && i < count; i++) {
        Dwarf_Die unit;
        items[i].address -= l->module.bias;
        if (module_unit(&l->module, items[i].address, &unit))
            items[i].unit = dwarf_dieoffset(&unit);
    }
    qsort(items, count, sizeof *items, by_unit);
    for (u32 i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && items[end].unit == items[i].unit;)
            end++;
        if (items[i].unit)
            answer_unit(l, items + i, end - i);
        else
            for (u32 k = i; k < end; k++)
                answer(l, NULL, &items[k], NULL);
    }
    names_free(&l->names);
    if (l->open)
        module_close(&l->module);
}

/* --- all of them --------------------------------------------------------------------------- */

static int compare_files(const struct symbols_question *a, const struct symbols_question *b)
{
    int order = a->path == b->path ? 0 : strcmp(a->path, b->path);
    if (order)
        return order;
    if (a->build_id_bytes != b->build_id_bytes)
        return a->build_id_bytes < b->build_id_bytes ? -1 : 1;
    return a->build_id_bytes ? memcmp(a->build_id, b->build_id, a->build_id_bytes) : 0;
}

static int by_file(const void *left, const void *right, void *context)
{
    const struct symbols_question *questions = context;
    const struct item *a = left, *b = right;
    return compare_files(&questions[a->question], &questions[b->question]);
}

void symbols_lookup(const struct symbols_question *questions, u32 count,
                    const struct symbols_where *where, symbols_found *found, void *context)
{
    struct lookup l = {
        .questions = questions, .found = found, .context = context, .elf = elf_names_create()};
    struct item *items = malloc((count ? count : 1) * sizeof *items);
    unsetenv("DEBUGINFOD_URLS"); /* libdwfl would fetch debug information from there */
    if (l.elf && items) {
        for (u32 i = 0; i < count; i++)
            items[i] = (struct item){.address = questions[i].address, .question = i};
        qsort_r(items, count, sizeof *items, by_file, (void *)(uintptr_t)questions);
        for (u32 i = 0, end; i < count; i = end) {
            for (end = i + 1; end < count && compare_files(&questions[items[i].question],
                                                           &questions[items[end].question]) == 0;)
                end++;
            answer_file(&l, items + i, end - i, where);
        }
    }
    free(items);
    elf_names_destroy(l.elf);
}
