/* SPDX-License-Identifier: MIT
 *
 * stacks.c - the call stacks that listed blocks were born on, each once, and the frames of those
 * that threads stood on.
 *
 * Context: frozen.
 * Invariant: two nodes written differ in caller, frame or cut mark; two frames differ in address or
 * incarnation. The recorder's trie may hold a stack twice, since its lookup table grows while other
 * threads add to it; and most of its nodes belong to blocks long gone.
 *
 * How: mark the nodes that blocks reach; then take the marked ones in the order of their numbers,
 * so that a caller already has its new id, and look up (caller's new id, frame's new id) in a
 * table: equal stacks get equal ids however often the recorder has them.
 */
#include "job.h"

#define MARKED UINT32_MAX

/* Ids by hash; the records themselves are the keys. */
struct interning {
    u32 *slots;
    u64 mask, bytes;
};

struct numbering {
    u32 *map; /* recorder's node -> 0, MARKED, then its stack id */
    u64 map_bytes;
    u32 node_count, marked;
    struct interning frame_ids, stack_ids;
    struct snapshot_frame *frames;
    struct snapshot_stack *stacks;
    u32 *incarnations; /* of the frames */
    u64 incarnation_bytes;
    u32 frame_count, stack_count;
};

static bool interning_begin(struct interning *t, u32 items)
{
    u64 slots = 64;
    while (slots < 2 * (u64)items)
        slots *= 2;
    t->mask = slots - 1;
    t->bytes = ROUND_UP(slots * sizeof(u32), PAGE_BYTES);
    t->slots = sys_map(t->bytes);
    return t->slots != NULL;
}

static u64 mix(u64 a, u64 b)
{
    u64 h = (a ^ b * 0x9e3779b97f4a7c15ul) * 0xbf58476d1ce4e5b9ul; /* constants: splitmix64 */
    return h ^ h >> 31;
}

static u32 frame_id_of(struct numbering *n, const struct freeze_modules *modules, u64 pc,
                       u32 incarnation)
{
    struct interning *t = &n->frame_ids;
    u64 at = mix(pc, incarnation) & t->mask;
    for (u32 id; (id = t->slots[at]) != 0; at = (at + 1) & t->mask)
        if (n->frames[id - 1].pc == pc && n->incarnations[id - 1] == incarnation)
            return id;
    n->frames[n->frame_count] =
        (struct snapshot_frame){.pc = pc, .module = freeze_modules_find(modules, pc, incarnation)};
    n->incarnations[n->frame_count] = incarnation;
    return t->slots[at] = ++n->frame_count;
}

static u32 stack_id_of(struct numbering *n, u32 parent, u32 frame)
{
    struct interning *t = &n->stack_ids;
    u64 at = mix((u64)parent << 32 | frame, 1) & t->mask;
    for (u32 id; (id = t->slots[at]) != 0; at = (at + 1) & t->mask)
        if (n->stacks[id - 1].parent == parent && n->stacks[id - 1].frame == frame)
            return id;
    n->stacks[n->stack_count] = (struct snapshot_stack){.parent = parent, .frame = frame};
    return t->slots[at] = ++n->stack_count;
}

/* Marks what blocks reach; a number that the recorder never gave becomes "unknown". */
static void mark_reached(struct numbering *n, struct freeze_blocks *b)
{
    for (u32 i = 0; i < b->count; i++) {
        if (b->stack[i] > n->node_count)
            b->stack[i] = 0;
        for (u32 node = b->stack[i]; node && !n->map[node]; node = track_node(node).parent) {
            n->map[node] = MARKED;
            n->marked++;
        }
    }
}

static bool make_room(struct freeze_job *j, struct numbering *n)
{
    u32 frames = n->marked + j->walked_count;
    n->frames = snapshot_writer_whole(j->w, SNAPSHOT_FRAMES, frames);
    n->stacks = snapshot_writer_whole(j->w, SNAPSHOT_STACKS, n->marked);
    n->incarnation_bytes = ROUND_UP(frames * sizeof(u32) + 1, PAGE_BYTES);
    n->incarnations = sys_map(n->incarnation_bytes);
    return n->frames && n->stacks && n->incarnations && interning_begin(&n->frame_ids, frames) &&
           interning_begin(&n->stack_ids, n->marked);
}

static void number(struct numbering *n, const struct freeze_modules *modules)
{
    for (u32 i = 1; i <= n->node_count; i++) {
        if (!n->map[i])
            continue;
        struct track_node node = track_node(i);
        u32 frame = frame_id_of(n, modules, node.pc, node.incarnation);
        n->map[i] =
            stack_id_of(n, n->map[node.parent], frame | (node.cut ? SNAPSHOT_STACK_CUT : 0));
    }
}

/* The frames on the stacks of threads that stood. */
static void number_calls(struct numbering *n, const struct freeze_job *j)
{
    u64 count;
    struct snapshot_call *calls = snapshot_writer_written(j->w, SNAPSHOT_CALLS, &count);
    for (u32 i = 0; i < j->walked_count; i++)
        calls[i].frame = frame_id_of(n, &j->modules, j->walked[i].pc, j->walked[i].incarnation);
}

static void release(void *at, u64 bytes)
{
    if (at)
        sys_unmap(at, bytes);
}

bool freeze_stacks(struct freeze_job *j)
{
    struct numbering n = {.node_count = track_node_count()};
    n.map_bytes = ROUND_UP(((u64)n.node_count + 1) * sizeof(u32), PAGE_BYTES);
    n.map = sys_map(n.map_bytes);
    if (!n.map)
        return false;
    mark_reached(&n, &j->blocks);
    bool ok = make_room(j, &n);
    if (ok) {
        number(&n, &j->modules);
        number_calls(&n, j);
        for (u32 i = 0; i < j->blocks.count; i++)
            j->blocks.stack[i] = n.map[j->blocks.stack[i]];
        snapshot_writer_trim(j->w, SNAPSHOT_FRAMES, n.frame_count);
        snapshot_writer_trim(j->w, SNAPSHOT_STACKS, n.stack_count);
    }
    release(n.map, n.map_bytes);
    release(n.incarnations, n.incarnation_bytes);
    release(n.frame_ids.slots, n.frame_ids.bytes);
    release(n.stack_ids.slots, n.stack_ids.bytes);
    return ok;
}
