/* SPDX-License-Identifier: MIT
 *
 * references.c - prints the references of a snapshot file, one a line, for tests that hold them
 * against what a victim says of itself.
 *
 *     references FILE             every block, edge, root and root's edge
 *     references --summary FILE   their numbers, and how many blocks no root leads to
 *
 * Reach is computed here the plain way, as an oracle for whoever does it well.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snapshot.h"

static const char *path_of(const struct snapshot *s, const struct snapshot_root *r)
{
    return s->strings + (r->module ? s->modules[r->module - 1].path : r->name);
}

static void print_all(const struct snapshot *s)
{
    for (u32 b = 1; b <= s->block_count; b++)
        printf("B %" PRIx64 " %" PRIu64 "\n", s->block_addr[b - 1],
               snapshot_block_bytes(s, (block_id){b}));
    for (u32 b = 1; s->edge_row && b <= s->block_count; b++)
        for (u32 e = s->edge_row[b - 1]; e < s->edge_row[b]; e++)
            printf("E %" PRIx64 " %" PRIu64 " %" PRIx64 " %u\n", s->block_addr[b - 1],
                   snapshot_edge_offset(s, (block_id){b}, e), s->block_addr[s->edge_target[e] - 1],
                   snapshot_edge_into(s, e));
    for (u32 i = 0; i < s->root_count; i++) {
        const struct snapshot_root *r = &s->roots[i];
        printf("A %u %s %" PRIx64 " %" PRIx64 " %u %u %s\n", i + 1,
               snapshot_root_weak(r->kind) ? "dead-stack" : snapshot_root_word(r->kind), r->lo,
               r->hi, r->thread, r->tid, path_of(s, r));
    }
    for (u32 i = 0; i < s->root_edge_count; i++) {
        const struct snapshot_root_edge *e = &s->root_edges[i];
        printf("R %u %" PRIx64 " %" PRIx64 " %u\n", e->root, snapshot_root_edge_address(s, e),
               s->block_addr[e->target - 1], e->into);
    }
}

/* How many blocks are reached from strong roots. */
static u32 count_reached(const struct snapshot *s)
{
    u8 *met = calloc(s->block_count + 1, 1);
    u32 *queue = malloc((s->block_count + 1) * sizeof *queue), end = 0;
    if (!met || !queue)
        exit(3);
    for (u32 i = 0; i < s->root_edge_count; i++) {
        u32 to = s->root_edges[i].target;
        if (!met[to] && !snapshot_root_weak(s->roots[s->root_edges[i].root - 1].kind)) {
            met[to] = 1;
            queue[end++] = to;
        }
    }
    for (u32 at = 0; at < end; at++)
        for (u32 e = s->edge_row[queue[at] - 1]; e < s->edge_row[queue[at]]; e++)
            if (!met[s->edge_target[e]]) {
                met[s->edge_target[e]] = 1;
                queue[end++] = s->edge_target[e];
            }
    free(met);
    free(queue);
    return end;
}

int main(int argc, char **argv)
{
    struct snapshot s;
    struct err e;
    bool summary = argc == 3 && strcmp(argv[1], "--summary") == 0;
    if (argc != 2 && !summary) {
        fprintf(stderr, "usage: references [--summary] FILE\n");
        return 2;
    }
    if (!snapshot_open_file(&s, argv[argc - 1], &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    printf("M flags=%" PRIu64 " stop=%u pause_ns=%" PRIu64 " build_ns=%" PRIu64 " blocks=%u edges=%u"
           " roots=%u root_edges=%u far=%u into=%u file_bytes=%" PRIu64 "\n",
           s.meta->flags, s.meta->stop, s.meta->pause_ns, s.meta->build_ns, s.block_count, s.edge_count,
           s.root_count, s.root_edge_count, s.edge_far_count, s.edge_into_count, s.size);
    if (s.edge_row)
        printf("U %u\n", s.block_count - count_reached(&s));
    for (const char *at = s.strings + s.meta->notes; *at; at += strcspn(at, "\n") + 1)
        printf("N %.*s\n", (int)strcspn(at, "\n"), at);
    for (u32 i = 0; i < s.missed_count; i++)
        printf("T %u %s: %s\n", s.missed[i].tid, s.strings + s.missed[i].name,
               s.strings + s.missed[i].why);
    if (!summary)
        print_all(&s);
    snapshot_close(&s);
    return 0;
}
