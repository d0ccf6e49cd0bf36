/* SPDX-License-Identifier: MIT
 *
 * scan.c - see scan.h.
 *
 * Context: frozen, in the clone.
 * Invariant: words are taken in the order of their addresses, and so are the edges written: rows
 * need no sorting. A word is read only in a page that regions_holds vouches for.
 *
 * How it is fast: most words are refused by one look at the finder's root table, which stays in the
 * nearest cache. Those that remain wait in a batch while the memory that their search needs is
 * fetched: first the finder's entry, then the blocks that it leads to. So a search costs two
 * cache misses that overlap with 63 others', instead of two that do not.
 */
#include <string.h>

#include "finder.h"
#include "scan.h"
#include "tails.h"

enum {
    BATCH = 64,
    WORD = sizeof(u64),
    FAR_SHIFT = 16, /* words of a block that EDGE_AT counts */
    ALL_EDGES_MAX = INT32_MAX,
};

struct candidate {
    struct finder_place place;
    u64 value;
    u32 source; /* block or root, from 1 */
    u32 word;
};

struct scan {
    struct freeze_job *job;
    struct regions *regions;
    const struct roots *roots;
    struct finder finder;
    struct vtables *vtables;
    struct tails tails;
    struct candidate batch[BATCH];
    u32 waiting;
    bool from_roots;
    u64 page; /* the last that was asked for */
    bool page_ok;

    u32 *row, *target;
    u16 *at;
    struct snapshot_edge_far *far;
    struct snapshot_edge_into *into;
    struct snapshot_root_edge *root_edges;
    u32 rows_done, edges, fars, intos, root_edge_count;
    u32 edge_room, far_room, root_edge_room;
    u32 high; /* of the row that is being written */
    bool full;
    bool starved; /* there is less room for edges than there may be, for want of memory */
};

/* --- writing ------------------------------------------------------------------------------- */

static void begin_rows(struct scan *s, u32 until)
{
    while (s->rows_done < until)
        s->row[s->rows_done++] = s->edges;
    s->high = 0;
}

static void write_edge(struct scan *s, const struct candidate *c, u32 target, u64 into)
{
    if (s->rows_done < c->source)
        begin_rows(s, c->source);
    if (target == c->source)
        return;
    u32 high = c->word >> FAR_SHIFT;
    if (s->edges == s->edge_room || (high != s->high && s->fars == s->far_room)) {
        s->full = true;
        return;
    }
    if (UNLIKELY(high != s->high)) {
        s->far[s->fars++] = (struct snapshot_edge_far){.edge = s->edges, .high = high};
        s->high = high;
    }
    if (into)
        s->into[s->intos++] = (struct snapshot_edge_into){
            .edge = s->edges, .into = into < SNAPSHOT_INTO_FAR ? (u32)into : SNAPSHOT_INTO_FAR};
    s->target[s->edges] = target;
    s->at[s->edges++] = (u16)c->word;
}

static void write_root_edge(struct scan *s, const struct candidate *c, u32 target, u64 into)
{
    if (s->root_edge_count == s->root_edge_room) {
        s->full = true;
        return;
    }
    s->root_edges[s->root_edge_count++] = (struct snapshot_root_edge){
        .root = c->source,
        .at = c->word,
        .target = target,
        .into = into < SNAPSHOT_INTO_FAR ? (u32)into : SNAPSHOT_INTO_FAR};
}

/* A pointer to the beginning of a block and one into it follow each other: a vector's, perhaps. */
static NOINLINE void consider_tail(struct scan *s, const struct candidate *c, u32 target, u64 into)
{
    const struct freeze_blocks *b = &s->job->blocks;
    u64 lo, hi, block = b->addr[target - 1];
    if (s->from_roots) {
        const struct snapshot_root *root = &s->roots->records[c->source - 1];
        if (root->kind == SNAPSHOT_ROOT_REGISTER || root->kind == SNAPSHOT_ROOT_DEAD_STACK)
            return;
        lo = root->lo;
        hi = root->hi;
    } else {
        lo = b->addr[c->source - 1];
        hi = lo + freeze_blocks_bytes(b, c->source - 1);
    }
    u64 at = ROUND_UP(lo, (u64)WORD) + (u64)c->word * WORD;
    tails_claim(&s->tails, s->regions, at, hi, target - 1, block,
                block + freeze_blocks_bytes(b, target - 1), into);
}

/* --- searching ----------------------------------------------------------------------------- */

static NOINLINE void search_batch(struct scan *s)
{
    const struct finder *f = &s->finder;
    for (u32 i = 0; i < s->waiting; i++) {
        const u32 *entry = s->batch[i].place.entry;
        __builtin_prefetch(&f->block[entry[0]]);
        __builtin_prefetch(&f->block[entry[1]]);
    }
    for (u32 i = 0; i < s->waiting; i++) {
        const struct candidate *c = &s->batch[i];
        u64 into = 0;
        u32 target = finder_block(f, c->place, c->value, &into);
        if (!target)
            continue;
        if (UNLIKELY(tails_second(&s->tails, c->source, c->word, target, into)))
            consider_tail(s, c, target, into);
        if (s->from_roots)
            write_root_edge(s, c, target, into);
        else
            write_edge(s, c, target, into);
    }
    s->waiting = 0;
}

static ALWAYS_INLINE void take_word(struct scan *s, u32 source, u32 word, u64 value)
{
    struct finder_place place;
    if (LIKELY(!finder_near(&s->finder, value, &place)))
        return;
    __builtin_prefetch(place.entry);
    s->batch[s->waiting++] =
        (struct candidate){.place = place, .value = value, .source = source, .word = word};
    if (s->waiting == BATCH)
        search_batch(s);
}

static bool look_at_page(struct scan *s, u64 address)
{
    u64 page = address / PAGE_BYTES;
    if (page != s->page) {
        s->page = page;
        s->page_ok = regions_holds(s->regions, address);
    }
    return s->page_ok;
}

/* Words of the part [lo, hi) of an area that begins at `base`. Words are counted in 32 bits: of a
 * larger area the rest is left out. */
static ALWAYS_INLINE void take_part(struct scan *s, u32 source, u64 base, u64 lo, u64 hi)
{
    u64 first = ROUND_UP(base, (u64)WORD), end = ROUND_DOWN(hi, (u64)WORD);
    for (u64 at = ROUND_UP(lo, (u64)WORD); at < end;) {
        u64 page_end = ROUND_DOWN(at, PAGE_BYTES) + PAGE_BYTES;
        page_end = page_end < end ? page_end : end;
        if (!look_at_page(s, at)) {
            at = page_end;
            continue;
        }
        for (; at < page_end; at += WORD)
            take_word(s, source, (u32)((at - first) / WORD), *(const u64 *)at);
        if (UNLIKELY((at - first) / WORD > UINT32_MAX - PAGE_BYTES))
            return;
    }
}

/* Words of an area outside of the blocks that begin in it, the first of which may be `next`. */
static void take_outside(struct scan *s, u32 source, u64 lo, u64 hi, u32 next)
{
    const struct freeze_blocks *b = &s->job->blocks;
    u64 at = lo;
    for (; next < b->count && b->addr[next] < hi; next++) {
        u64 end = b->addr[next] + freeze_blocks_bytes(b, next);
        if (b->addr[next] > at)
            take_part(s, source, lo, at, b->addr[next]);
        at = end > at ? end : at;
    }
    if (at < hi)
        take_part(s, source, lo, at, hi);
}

/* --- the whole ----------------------------------------------------------------------------- */

static u64 size_of(const void *blocks, u32 block)
{
    return freeze_blocks_bytes(blocks, block);
}

/* Here too, since the block comes from memory now. */
static ALWAYS_INLINE void look_for_vtable(struct scan *s, u32 block, u64 at, u64 bytes)
{
    if (bytes >= WORD && at % WORD == 0 && look_at_page(s, at))
        vtables_look(s->vtables, block, (const u64 *)at, bytes);
}

/* A word belongs to the innermost block that it lies in. */
static bool scan_blocks(struct scan *s)
{
    const struct freeze_blocks *b = &s->job->blocks;
    for (u32 i = 0; i < b->count && !s->full; i++) {
        u64 lo = b->addr[i], hi = lo + freeze_blocks_bytes(b, i);
        bool around = b->outer && i + 1 < b->count && b->outer[i + 1] == i + 1;
        if (!around || b->addr[i + 1] > lo)
            look_for_vtable(s, i, lo, hi - lo);
        if (around)
            take_outside(s, i + 1, lo, hi, i + 1);
        else
            take_part(s, i + 1, lo, lo, hi);
    }
    search_batch(s);
    begin_rows(s, b->count + 1);
    return !s->full;
}

static void scan_registers(struct scan *s, const struct stop *stop)
{
    u64 words[ROOTS_REGISTERS];
    u32 root = 0;
    for (u32 i = 0; i < stop->count; i++) {
        if (stop->threads[i].state != STOP_STOPPED)
            continue;
        root++;
        u32 count = roots_registers(&stop->threads[i], words);
        for (u32 k = 0; k < count; k++)
            take_word(s, root, k, words[k]);
    }
}

static void scan_root(struct scan *s, const struct snapshot_root *r, u32 root)
{
    if (r->kind == SNAPSHOT_ROOT_IGNORED)
        for (u32 k = 0; k < s->job->ignored_count; k++)
            take_word(s, root, k, s->job->ignored[k]);
    else if (r->kind != SNAPSHOT_ROOT_REGISTER && s->job->blocks.outer)
        take_outside(s, root, r->lo, r->hi, freeze_blocks_below(&s->job->blocks, r->lo));
    else if (r->kind != SNAPSHOT_ROOT_REGISTER)
        take_part(s, root, r->lo, r->lo, r->hi);
}

static bool scan_roots(struct scan *s, const struct roots *x)
{
    s->from_roots = true;
    s->roots = x;
    s->tails.target = 0;
    if (x->stop)
        scan_registers(s, x->stop);
    for (u32 i = 0; i < x->count && !s->full; i++)
        scan_root(s, &x->records[i], i + 1);
    search_batch(s);
    return !s->full;
}

/* Each word of a block is at most one edge. */
static u64 words_of(u64 live_bytes)
{
    u64 words = live_bytes / WORD;
    return words < ALL_EDGES_MAX ? words : ALL_EDGES_MAX;
}

static u64 far_records(u64 live_bytes)
{
    return live_bytes / (WORD << FAR_SHIFT) + 1;
}

enum { EDGE_BYTES = sizeof(u32) + sizeof(u16) + sizeof(struct snapshot_edge_into) };

u64 scan_estimate_bytes(u64 live_bytes, u64 rss_bytes)
{
    return words_of(live_bytes) * EDGE_BYTES +
           far_records(live_bytes) * sizeof(struct snapshot_edge_far) +
           ROOTS_MAX * sizeof(struct snapshot_root) +
           words_of(rss_bytes) * sizeof(struct snapshot_root_edge) + (1 << 20);
}

/* What is left, but for half of it: names of functions come behind. */
static u32 root_edge_room(const struct snapshot_writer *w, const struct roots *x)
{
    u64 words = 0, most = (w->reserved - w->used) / 2 / sizeof(struct snapshot_root_edge);
    for (u32 i = 0; i < x->count; i++)
        words += (x->records[i].hi - x->records[i].lo) / WORD;
    words = words < most ? words : most;
    return words < ALL_EDGES_MAX ? (u32)words : ALL_EDGES_MAX;
}

static bool make_room(struct scan *s, const struct roots *x, u64 memory_bytes)
{
    struct snapshot_writer *w = s->job->w;
    u64 bytes = 0;
    for (u32 i = 0; i < s->job->blocks.count; i++)
        bytes += freeze_blocks_bytes(&s->job->blocks, i);
    u64 allowed = memory_bytes / EDGE_BYTES, edges = words_of(bytes);
    s->edge_room = (u32)(edges < allowed ? edges : allowed);
    s->starved = allowed < edges;
    s->far_room = (u32)far_records(bytes);
    s->row = snapshot_writer_whole(w, SNAPSHOT_EDGE_ROW, s->job->blocks.count + 1);
    s->target = snapshot_writer_whole(w, SNAPSHOT_EDGE_TARGET, s->edge_room);
    s->at = snapshot_writer_whole(w, SNAPSHOT_EDGE_AT, s->edge_room);
    s->far = snapshot_writer_whole(w, SNAPSHOT_EDGE_FAR, s->far_room);
    s->into = snapshot_writer_whole(w, SNAPSHOT_EDGE_INTO, s->edge_room);
    s->root_edge_room = root_edge_room(w, x);
    s->root_edges = snapshot_writer_whole(w, SNAPSHOT_ROOT_EDGES, s->root_edge_room);
    return s->root_edges != NULL;
}

static void trim(const struct scan *s)
{
    struct snapshot_writer *w = s->job->w;
    snapshot_writer_trim(w, SNAPSHOT_EDGE_TARGET, s->edges);
    snapshot_writer_trim(w, SNAPSHOT_EDGE_AT, s->edges);
    snapshot_writer_trim(w, SNAPSHOT_EDGE_FAR, s->fars);
    snapshot_writer_trim(w, SNAPSHOT_EDGE_INTO, s->intos);
    snapshot_writer_trim(w, SNAPSHOT_ROOT_EDGES, s->root_edge_count);
}

bool scan_references(struct freeze_job *j, struct regions *regions, const struct stop *stop,
                     const struct freeze_request *r, u64 memory_bytes)
{
    const struct freeze_blocks *b = &j->blocks;
    struct scan *s = sys_map(ROUND_UP(sizeof *s, PAGE_BYTES));
    struct roots x = {0};
    bool ok = s != NULL;
    if (ok) {
        s->job = j;
        s->regions = regions;
        ok = (s->vtables = vtables_begin(j)) &&
             finder_begin(&s->finder, b->addr, b->outer, b->count, size_of, b) &&
             tails_begin(&s->tails, b->count) && roots_begin(&x, j, regions, stop, r) &&
             make_room(s, &x, memory_bytes) && scan_blocks(s) && scan_roots(s, &x);
        trim(s);
        vtables_end(s->vtables, j);
        if (ok && !tails_write(&s->tails, j, s->row, s->at))
            freeze_job_remark(j, "of some vectors' unused tails is not said that they are\n");
        tails_end(&s->tails);
        if (s->full && j->w->status == STATUS_OK)
            j->w->status = s->starved ? STATUS_NO_MEMORY : STATUS_LIMIT;
        finder_end(&s->finder);
        sys_unmap(s, ROUND_UP(sizeof *s, PAGE_BYTES));
    }
    if (x.cut || regions->cut)
        freeze_job_remark(j, "there are more mappings than were searched for references\n");
    roots_end(&x);
    return ok;
}
