/* SPDX-License-Identifier: MIT
 *
 * view.c - accepts or refuses a snapshot: every offset, index, count and string is checked here,
 * once, so that every reader after it follows them without a check.
 *
 * Context: pure. The file may come from anywhere; nothing in it is trusted.
 * Invariant: *s is filled only with pointers into [bytes, bytes + size) whose whole extent has been
 * checked; when the answer is no, the caller still owns the memory.
 */
#include <string.h>

#include "base/base.h"
#include "layout.h"
#include "view.h"

static const char *section_name(u32 code)
{
    switch (code) {
#define X(name, number, bytes, help)                                                               \
    case number:                                                                                   \
        return #name;
        SNAPSHOT_SECTIONS(X)
#undef X
    default:
        return "unknown";
    }
}

bool view_bad(const struct view_check *c, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    text_format_va(what, sizeof what, format, args);
    va_end(args);
    return err_set(c->e, STATUS_MALFORMED, "moonheap snapshot %s: %s", c->file, what);
}

static bool check_header(struct view_check *c)
{
    const struct snapshot_header *h = (const struct snapshot_header *)c->bytes;
    if (c->size < sizeof *h)
        return view_bad(c, "%llu bytes are too few for a snapshot", LLU(c->size));
    if (memcmp(h->magic, SNAPSHOT_MAGIC, sizeof h->magic) != 0)
        return view_bad(c, "not a snapshot (it does not begin with " SNAPSHOT_MAGIC ")");
    if (h->byte_order != SNAPSHOT_BYTE_ORDER)
        return view_bad(c, "written on a machine of the other byte order");
    if (h->version != SNAPSHOT_VERSION)
        return view_bad(c, "format version %u, this Moonheap reads version %u", h->version,
                        SNAPSHOT_VERSION);
    if (h->pointer_bytes != 8)
        return view_bad(c, "pointers of %u bytes, this Moonheap reads 8", h->pointer_bytes);
    if (h->file_bytes != c->size)
        return view_bad(c, "%llu bytes long, its header says %llu: cut or overwritten",
                        LLU(c->size), LLU(h->file_bytes));
    return true;
}

/* Table entries are in the order of their offsets, so "no overlap" is one comparison each. */
static bool check_table(struct view_check *c)
{
    const struct snapshot_header *h = (const struct snapshot_header *)c->bytes;
    const struct snapshot_entry *table = snapshot_table(c->bytes);
    if (h->section_count > (c->size - sizeof *h) / sizeof *table)
        return view_bad(c, "its table of %u sections does not fit", h->section_count);

    u64 end = sizeof *h + (u64)h->section_count * sizeof *table;
    for (u32 i = 0; i < h->section_count; i++) {
        const struct snapshot_entry *t = &table[i];
        const char *name = section_name(t->code);
        if (t->offset % SNAPSHOT_ALIGN != 0)
            return view_bad(c, "section %s (%u): offset %llu is not aligned", name, t->code,
                            LLU(t->offset));
        if (t->offset < end)
            return view_bad(c, "section %s (%u): overlaps what is before it", name, t->code);
        if (t->offset > c->size || t->record_bytes == 0 ||
            t->count > (c->size - t->offset) / t->record_bytes)
            return view_bad(c, "section %s (%u): %llu records of %u bytes at %llu do not fit", name,
                            t->code, LLU(t->count), t->record_bytes, LLU(t->offset));
        end = t->offset + t->count * t->record_bytes;

        u32 expected = snapshot_record_bytes(t->code);
        if (!expected) /* of a later Moonheap: skipped */
            continue;
        if (t->record_bytes != expected)
            return view_bad(c, "section %s: records of %u bytes, expected %u", name,
                            t->record_bytes, expected);
        if (t->count >= UINT32_MAX)
            return view_bad(c, "section %s: %llu records are too many", name, LLU(t->count));
        if (c->found[t->code])
            return view_bad(c, "section %s: there are two", name);
        c->found[t->code] = t;
    }
    return true;
}

const void *view_records(const struct view_check *c, enum snapshot_section code, u32 *count)
{
    const struct snapshot_entry *t = c->found[code];
    *count = t ? (u32)t->count : 0;
    return t ? c->bytes + t->offset : NULL;
}

/* A pool of strings begins with the empty one and ends with a NUL: any offset in it is a string. */
static bool check_strings(const struct view_check *c, enum snapshot_section code,
                          const char **strings, u32 *bytes)
{
    *strings = view_records(c, code, bytes);
    if (*bytes == 0)
        return view_bad(c, "section %s: missing or empty", section_name(code));
    if ((*strings)[0] != '\0' || (*strings)[*bytes - 1] != '\0')
        return view_bad(c, "section %s: does not begin and end with a NUL", section_name(code));
    return true;
}

static bool check_meta(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    u32 count;
    s->meta = view_records(c, SNAPSHOT_META, &count);
    if (count != 1)
        return view_bad(c, "section META: %u records, expected one", count);
    const struct snapshot_meta *m = s->meta;
    if (m->exe >= string_bytes || m->allocator >= string_bytes || m->notes >= string_bytes)
        return view_bad(c, "section META: a string lies outside STRINGS");
    if (m->stop >= SNAPSHOT_STOP_LIMIT)
        return view_bad(c, "section META: threads were stopped in the unknown way %u", m->stop);
    s->missed = view_records(c, SNAPSHOT_MISSED, &s->missed_count);
    for (u32 i = 0; i < s->missed_count; i++)
        if (s->missed[i].name >= string_bytes || s->missed[i].why >= string_bytes)
            return view_bad(c, "section MISSED: a string of record %u lies outside STRINGS", i + 1);
    return true;
}

static bool check_places(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    s->modules = view_records(c, SNAPSHOT_MODULES, &s->module_count);
    for (u32 i = 0; i < s->module_count; i++) {
        const struct snapshot_module *m = &s->modules[i];
        if (m->path >= string_bytes)
            return view_bad(c, "section MODULES: path of module %u lies outside STRINGS", i + 1);
        if (m->lo > m->hi)
            return view_bad(c, "section MODULES: module %u ends before it begins", i + 1);
        if (m->build_id_bytes > sizeof m->build_id)
            return view_bad(c, "section MODULES: module %u has a build-id of %u bytes", i + 1,
                            m->build_id_bytes);
    }
    s->threads = view_records(c, SNAPSHOT_THREADS, &s->thread_count);
    for (u32 i = 0; i < s->thread_count; i++) {
        const struct snapshot_thread *t = &s->threads[i];
        if (t->name >= string_bytes)
            return view_bad(c, "section THREADS: name of thread %u lies outside STRINGS",
                            t->number);
        if (t->number == 0 || (i > 0 && t->number <= s->threads[i - 1].number))
            return view_bad(c, "section THREADS: record %u breaks the order of numbers", i + 1);
    }
    return true;
}

static bool check_stacks(const struct view_check *c, struct snapshot *s)
{
    s->frames = view_records(c, SNAPSHOT_FRAMES, &s->frame_count);
    for (u32 i = 0; i < s->frame_count; i++)
        if (s->frames[i].module > s->module_count)
            return view_bad(c, "section FRAMES: frame %u names module %u of %u", i + 1,
                            s->frames[i].module, s->module_count);
    s->stacks = view_records(c, SNAPSHOT_STACKS, &s->stack_count);
    for (u32 i = 0; i < s->stack_count; i++) {
        u32 frame = s->stacks[i].frame & ~SNAPSHOT_STACK_CUT;
        if (frame == 0 || frame > s->frame_count)
            return view_bad(c, "section STACKS: node %u names frame %u of %u", i + 1, frame,
                            s->frame_count);
        if (s->stacks[i].parent > i)
            return view_bad(c, "section STACKS: node %u comes before its caller %u", i + 1,
                            s->stacks[i].parent);
    }
    return true;
}

/* The calls of each thread follow those of the one before. */
static bool check_standing(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    u32 next = 0;
    s->standing = view_records(c, SNAPSHOT_STANDING, &s->standing_count);
    s->calls = view_records(c, SNAPSHOT_CALLS, &s->call_count);
    for (u32 i = 0; i < s->standing_count; i++) {
        const struct snapshot_standing *t = &s->standing[i];
        if (i > 0 && t->tid <= t[-1].tid)
            return view_bad(c, "section STANDING: record %u breaks the order of threads", i + 1);
        if (t->name >= string_bytes)
            return view_bad(c, "section STANDING: name of thread %u lies outside STRINGS", t->tid);
        if (t->first_call != next || t->call_count > s->call_count - next)
            return view_bad(c, "section STANDING: calls of thread %u are not in their place",
                            t->tid);
        next += t->call_count;
    }
    if (next != s->call_count)
        return view_bad(c, "section CALLS: record %u belongs to no thread", next + 1);
    for (u32 i = 0; i < s->call_count; i++) {
        const struct snapshot_call *k = &s->calls[i];
        if (k->frame == 0 || k->frame > s->frame_count)
            return view_bad(c, "section CALLS: record %u names frame %u of %u", i + 1, k->frame,
                            s->frame_count);
        if (k->lo > k->hi)
            return view_bad(c, "section CALLS: record %u ends before it begins", i + 1);
    }
    return true;
}

/* The lines of frame i (from 0) are frame_lines[i] to frame_lines[i + 1]. */
static bool check_lines(const struct view_check *c, struct snapshot *s, u32 name_bytes)
{
    if (!c->found[SNAPSHOT_FRAME_LINES] || c->found[SNAPSHOT_FRAME_LINES]->count == 0)
        return true;
    u32 count;
    s->lines = view_records(c, SNAPSHOT_LINES, &s->line_count);
    s->frame_lines = view_records(c, SNAPSHOT_FRAME_LINES, &count);
    if (count != s->frame_count + 1)
        return view_bad(c, "section FRAME_LINES: %u records for %u frames", count, s->frame_count);
    if (s->frame_lines[0] != 0 || s->frame_lines[s->frame_count] != s->line_count)
        return view_bad(c, "section FRAME_LINES: does not span the %u lines", s->line_count);
    for (u32 i = 0; i < s->frame_count; i++)
        if (s->frame_lines[i] > s->frame_lines[i + 1])
            return view_bad(c, "section FRAME_LINES: frame %u is out of order", i + 1);
    for (u32 i = 0; i < s->line_count; i++)
        if (s->lines[i].function >= name_bytes || s->lines[i].file >= name_bytes)
            return view_bad(c, "section LINES: a name of line %u lies outside NAMES", i + 1);
    return true;
}

static bool check_names(const struct view_check *c, struct snapshot *s)
{
    if (!c->found[SNAPSHOT_FRAME_NAMES] || c->found[SNAPSHOT_FRAME_NAMES]->count == 0)
        return true;
    u32 name_bytes, count;
    if (!check_strings(c, SNAPSHOT_NAMES, &s->names, &name_bytes))
        return false;
    s->frame_names = view_records(c, SNAPSHOT_FRAME_NAMES, &count);
    if (count != s->frame_count)
        return view_bad(c, "section FRAME_NAMES: %u names for %u frames", count, s->frame_count);
    for (u32 i = 0; i < count; i++)
        if (s->frame_names[i] >= name_bytes)
            return view_bad(c, "section FRAME_NAMES: name of frame %u lies outside NAMES", i + 1);
    return check_lines(c, s, name_bytes);
}

static bool check_vtables(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    s->vtables = view_records(c, SNAPSHOT_VTABLES, &s->vtable_count);
    for (u32 i = 0; i < s->vtable_count; i++) {
        if (s->vtables[i].name >= string_bytes)
            return view_bad(c, "section VTABLES: name of vtable %u lies outside STRINGS", i + 1);
        if (s->vtables[i].module > s->module_count)
            return view_bad(c, "section VTABLES: vtable %u names module %u of %u", i + 1,
                            s->vtables[i].module, s->module_count);
    }
    return true;
}

static u32 largest(const u32 *column, u32 count)
{
    u32 most = 0;
    for (u32 i = 0; i < count; i++)
        most = column[i] > most ? column[i] : most;
    return most;
}

/* Only the sizes that do not fit in 32 bits are in BIG_SIZES, in the order of their blocks. */
static bool check_big_sizes(const struct view_check *c, struct snapshot *s)
{
    s->big_sizes = view_records(c, SNAPSHOT_BIG_SIZES, &s->big_size_count);
    u32 next = 0;
    for (u32 i = 0; i < s->block_count; i++) {
        if (s->block_size[i] != UINT32_MAX)
            continue;
        if (next == s->big_size_count || s->big_sizes[next].block != i + 1)
            return view_bad(c, "section BIG_SIZES: the size of block %u is not in its place",
                            i + 1);
        if (s->big_sizes[next].size < UINT32_MAX)
            return view_bad(c, "section BIG_SIZES: block %u is not that big", i + 1);
        next++;
    }
    if (next != s->big_size_count)
        return view_bad(c, "section BIG_SIZES: record %u belongs to no block", next + 1);
    return true;
}

static bool check_blocks(const struct view_check *c, struct snapshot *s)
{
    u32 count = 0;
    s->block_addr = view_records(c, SNAPSHOT_BLOCK_ADDR, &s->block_count);
    s->epoch_age_ns = view_records(c, SNAPSHOT_EPOCHS, &s->epoch_count);

#define COLUMN(field, CODE)                                                                        \
    s->field = view_records(c, SNAPSHOT_##CODE, &count);                                           \
    if (count != s->block_count)                                                                   \
        return view_bad(c, "section " #CODE ": %u records for %u blocks", count, s->block_count);
    COLUMN(block_size, BLOCK_SIZE)
    COLUMN(block_stack, BLOCK_STACK)
    COLUMN(block_birth, BLOCK_BIRTH)
    COLUMN(block_thread, BLOCK_THREAD)
    if (c->found[SNAPSHOT_BLOCK_VTABLE] && c->found[SNAPSHOT_BLOCK_VTABLE]->count > 0) {
        COLUMN(block_vtable, BLOCK_VTABLE)
    }
    if (c->found[SNAPSHOT_BLOCK_TAG] && c->found[SNAPSHOT_BLOCK_TAG]->count > 0) {
        COLUMN(block_tag, BLOCK_TAG)
    }
#undef COLUMN
    if (s->block_count == 0)
        return check_big_sizes(c, s);

    bool nests = c->found[SNAPSHOT_NESTS] && c->found[SNAPSHOT_NESTS]->count > 0;
    for (u32 i = 1; i < s->block_count; i++)
        if (s->block_addr[i] < s->block_addr[i - 1] ||
            (s->block_addr[i] == s->block_addr[i - 1] && !nests))
            return view_bad(c, "section BLOCK_ADDR: block %u is not above the one before", i + 1);
    u32 most = largest(s->block_stack, s->block_count);
    if (most > s->stack_count)
        return view_bad(c, "section BLOCK_STACK: a block names stack %u of %u", most,
                        s->stack_count);
    most = largest(s->block_birth, s->block_count);
    if (most >= s->epoch_count)
        return view_bad(c, "section BLOCK_BIRTH: a block names epoch %u of %u", most,
                        s->epoch_count);
    if (s->block_vtable) {
        most = largest(s->block_vtable, s->block_count);
        if (most > s->vtable_count)
            return view_bad(c, "section BLOCK_VTABLE: a block names vtable %u of %u", most,
                            s->vtable_count);
    }
    if (s->block_tag) {
        most = 0;
        for (u32 i = 0; i < s->block_count; i++)
            most = s->block_tag[i] > most ? s->block_tag[i] : most;
        if (most > s->tag_count)
            return view_bad(c, "section BLOCK_TAG: a block names tag %u of %u", most,
                            s->tag_count);
    }
    if (!check_big_sizes(c, s))
        return false;

    /* Blocks may lie within one another (a pool's blocks in the pool), but none beyond memory,
     * and together they may not exceed what 64 bits count. */
    u64 total = 0;
    for (u32 i = 0, big = 0; i < s->block_count; i++) {
        u64 size = s->block_size[i];
        if (size == UINT32_MAX)
            size = s->big_sizes[big++].size;
        if (size > UINT64_MAX - s->block_addr[i])
            return view_bad(c, "section BLOCK_SIZE: block %u reaches beyond the address space",
                            i + 1);
        if (__builtin_add_overflow(total, size, &total))
            return view_bad(c, "section BLOCK_SIZE: the sizes add up to more than 64 bits hold");
    }
    return true;
}

static bool check_told(const struct view_check *c, struct snapshot *s, u32 string_bytes)
{
    u32 count;
    s->tags = view_records(c, SNAPSHOT_TAGS, &s->tag_count);
    for (u32 i = 0; i < s->tag_count; i++)
        if (s->tags[i] >= string_bytes)
            return view_bad(c, "section TAGS: name of tag %u lies outside STRINGS", i + 1);
    s->custom = view_records(c, SNAPSHOT_CUSTOM, &count);
    if (count > 1)
        return view_bad(c, "section CUSTOM: %u records instead of one", count);
    s->custom = count ? s->custom : NULL;
    s->recording = view_records(c, SNAPSHOT_RECORDING, &count);
    if (count > 1)
        return view_bad(c, "section RECORDING: %u records instead of one", count);
    s->recording = count ? s->recording : NULL;
    return true;
}

static bool check_nests(const struct view_check *c, struct snapshot *s)
{
    s->nests = view_records(c, SNAPSHOT_NESTS, &s->nest_count);
    for (u32 i = 0; i < s->nest_count; i++) {
        const struct snapshot_nest *n = &s->nests[i];
        if (n->block == 0 || n->block > s->block_count || (i > 0 && n->block <= n[-1].block))
            return view_bad(c, "section NESTS: record %u is out of order", i + 1);
        if (n->own_bytes > snapshot_block_bytes(s, (block_id){n->block}))
            return view_bad(c, "section NESTS: block %u is not that long", n->block);
    }
    return true;
}

bool snapshot_check(struct snapshot *s, const char *file, void *bytes, u64 size,
                    void (*release)(struct snapshot *), struct err *e)
{
    struct view_check c = {.bytes = bytes, .size = size, .file = file, .e = e};
    struct snapshot v = {.bytes = bytes, .size = size, .release = release, .names = ""};
    u32 string_bytes;
    if ((uintptr_t)bytes % SNAPSHOT_ALIGN != 0)
        return err_set(e, STATUS_USAGE, "a snapshot must lie at a multiple of %d bytes",
                       SNAPSHOT_ALIGN);
    if (!check_header(&c) || !check_table(&c) ||
        !check_strings(&c, SNAPSHOT_STRINGS, &v.strings, &string_bytes) ||
        !check_meta(&c, &v, string_bytes) || !check_places(&c, &v, string_bytes) ||
        !check_stacks(&c, &v) || !check_standing(&c, &v, string_bytes) || !check_names(&c, &v) ||
        !check_vtables(&c, &v, string_bytes) || !check_told(&c, &v, string_bytes) ||
        !check_blocks(&c, &v) || !check_nests(&c, &v) || !references_check(&c, &v, string_bytes))
        return false;
    *s = v;
    return true;
}

bool snapshot_open_memory(struct snapshot *s, void *bytes, u64 size,
                          void (*release)(struct snapshot *), struct err *e)
{
    return snapshot_check(s, "in memory", bytes, size, release, e);
}

void snapshot_close(struct snapshot *s)
{
    if (s->bytes && s->release)
        s->release(s);
    *s = (struct snapshot){0};
}
