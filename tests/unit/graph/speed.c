/* SPDX-License-Identifier: MIT
 *
 * What the passes cost on a large heap, and that they come to an end there with the right sums. The
 * heap is a hash table of sessions in buckets, each with a name of its own and links to its
 * neighbour and to some other session, laid out in the order of allocation.
 *
 * MOONHEAP_GRAPH_BLOCKS says how many blocks; by default so few that a sanitizer is done in
 * seconds. The processor times are printed, not judged.
 */
#include "../busy.h"
#include "made.h"

enum { BLOCKS = 200001 };

static u64 last_ns;

static void lap(const char *what, u64 bytes)
{
    u64 now = busy_own_ns();
    printf("%-12s %6llu ms, %llu MB\n", what, (unsigned long long)(now - last_ns) / 1000000,
           (unsigned long long)bytes / 1000000);
    last_ns = busy_own_ns();
}

/* Blocks: 1 the table, then sessions and names in turn. Every eighth bucket is empty. */
static void write_sessions(struct snapshot_writer *w, u32 blocks, u64 *state)
{
    u32 sessions = (blocks - 1) / 2, buckets = sessions;
    u32 *last = calloc(buckets, sizeof *last), *next = calloc(sessions, sizeof *next);
    assert_true(last && next);
    for (u32 i = 0; i < sessions; i++) {
        u32 bucket = made_random(state, buckets);
        next[i] = last[bucket];
        last[bucket] = i + 1;
    }
    u32 *row = snapshot_writer_whole(w, SNAPSHOT_EDGE_ROW, (u64)blocks + 1);
    u32 *target = snapshot_writer_whole(w, SNAPSHOT_EDGE_TARGET, 4ul * sessions);
    u16 *at = snapshot_writer_whole(w, SNAPSHOT_EDGE_AT, 4ul * sessions);
    u32 edge = 0, far = 0;
#define EDGE(word, to)                                                                             \
    do {                                                                                           \
        target[edge] = (to);                                                                       \
        at[edge++] = (u16)(word);                                                                  \
    } while (0)
    snapshot_writer_section(w, SNAPSHOT_EDGE_FAR);
    for (u32 i = 0; i < buckets; i++) {
        if (!last[i])
            continue;
        if (i >> 16 != far) {
            far = i >> 16;
            *(struct snapshot_edge_far *)snapshot_writer_add(w, 1) =
                (struct snapshot_edge_far){edge, far};
        }
        EDGE(i, 2 * last[i]);
    }
    row[1] = edge;
    for (u32 i = 0; i < sessions; i++) {
        if (next[i])
            EDGE(0, 2 * next[i]);
        EDGE(1, 2 * i + 3);
        if (i % 2)
            EDGE(2, 2 * (1 + made_random(state, sessions)));
        row[2 * i + 2] = edge;
        row[2 * i + 3] = edge;
    }
#undef EDGE
    snapshot_writer_trim(w, SNAPSHOT_EDGE_TARGET, edge);
    snapshot_writer_trim(w, SNAPSHOT_EDGE_AT, edge);
    free(last);
    free(next);
}

static void write_heap(struct snapshot *s, u32 blocks, u64 *state)
{
    struct snapshot_writer w;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, (1ul << 20) + 80ul * blocks));
    struct snapshot_meta *meta = snapshot_writer_whole(&w, SNAPSHOT_META, 1);
    meta->flags = SNAPSHOT_FLAG_GRAPH;
    snapshot_writer_whole(&w, SNAPSHOT_STRINGS, 1);
    snapshot_writer_whole(&w, SNAPSHOT_EPOCHS, 1);
    u64 *addr = snapshot_writer_whole(&w, SNAPSHOT_BLOCK_ADDR, blocks);
    u32 *size = snapshot_writer_whole(&w, SNAPSHOT_BLOCK_SIZE, blocks);
    snapshot_writer_whole(&w, SNAPSHOT_BLOCK_STACK, blocks);
    snapshot_writer_whole(&w, SNAPSHOT_BLOCK_BIRTH, blocks);
    snapshot_writer_whole(&w, SNAPSHOT_BLOCK_THREAD, blocks);
    u64 next = 0x100000;
    for (u32 i = 0; i < blocks; i++) {
        addr[i] = next;
        size[i] = i == 0 ? 8 * blocks : i % 2 ? 96 : 44;
        next = ROUND_UP(next + size[i], 16UL);
    }
    struct snapshot_root *root = snapshot_writer_whole(&w, SNAPSHOT_ROOTS, 1);
    *root = (struct snapshot_root){.lo = 0x4000, .hi = 0x4010, .kind = SNAPSHOT_ROOT_DATA};
    struct snapshot_root_edge *held = snapshot_writer_whole(&w, SNAPSHOT_ROOT_EDGES, 1);
    *held = (struct snapshot_root_edge){.root = 1, .at = 1, .target = 1};
    write_sessions(&w, blocks, state);
    if (!snapshot_writer_finish(&w, s, &e))
        fail_msg("%s", e.text);
}

static void sessions(void **unused)
{
    (void)unused;
    const char *text = getenv("MOONHEAP_GRAPH_BLOCKS");
    u32 blocks = (text ? (u32)strtoul(text, NULL, 0) : BLOCKS) | 1;
    u64 state = made_seed(), total = 0, sum = 0;
    struct opened o;
    struct graph_dominators d;
    struct graph_tree t;
    struct graph_ask ask = {.include = GRAPH_HOLDING};
    struct snapshot again;
    struct err open_error = {0};

    write_heap(&o.s, blocks, &state);
    printf("%u blocks, %u references\n", o.s.block_count, o.s.edge_count);
    for (u32 b = 1; b <= blocks; b++)
        total += snapshot_block_bytes(&o.s, (block_id){b});
    last_ns = busy_own_ns();
    assert_true(
        snapshot_open_memory(&again, (void *)(uintptr_t)o.s.bytes, o.s.size, NULL, &open_error));
    lap("check", o.s.size);
    ANSWERED(graph_build(&o.g, &o.s, UINT64_MAX, &e));
    lap("rows", o.g.memory_bytes);
    o.words = graph_set_words(&o.s);
    u64 *set = opened_set(&o);
    ANSWERED(graph_reach(&o.g, &ask, set, &e));
    lap("reach", o.g.memory_bytes);
    for (u32 i = 0; i < o.words; i++)
        sum += (u64)__builtin_popcountll(set[i]);
    assert_int_equal(sum, blocks);
    ANSWERED(graph_tree(&o.g, &ask, &t, &e));
    lap("tree", o.g.memory_bytes);
    graph_tree_free(&o.g, &t);
    last_ns = busy_own_ns();
    ANSWERED(graph_dominators(&o.g, ask.include, &d, &e));
    lap("dominators", o.g.memory_bytes);
    assert_int_equal(graph_retained_bytes(&d, (block_id){1}), total);
    for (u32 b = 3; b <= blocks; b += 2)
        assert_int_equal(graph_dominator(&d, (block_id){b}).v, b - 1);
    graph_dominators_free(&o.g, &d);
    free(set);
    opened_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
