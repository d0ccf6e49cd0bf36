/* SPDX-License-Identifier: MIT
 *
 * regions.c - see regions.h.
 *
 * Context: frozen, in the clone.
 * Which pages were written: a clone gets the page table entries of private memory that was (fork(2)
 * copies them), so /proc/PID/pagemap says "present" or "swapped" of exactly those (kernel:
 * Documentation/admin-guide/mm/pagemap.rst). Reading the others would fill the clone with zeros,
 * and a heap may have reserved far more than it has touched. Where nothing is ever swapped,
 * mincore(2) says the same for a tenth of the price: it does not look at the pages themselves.
 */
#include <fcntl.h>
#include <string.h>

#include "regions.h"

static enum region_kind kind_of(const char *path)
{
    if (path[0] == '\0' || strncmp(path, "[anon:", 6) == 0)
        return REGION_ANONYMOUS;
    if (path[0] != '[')
        return REGION_FILE;
    return strcmp(path, "[heap]") == 0    ? REGION_HEAP
           : strcmp(path, "[stack]") == 0 ? REGION_STACK
                                          : REGION_SPECIAL;
}

static bool read_maps(struct regions *r, struct freeze_strings *strings)
{
    struct maps_reader reader;
    if (!maps_open(&reader, r->buffer))
        return false;
    u32 last_path = 0;
    while (maps_next(&reader, &r->line)) {
        const struct maps_region *m = &r->line;
        if (r->count == REGIONS_MAX) {
            r->cut = true;
            break;
        }
        struct region *to = &r->list[r->count++];
        *to = (struct region){.lo = m->lo,
                              .hi = m->hi,
                              .kind = (u8)kind_of(m->path),
                              .read = m->read,
                              .write = m->write,
                              .shared = m->shared};
        if (to->kind == REGION_FILE && m->write && !m->shared) {
            if (!last_path || strcmp(strings->bytes + last_path, m->path) != 0)
                last_path = freeze_strings_add(strings, m->path);
            to->path = last_path;
        }
    }
    maps_close(&reader);
    return r->count > 0;
}

struct regions *regions_read(struct freeze_strings *strings)
{
    struct regions *r = sys_map(ROUND_UP(sizeof *r, PAGE_BYTES));
    if (!r)
        return NULL;
    r->swap = memory_figure("SwapTotal:") != 0;
    r->pagemap = sys_open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC, 0);
    r->list = sys_map(REGIONS_MAX * sizeof *r->list);
    if (r->list && read_maps(r, strings))
        return r;
    regions_free(r);
    return NULL;
}

void regions_free(struct regions *r)
{
    if (r->pagemap >= 0)
        sys_close(r->pagemap);
    if (r->list)
        sys_unmap(r->list, REGIONS_MAX * sizeof *r->list);
    sys_unmap(r, ROUND_UP(sizeof *r, PAGE_BYTES));
}

const struct region *regions_find(struct regions *r, u64 address)
{
    const struct region *last = &r->list[r->at];
    if (LIKELY(address >= last->lo && address < last->hi))
        return last;
    u32 at = BISECT(i, r->count, r->list[i].hi <= address);
    if (at == r->count || r->list[at].lo > address)
        return NULL;
    r->at = at;
    return &r->list[at];
}

/* Fills held[], a byte for each page. */
static void look_at(struct regions *r, u64 page, u64 end)
{
    u64 count = end - page < REGIONS_WINDOW ? end - page : REGIONS_WINDOW;
    r->window_page = page;
    r->window_count = count;
    if (!r->swap && sys_call(SYS_mincore, page * PAGE_BYTES, count * PAGE_BYTES, r->held) == 0)
        return;
    size_t bytes = count * sizeof *r->entries;
    long got = r->pagemap < 0 ? -1 : sys_pread(r->pagemap, r->entries, bytes, page * sizeof(u64));
    for (u64 i = 0; i < count; i++)
        r->held[i] = got != (long)bytes || r->entries[i] >> 62; /* present or swapped */
}

bool regions_holds(struct regions *r, u64 address)
{
    u64 page = address / PAGE_BYTES;
    const struct region *in = regions_find(r, address);
    if (!in || !in->read || in->kind == REGION_SPECIAL)
        return false;
    if (in->shared) /* the clone has no page table entries of it yet */
        return true;
    if (page - r->window_page >= r->window_count)
        look_at(r, page, in->hi / PAGE_BYTES);
    return r->held[page - r->window_page];
}
