/* SPDX-License-Identifier: MIT
 *
 * Tests of stacks: every block keeps its very frames, and equal stacks get one id although the
 * recorder's trie holds them several times.
 */
#include "fake_track.h"

enum { NODES = 5000, BLOCKS = 3000 };

static void random_trie(void)
{
    fake.node_count = NODES;
    fake.nodes = calloc(NODES + 1, sizeof *fake.nodes);
    fake.block_count = BLOCKS;
    fake.blocks = calloc(BLOCKS, sizeof *fake.blocks);
    assert_true(fake.nodes && fake.blocks);
    for (u32 i = 1; i <= NODES; i++)
        fake.nodes[i] = (struct track_node){
            .pc = 0x1000 + (u64)rand() % 20,
            .parent = rand() % 3 ? (u32)rand() % (i < 50 ? i : 50) : (u32)rand() % i,
            .incarnation = (u32)rand() % 2,
            .cut = rand() % 10 == 0,
        };
    for (u32 i = 0; i < BLOCKS; i++)
        fake.blocks[i] = (struct track_block){
            .addr = 4096 + i * 16ul, .size = 1, .stack = (u32)rand() % (NODES / 2 + 1)};
    fake.modules[0] = (struct track_module){.lo = 0x1000, .hi = 0x100a, .incarnation = 0};
    fake.modules[1] = (struct track_module){.lo = 0x1000, .hi = 0x1008, .incarnation = 1};
    fake.module_count = 2;
}

/* Does stack `id` of the snapshot read as `node` of the recorder, frame by frame? */
static void assert_same(const struct snapshot *s, u32 id, u32 node)
{
    while (node) {
        const struct track_node *n = &fake.nodes[node];
        assert_in_range(id, 1, s->stack_count);
        const struct snapshot_stack *stack = &s->stacks[id - 1];
        const struct snapshot_frame *frame = &s->frames[(stack->frame & ~SNAPSHOT_STACK_CUT) - 1];
        assert_int_equal(frame->pc, n->pc);
        assert_int_equal((stack->frame & SNAPSHOT_STACK_CUT) != 0, n->cut);
        u64 hi = n->incarnation ? 0x1008 : 0x100a;
        assert_int_equal(frame->module, n->pc < hi ? n->incarnation + 1 : 0);
        id = stack->parent;
        node = n->parent;
    }
    assert_int_equal(id, 0);
}

static bool same_stack(u32 a, u32 b)
{
    while (a && b) {
        const struct track_node *x = &fake.nodes[a], *y = &fake.nodes[b];
        if (x->pc != y->pc || x->incarnation != y->incarnation || x->cut != y->cut)
            return false;
        a = x->parent;
        b = y->parent;
    }
    return a == b;
}

static void equal_stacks_have_equal_ids(void **state)
{
    (void)state;
    fake_seed();
    random_trie();
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.block_count, BLOCKS);
    for (u32 i = 0; i < BLOCKS; i++)
        assert_same(&s, s.block_stack[i], fake.blocks[i].stack);
    u32 equal = 0;
    for (u32 i = 0; i < 400; i++)
        for (u32 k = 0; k < i; k++) {
            bool same = same_stack(fake.blocks[i].stack, fake.blocks[k].stack);
            assert_int_equal(s.block_stack[i] == s.block_stack[k], same);
            equal += same && fake.blocks[i].stack != fake.blocks[k].stack;
        }
    assert_true(equal > 0); /* the trie did hold stacks twice */

    /* No two nodes, no two frames are the same (incarnations tell frames of one pc apart). */
    for (u32 i = 0; i < s.stack_count; i++)
        for (u32 k = 0; k < i; k++)
            assert_false(s.stacks[i].parent == s.stacks[k].parent &&
                         s.stacks[i].frame == s.stacks[k].frame);
    assert_in_range(s.frame_count, 1, 40);

    /* Nodes that no block reaches are not there. */
    u8 *reached = calloc(s.stack_count + 1, 1);
    assert_non_null(reached);
    for (u32 i = 0; i < BLOCKS; i++)
        for (u32 id = s.block_stack[i]; id; id = s.stacks[id - 1].parent)
            reached[id] = 1;
    for (u32 id = 1; id <= s.stack_count; id++)
        assert_int_equal(reached[id], 1);
    free(reached);
    snapshot_close(&s);
    free(fake.nodes);
    free(fake.blocks);
}

static void a_stack_number_never_given_is_unknown(void **state)
{
    (void)state;
    struct track_node nodes[2] = {{0}, {.pc = 0x1000}};
    struct track_block blocks[] = {{.addr = 16, .stack = 1}, {.addr = 32, .stack = 2}};
    fake.nodes = nodes;
    fake.node_count = 1;
    fake.blocks = blocks;
    fake.block_count = 2;
    struct snapshot s;
    fake_list(&s);
    assert_int_equal(s.block_stack[0], 1);
    assert_int_equal(s.block_stack[1], 0);
    snapshot_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_stacks_have_equal_ids),
        cmocka_unit_test(a_stack_number_never_given_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
