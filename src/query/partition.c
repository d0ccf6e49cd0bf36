/* SPDX-License-Identifier: MIT
 *
 * partition.c - a set split into rows by a key.
 *
 * Context: pure.
 * Invariant: every block of the set is in exactly one row, so the rows' counts and bytes add up to
 * the set's.
 * Why counting, not hashing: groups are dense, so one pass adds into two flat arrays. The blocks of
 * rows are listed (a counting sort) only when a row's set is first asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "query.h"

struct sums {
    u32 *blocks;
    u64 *bytes;
    struct query_part *parts; /* NULL without sampling */
};

static void add_blocks(const struct query_view *v, const struct query_set *set,
                       const struct query_grouping *by, struct sums *sums)
{
    const struct snapshot *s = v->snapshot;
    block_id b = {0};
    if (!sums->parts) {
        QUERY_EACH (set, b) {
            u32 group = query_group_of(v, by, b);
            sums->blocks[group]++;
            sums->bytes[group] += snapshot_block_own_bytes(s, b);
        }
        return;
    }
    QUERY_EACH (set, b) {
        u32 group = query_group_of(v, by, b);
        struct query_part part = query_part_of(v, b);
        sums->blocks[group]++;
        query_part_add(&sums->parts[group], &part);
    }
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct query_row *a = left, *b = right;
    const struct query_grouping *by = context;
    if (by->key == QUERY_KEY_CLUSTER && a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (by->texts)
        return strcmp(by->texts[a->group], by->texts[b->group]);
    return by->fold_hash[a->group] < by->fold_hash[b->group] ? -1 : 1;
}

void query_partition_build(struct query_partition *p, const struct query_set *set,
                           const struct query_grouping *by, const struct types_memory *keep,
                           const struct types_memory *scratch)
{
    const struct query_view *v = set->view;
    struct sums sums = {types_take(scratch, by->group_count, sizeof(u32)),
                        types_take(scratch, by->group_count, sizeof(u64)), NULL};
    if (v->sample_bytes)
        sums.parts = types_take(scratch, by->group_count, sizeof *sums.parts);
    add_blocks(v, set, by, &sums);
    u32 rows = 0;
    for (u32 g = 0; g < by->group_count; g++)
        rows += sums.blocks[g] != 0;
    struct query_row *out = types_take(keep, rows, sizeof *out);
    u32 n = 0, first = 0;
    for (u32 g = 0; g < by->group_count; g++) {
        if (!sums.blocks[g])
            continue;
        struct query_row *row = &out[n++];
        *row = (struct query_row){.group = g, .blocks = sums.blocks[g], .count = sums.blocks[g],
                                  .bytes = sums.bytes[g]};
        if (sums.parts) {
            struct query_sum sum = query_part_sum(&sums.parts[g]);
            row->count = sum.count;
            row->bytes = sum.bytes;
            row->count_error = sum.count_error;
            row->bytes_error = sum.bytes_error;
        }
    }
    struct query_grouping copy = *by;
    qsort_r(out, n, sizeof *out, compare_rows, &copy);
    for (u32 i = 0; i < n; i++) {
        out[i].first = first;
        first += out[i].blocks;
    }
    *p = (struct query_partition){v, set, copy, out, n, NULL};
}

void query_partition_members(struct query_partition *p, const struct types_memory *keep,
                             const struct types_memory *scratch)
{
    if (p->members || !p->row_count)
        return;
    const struct query_row *last = &p->rows[p->row_count - 1];
    u32 *next = types_take(scratch, p->by.group_count, sizeof *next);
    u32 *members = types_take(keep, (u64)last->first + last->blocks, sizeof *members);
    for (u32 i = 0; i < p->row_count; i++)
        next[p->rows[i].group] = p->rows[i].first;
    block_id b = {0};
    QUERY_EACH (p->set, b)
        members[next[query_group_of(p->view, &p->by, b)]++] = b.v;
    p->members = members;
}

/* Is it a site in that function, whatever the line? "make (x.c:3)" is one in "make". */
static bool is_site_in(const char *text, const char *function)
{
    size_t length = strlen(function);
    return length && !strncmp(text, function, length) && !strncmp(text + length, " (", 2);
}

u32 query_partition_find(const struct query_partition *p, const char *key)
{
    u32 near = p->row_count, nears = 0;
    bool sites = p->by.key == QUERY_KEY_SITE || p->by.key == QUERY_KEY_TYPE;
    for (u32 i = 0; i < p->row_count; i++) {
        u32 group = p->rows[i].group;
        if (query_group_is(p->view, &p->by, group, key))
            return i;
        if (sites && is_site_in(p->by.texts[group], key)) {
            near = i;
            nears++;
        }
    }
    return nears == 1 ? near : p->row_count;
}
