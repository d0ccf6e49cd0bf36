/* SPDX-License-Identifier: MIT
 *
 * marks.c - what the program has said of single blocks: their tags, and which are to be ignored.
 *
 * Context: frozen.
 * Invariant: after freeze_marks the stack column holds call stacks only. Where the program has put
 * no mark on any block, nothing is looked at.
 */
#include "job.h"

static u64 ignored_bytes(const struct freeze_job *j)
{
    return ROUND_UP((u64)j->blocks.count * sizeof(u64) + 1, PAGE_BYTES);
}

static bool write_tags(struct freeze_job *j)
{
    u32 count = track_name_count();
    u32 *tags = snapshot_writer_whole(j->w, SNAPSHOT_TAGS, count);
    for (u32 i = 0; tags && i < count; i++)
        tags[i] = freeze_strings_add(&j->strings, track_name(i + 1));
    return tags != NULL;
}

bool freeze_marks(struct freeze_job *j)
{
    struct freeze_blocks *b = &j->blocks;
    if (!track_marked())
        return true;
    u64 names;
    j->ignored = sys_map(ignored_bytes(j));
    if (!j->ignored || !write_tags(j))
        return false;
    snapshot_writer_written(j->w, SNAPSHOT_TAGS, &names);
    u16 *tag = snapshot_writer_whole(j->w, SNAPSHOT_BLOCK_TAG, b->count);
    u32 nodes = track_node_count(), tagged = 0;
    for (u32 i = 0; tag && i < b->count; i++)
        while (b->stack[i] && b->stack[i] <= nodes) {
            struct track_node n = track_node(b->stack[i]);
            if (!n.tag && !n.ignored)
                break;
            if (n.ignored)
                j->ignored[j->ignored_count++] = b->addr[i];
            else if (n.tag <= names)
                tag[i] = (u16)n.tag;
            tagged += tag[i] != 0;
            b->stack[i] = n.parent;
        }
    if (tag && !tagged)
        snapshot_writer_trim(j->w, SNAPSHOT_BLOCK_TAG, 0);
    return tag != NULL;
}

void freeze_marks_end(struct freeze_job *j)
{
    if (j->ignored)
        sys_unmap(j->ignored, ignored_bytes(j));
}
