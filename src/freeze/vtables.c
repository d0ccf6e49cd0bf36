/* SPDX-License-Identifier: MIT
 *
 * vtables.c - which blocks begin with a C++ virtual table, and of which type.
 *
 * Context: frozen. The program's memory is read with sys_read_memory, since threads run on and any
 * address may go at any moment; in a clone, where it does not change, who searches blocks for
 * references hands over each block's first word: to read them all twice would cost a tenth of it.
 * Invariant: a value is accepted only when everything that the Itanium C++ ABI (2.9.5) promises of
 * a virtual table holds: before it the offset to the top of the object and a type_info, whose own
 * virtual table is that of a class of namespace __cxxabiv1 and whose name is a mangled type name.
 * All of these lie in files that are mapped with code. It needs no symbols, so stripped and
 * statically linked programs are served too.
 * An array from new T[n], whose elements have destructors, has their number in front (2.7): it is
 * accepted when the rest of the block divides into as many parts that begin with one and the same
 * table. Its type is the mangled name of the array, A12_7session, and counts as a table of its own.
 *
 * How it is fast: neighbouring blocks are read in one call; most first words are refused by a
 * bitmap of the 64 KiB chunks that modules lie in; and each remaining value is judged once.
 */
#include <string.h>

#include "job.h"

enum {
    WINDOW_BYTES = 1 << 18,
    GAP_BYTES = 2048, /* between two blocks; further apart, one call less is not worth it */
    CHUNK_SHIFT = 16,
    CHUNK_BITS = 1 << 17,
    VERDICTS = 1 << 18,
    KINDS = 16,
    NAME_BYTES = 4096,
    TO_TOP_LIMIT = 1 << 24,
    ARRAY_LIMIT = 1 << 16,
    ARRAY_SHIFT = 48, /* above the address in the key of a verdict: the number of elements */
};

struct verdict {
    u64 value;  /* what blocks begin with, or of arrays the elements and their number; 0 = free */
    u32 vtable; /* 0 = none */
};

struct vtables {
    const struct freeze_modules *modules;
    struct freeze_strings *strings;
    struct snapshot_vtable *vtables;
    u32 *column; /* BLOCK_VTABLE */
    u32 vtable_count;
    u32 verdict_count;
    u64 kinds[KINDS]; /* virtual tables of classes of __cxxabiv1 met so far */
    u32 kind_count;
    u64 chunks[CHUNK_BITS / 64];
    struct verdict verdicts[VERDICTS];
    char name[NAME_BYTES];
    u8 window[WINDOW_BYTES];
};

static void note_chunks(struct vtables *s)
{
    for (u32 i = 0; i < s->modules->count; i++) {
        const struct snapshot_module *m = &s->modules->records[i];
        u64 first = m->lo >> CHUNK_SHIFT, last = (m->hi - 1) >> CHUNK_SHIFT;
        if (m->gone)
            continue;
        for (u64 n = first; n <= last && n - first < CHUNK_BITS; n++)
            s->chunks[n % CHUNK_BITS / 64] |= 1ul << n % 64;
    }
}

static ALWAYS_INLINE bool may_be_in_module(const struct vtables *s, u64 value)
{
    u64 n = (value >> CHUNK_SHIFT) % CHUNK_BITS;
    return (s->chunks[n / 64] >> n % 64 & 1) && value % sizeof(u64) == 0 && value != 0;
}

static bool read_words(const struct vtables *s, u64 address, u64 *words, u32 count)
{
    return address % sizeof(u64) == 0 && freeze_modules_now(s->modules, address) &&
           sys_read_memory(address, words, count * sizeof(u64)) == count * sizeof(u64);
}

/* The mangled type name at `address`, in s->name; NULL when it is not one. */
static const char *read_name(struct vtables *s, u64 address)
{
    if (!freeze_modules_now(s->modules, address))
        return NULL;
    size_t got = 0;
    /* Page by page: names are short, and the page after may not be there. */
    while (got < sizeof s->name) {
        size_t want = PAGE_BYTES - (address + got) % PAGE_BYTES;
        want = want < sizeof s->name - got ? want : sizeof s->name - got;
        if (sys_read_memory(address + got, s->name + got, want) != want)
            return NULL;
        if (memchr(s->name + got, '\0', want))
            break;
        got += want;
    }
    if (got >= sizeof s->name)
        return NULL;
    const char *name = s->name[0] == '*' ? s->name + 1 : s->name;
    if (!((*name >= '1' && *name <= '9') || *name == 'N' || *name == 'S' || *name == 'Z'))
        return NULL;
    for (const char *at = name; *at; at++)
        if ((u8)*at <= ' ' || *at == 0x7f)
            return NULL;
    return name;
}

/* Is this the virtual table of __class_type_info, __si_class_type_info or another of its family?
 * Its own type_info is named in namespace __cxxabiv1. */
static bool is_kind(struct vtables *s, u64 table)
{
    for (u32 i = 0; i < s->kind_count; i++)
        if (s->kinds[i] == table)
            return true;
    u64 info, words[2];
    static const char family[] = "N10__cxxabiv1";
    if (!read_words(s, table - sizeof(u64), &info, 1) || !read_words(s, info, words, 2))
        return false;
    const char *name = read_name(s, words[1]);
    if (!name || strncmp(name, family, sizeof family - 1) != 0)
        return false;
    if (s->kind_count < KINDS)
        s->kinds[s->kind_count++] = table;
    return true;
}

/* 1-based index of the virtual table at `value`; 0 when there is none. */
static u32 judge(struct vtables *s, u64 value)
{
    u64 head[2], info[2];
    u32 module = freeze_modules_now(s->modules, value);
    if (!module || s->vtable_count == FREEZE_VTABLES_ROOM ||
        !read_words(s, value - sizeof head, head, 2) || !read_words(s, head[1], info, 2))
        return 0;
    i64 to_top = (i64)head[0];
    if (to_top < -TO_TOP_LIMIT || to_top > TO_TOP_LIMIT || !is_kind(s, info[0]))
        return 0;
    const char *name = read_name(s, info[1]);
    u32 text = name ? freeze_strings_add(s->strings, name) : 0;
    if (!text)
        return 0;
    s->vtables[s->vtable_count] = (struct snapshot_vtable){
        .address = value, .to_top = to_top, .name = text, .module = module};
    return ++s->vtable_count;
}

/* The verdict on a value, *fresh when there was none yet; NULL when there is no room for more. */
static struct verdict *verdict_on(struct vtables *s, u64 value, bool *fresh)
{
    u64 at = (value >> 3) * 0x9e3779b97f4a7c15ul >> 32;
    for (;; at++) {
        struct verdict *v = &s->verdicts[at % VERDICTS];
        *fresh = v->value == 0;
        if (v->value == value)
            return v;
        if (*fresh) {
            if (s->verdict_count >= VERDICTS / 4 * 3)
                return NULL; /* so many values are not virtual tables */
            s->verdict_count++;
            v->value = value;
            return v;
        }
    }
}

static u32 vtable_of(struct vtables *s, u64 value)
{
    if (LIKELY(!may_be_in_module(s, value)))
        return 0;
    bool fresh;
    struct verdict *v = verdict_on(s, value, &fresh);
    if (v && fresh)
        v->vtable = judge(s, value);
    return v ? v->vtable : 0;
}

/* Do all elements of an array begin with that value? */
static bool all_begin_with(u64 value, u64 address, u64 count, u64 step)
{
    u64 words[64]; /* one at a time when elements are larger than that */
    u64 together = step < sizeof words ? sizeof words / step : 1;
    for (u64 i = 0; i < count; i += together) {
        u64 here = count - i < together ? count - i : together;
        u64 bytes = (here - 1) * step + sizeof(u64);
        if (sys_read_memory(address + i * step, words, bytes) != bytes)
            return false;
        for (u64 k = 0; k < here; k++)
            if (words[k * step / sizeof(u64)] != value)
                return false;
    }
    return true;
}

/* The table of a block that begins with the number of its elements, 0 when it does not: `count`
 * and `value` are its first two words. */
static NOINLINE u32 vtable_of_array(struct vtables *s, u64 address, u64 bytes, u64 count, u64 value)
{
    u32 element = vtable_of(s, value);
    u64 room = bytes - sizeof(u64), step = room / count;
    if (!element || s->vtables[element - 1].to_top || room % count || step % sizeof(u64) ||
        !all_begin_with(value, address + sizeof(u64), count, step))
        return 0;
    bool fresh;
    struct verdict *v = verdict_on(s, value | count << ARRAY_SHIFT, &fresh);
    if (!v || !fresh || s->vtable_count == FREEZE_VTABLES_ROOM)
        return v ? v->vtable : 0;
    text_format(s->name, sizeof s->name, "A%llu_%s", (unsigned long long)count,
                s->strings->bytes + s->vtables[element - 1].name);
    struct snapshot_vtable array = s->vtables[element - 1];
    array.name = freeze_strings_add(s->strings, s->name);
    if (array.name) {
        s->vtables[s->vtable_count] = array;
        v->vtable = ++s->vtable_count;
    }
    return v->vtable;
}

/* May the first word of a block be the number of its elements? Operator new[] gives blocks whose
 * first two words lie in one page. */
static ALWAYS_INLINE bool may_be_count(u64 word, u64 address, u64 bytes)
{
    return word - 1 < ARRAY_LIMIT - 1 && bytes >= (word + 1) * sizeof(u64) &&
           address % (2 * sizeof(u64)) == 0;
}

/* Blocks [first, result) are near enough to each other to be read in one call. */
static u32 window_end(const struct freeze_blocks *b, u32 first)
{
    u32 i = first + 1;
    while (i < b->count && b->addr[i] + sizeof(u64) - b->addr[first] <= WINDOW_BYTES &&
           b->addr[i] - b->addr[i - 1] <= GAP_BYTES)
        i++;
    return i;
}

/* Where the program runs on. */
static void search_blocks(struct vtables *s, const struct freeze_blocks *b)
{
    u32 *column = s->column;
    for (u32 i = 0, end; i < b->count; i = end) {
        u64 start = b->addr[i];
        end = window_end(b, i);
        u64 wanted = b->addr[end - 1] + sizeof(u64) - start;
        u64 got = sys_read_memory(start, s->window, wanted);
        for (u32 k = i; k < end; k++) {
            u64 word, at = b->addr[k] - start;
            if (b->size[k] < sizeof word)
                continue;
            if (LIKELY(at + sizeof word <= got))
                memcpy(&word, s->window + at, sizeof word);
            else if (sys_read_memory(b->addr[k], &word, sizeof word) != sizeof word)
                continue;
            u32 vtable = vtable_of(s, word);
            u64 next;
            if (UNLIKELY(may_be_count(word, b->addr[k], b->size[k])) &&
                sys_read_memory(b->addr[k] + sizeof word, &next, sizeof next) == sizeof next)
                vtable = vtable_of_array(s, b->addr[k], freeze_blocks_bytes(b, k), word, next);
            if (vtable) /* pages of the column without one stay untouched */
                column[k] = vtable;
        }
    }
}

struct vtables *vtables_begin(struct freeze_job *j)
{
    struct snapshot_vtable *vtables =
        snapshot_writer_whole(j->w, SNAPSHOT_VTABLES, FREEZE_VTABLES_ROOM);
    u32 *column = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_VTABLE, j->blocks.count);
    struct vtables *s = vtables && column ? sys_map(ROUND_UP(sizeof *s, PAGE_BYTES)) : NULL;
    if (!s)
        return NULL;
    s->modules = &j->modules;
    s->strings = &j->strings;
    s->vtables = vtables;
    s->column = column;

    u64 probe;
    j->unreadable = sys_read_memory((u64)(uintptr_t)&column, &probe, sizeof probe) == 0;
    note_chunks(s);
    return s;
}

void vtables_look(struct vtables *s, u32 block, const u64 *words, u64 bytes)
{
    u32 vtable = vtable_of(s, words[0]);
    if (may_be_count(words[0], (u64)(uintptr_t)words, bytes) && may_be_in_module(s, words[1]))
        vtable = vtable_of_array(s, (u64)(uintptr_t)words, bytes, words[0], words[1]);
    if (vtable)
        s->column[block] = vtable;
}

void vtables_end(struct vtables *s, struct freeze_job *j)
{
    if (!s)
        return;
    snapshot_writer_trim(j->w, SNAPSHOT_VTABLES, s->vtable_count);
    if (s->vtable_count == 0)
        snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_VTABLE, 0);
    sys_unmap(s, ROUND_UP(sizeof *s, PAGE_BYTES));
}

bool freeze_vtables(struct freeze_job *j)
{
    struct vtables *s = vtables_begin(j);
    if (s && !j->unreadable)
        search_blocks(s, &j->blocks);
    vtables_end(s, j);
    return s != NULL;
}
