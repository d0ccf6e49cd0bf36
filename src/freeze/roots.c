/* SPDX-License-Identifier: MIT
 *
 * roots.c - see roots.h.
 *
 * Context: frozen, in the clone.
 * Invariant: every private page that the program has written and can read is in a root, in a block,
 * in memory of the allocator's, or in a thread's dead stack; so nothing that it can reach is missed.
 * Where it is not known what a page is, it is a root.
 */
#include <string.h>

#include "roots.h"

enum {
    EXCLUDED_MAX = 1 << 18,
    TOLD_MAX = 1 << 14,     /* roots that the program may declare */
    ARENA_ALIGN = 64 << 20, /* of the heaps of malloc's arenas */
};
#define ROOT_BYTES_MAX (16ull << 30) /* words of a root are counted in 32 bits */

/* --- writing ------------------------------------------------------------------------------- */

void roots_add(struct roots *x, struct snapshot_root root)
{
    u64 end = root.hi;
    for (; root.lo < end; root.lo = root.hi) {
        root.hi = end - root.lo > ROOT_BYTES_MAX ? root.lo + ROOT_BYTES_MAX : end;
        if (x->count == ROOTS_MAX) {
            x->cut = true;
            return;
        }
        x->records[x->count++] = root;
    }
}

void roots_exclude(struct roots *x, u64 lo, u64 hi)
{
    if (lo >= hi)
        return;
    if (x->excluded_count == EXCLUDED_MAX)
        x->cut = true;
    else
        x->excluded[x->excluded_count++] = (struct own_range){lo, hi};
}

void roots_add_dead(struct roots *x, struct snapshot_root root, u64 lo, u64 hi)
{
    root.kind = SNAPSHOT_ROOT_DEAD_STACK;
    root.lo = lo;
    root.hi = hi;
    roots_add(x, root);
    roots_exclude(x, lo, hi);
}

/* --- what lies where ----------------------------------------------------------------------- */

u32 roots_below(const struct roots *x, u64 address)
{
    return freeze_blocks_below(&x->job->blocks, address);
}

static u64 block_end(const struct roots *x, u32 block)
{
    return x->job->blocks.addr[block] + freeze_blocks_bytes(&x->job->blocks, block);
}

bool roots_holds_block(const struct roots *x, u64 address)
{
    u32 at = roots_below(x, address + 1);
    while (at > 0 && address >= block_end(x, at - 1))
        at = x->job->blocks.outer ? x->job->blocks.outer[at - 1] : 0;
    return at > 0;
}

bool roots_is_ours(const struct roots *x, u64 address)
{
    for (u32 i = 0; i < x->excluded_count; i++)
        if (address >= x->excluded[i].lo && address < x->excluded[i].hi)
            return true;
    return x->request->own_address &&
           freeze_modules_now(&x->job->modules, address) ==
               freeze_modules_now(&x->job->modules, x->request->own_address) &&
           freeze_modules_now(&x->job->modules, address);
}

const struct region *roots_writable(const struct roots *x, u64 address)
{
    const struct region *r = address ? regions_find(x->regions, address) : NULL;
    return r && r->read && r->write && !r->shared ? r : NULL;
}

/* --- areas --------------------------------------------------------------------------------- */

/* What the program has said itself. */
static void told_roots(struct roots *x)
{
    u64 bytes = ROUND_UP(TOLD_MAX * sizeof(struct track_root), PAGE_BYTES);
    struct track_root *told = sys_map(bytes);
    u32 count = told ? track_roots(told, TOLD_MAX) : 0;
    for (u32 i = 0; i < count; i++) {
        u64 lo = told[i].lo, room = (1ul << 47) - (lo & ((1ul << 47) - 1));
        u64 hi = lo + (told[i].bytes < room ? told[i].bytes : room);
        const char *name = track_name(told[i].name);
        roots_add(x, (struct snapshot_root){.kind = SNAPSHOT_ROOT_DECLARED,
                                      .lo = lo,
                                      .hi = hi,
                                      .name = freeze_strings_add(&x->job->strings, name)});
        roots_exclude(x, lo, hi);
    }
    if (told)
        sys_unmap(told, bytes);
    if (x->job->ignored_count)
        roots_add(x, (struct snapshot_root){.kind = SNAPSHOT_ROOT_IGNORED,
                                      .hi = x->job->ignored_count * sizeof(u64)});
}

/* --- other memory -------------------------------------------------------------------------- */

/* Memory of nobody known. Where blocks lie in it, the C library's allocator has taken whole pages
 * for each, with 16 bytes in front; another allocator has taken all of it. */
static void mapping(struct roots *x, const struct region *r, u64 lo, u64 hi)
{
    struct snapshot_root root = {.kind = SNAPSHOT_ROOT_MAPPING, .name = r->path};
    if (r->kind == REGION_STACK) { /* its thread was not stopped: all of it may be live */
        root.kind = SNAPSHOT_ROOT_STACK;
        root.tid = (u32)x->job->process->pid;
    }
    u32 below = roots_below(x, lo), next = below;
    const struct freeze_blocks *b = &x->job->blocks;
    while (next > 0 && freeze_blocks_custom(b, next - 1))
        next--;
    next = next > 0 && block_end(x, next - 1) > lo ? next - 1 : below;
    bool foreign = track_allocator()[0] != '\0';
    for (; next < b->count && b->addr[next] < hi; next++) {
        if (freeze_blocks_custom(b, next))
            continue;
        if (foreign)
            return;
        u64 begin = ROUND_DOWN(b->addr[next] - 16, PAGE_BYTES);
        root.lo = lo;
        root.hi = begin;
        if (begin > lo)
            roots_add(x, root);
        u64 end = ROUND_UP(block_end(x, next), PAGE_BYTES);
        lo = end > lo ? end : lo;
    }
    root.lo = lo;
    root.hi = hi;
    roots_add(x, root);
}

static void module_data(struct roots *x, u32 module, u64 lo, u64 hi)
{
    const struct snapshot_module *m = &x->job->modules.records[module - 1];
    const char *path = x->job->strings.bytes + m->path, *allocator = track_allocator();
    u64 own = x->request->own_address;
    if ((own && freeze_modules_now(&x->job->modules, own) == module) ||
        (allocator[0] && strcmp(path, allocator) == 0))
        return;
    struct snapshot_root root = {
        .kind = SNAPSHOT_ROOT_DATA, .module = module, .lo = lo, .hi = hi};
    struct own_range bins;
    if (layout_find_bins(x->regions, lo, hi, &bins)) {
        root.hi = bins.lo;
        roots_add(x, root);
        root.lo = bins.hi;
        root.hi = hi;
    }
    roots_add(x, root);
}

/* A part of a region that nothing is known of. A module's data may be followed by memory that the
 * kernel has joined with it. */
static void piece(struct roots *x, const struct region *r, u64 lo, u64 hi)
{
    while (lo < hi) {
        u32 module = freeze_modules_now(&x->job->modules, lo);
        u64 end = hi;
        if (module) {
            u64 limit = ROUND_UP(x->job->modules.records[module - 1].hi, PAGE_BYTES);
            end = limit > lo && limit < hi ? limit : hi;
            module_data(x, module, lo, end);
        } else {
            mapping(x, r, lo, end);
        }
        lo = end;
    }
}

/* Sorted and joined, so that a walk over the regions meets each once. */
static void join_excluded(struct roots *x)
{
    static const u32 gaps[] = {57, 23, 10, 4, 1};
    struct own_range *e = x->excluded;
    for (u32 g = 0; g < COUNT_OF(gaps); g++)
        for (u32 i = gaps[g]; i < x->excluded_count; i++) {
            struct own_range moving = e[i];
            u32 k = i;
            for (; k >= gaps[g] && e[k - gaps[g]].lo > moving.lo; k -= gaps[g])
                e[k] = e[k - gaps[g]];
            e[k] = moving;
        }
    u32 kept = 0;
    for (u32 i = 0; i < x->excluded_count; i++) {
        if (kept && e[i].lo <= e[kept - 1].hi)
            e[kept - 1].hi = e[i].hi > e[kept - 1].hi ? e[i].hi : e[kept - 1].hi;
        else
            e[kept++] = e[i];
    }
    x->excluded_count = kept;
}

/* What is written and then write-protected holds as before: memory of the program's own, and the
 * part of a module's data that the loader protects, which lies in front of the rest. */
static bool may_hold(const struct roots *x, const struct region *r)
{
    if (!r->read || r->shared || r->kind == REGION_SPECIAL)
        return false;
    if (r->write || r->kind == REGION_ANONYMOUS)
        return true;
    const struct region *after = r + 1;
    u32 module = freeze_modules_now(&x->job->modules, r->lo);
    return module && after < x->regions->list + x->regions->count && after->lo == r->hi &&
           after->write && freeze_modules_now(&x->job->modules, after->lo) == module;
}

static void area_roots(struct roots *x)
{
    u32 next = 0;
    for (u32 i = 0; i < x->regions->count; i++) {
        const struct region *r = &x->regions->list[i];
        if (!may_hold(x, r))
            continue;
        u64 at = r->lo;
        while (next < x->excluded_count && x->excluded[next].hi <= at)
            next++;
        for (u32 k = next; k < x->excluded_count && x->excluded[k].lo < r->hi; k++) {
            if (x->excluded[k].lo > at)
                piece(x, r, at, x->excluded[k].lo);
            at = x->excluded[k].hi > at ? x->excluded[k].hi : at;
        }
        if (at < r->hi)
            piece(x, r, at, r->hi);
    }
}

/* --- what is no root ----------------------------------------------------------------------- */

static void exclude_ours(struct roots *x)
{
    u32 count = own_list(x->excluded, EXCLUDED_MAX / 2);
    x->excluded_count = count;
    for (u32 i = 0; i < count; i++)
        x->excluded[i].hi = ROUND_UP(x->excluded[i].hi, PAGE_BYTES);
}

static u64 own_stack_end(const struct roots *x)
{
    u64 here = (u64)__builtin_frame_address(0);
    for (u32 i = 0; i < x->excluded_count; i++)
        if (here >= x->excluded[i].lo && here < x->excluded[i].hi)
            return x->excluded[i].hi;
    return 0;
}

static void exclude_arenas(struct roots *x, const struct region *r)
{
    for (u64 at = ROUND_UP(r->lo, (u64)ARENA_ALIGN); at < r->hi; at += ARENA_ALIGN) {
        u64 end = layout_arena_end(x->regions, at);
        if (end)
            roots_exclude(x, at, end < r->hi ? end : r->hi);
    }
}

/* The C library keeps stacks of threads that are gone for later ones. */
static void dead_stack(struct roots *x, const struct region *r)
{
    if (!roots_is_ours(x, r->lo) && layout_dead_stack(x->regions, &x->thread, r->lo, r->hi))
        roots_add_dead(x, (struct snapshot_root){0}, r->lo, r->hi);
}

static void exclude_known(struct roots *x)
{
    for (u32 i = 0; i < x->regions->count; i++) {
        const struct region *r = &x->regions->list[i];
        if (!r->write || !r->read || r->shared)
            continue;
        if (r->kind == REGION_HEAP)
            roots_exclude(x, r->lo, r->hi);
        if (r->kind != REGION_ANONYMOUS)
            continue;
        exclude_arenas(x, r);
        dead_stack(x, r);
    }
}

bool roots_begin(struct roots *x, struct freeze_job *j, struct regions *regions,
                 const struct stop *stop, const struct freeze_request *r)
{
    *x = (struct roots){.job = j, .regions = regions, .stop = stop, .request = r};
    x->records = snapshot_writer_whole(j->w, SNAPSHOT_ROOTS, ROOTS_MAX);
    x->excluded = sys_map(EXCLUDED_MAX * sizeof *x->excluded);
    if (!x->records || !x->excluded)
        return false;
    exclude_ours(x);
    x->thread = layout_learn(j->tid, own_stack_end(x));
    roots_of_threads(x);
    told_roots(x);
    exclude_known(x);
    join_excluded(x);
    area_roots(x);
    snapshot_writer_trim(j->w, SNAPSHOT_ROOTS, x->count);
    return true;
}

void roots_end(struct roots *x)
{
    if (x->excluded)
        sys_unmap(x->excluded, EXCLUDED_MAX * sizeof *x->excluded);
}
