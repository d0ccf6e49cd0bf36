/* SPDX-License-Identifier: MIT
 *
 * The references of blocks that the test fills by chance, against what it wrote; that they are a
 * snapshot which the reader accepts; and the roots' references to them.
 */
#include "image.h"

enum { BLOCKS = 600, WORDS_MAX = 300 };

static u64 *slot_in_data; /* a root: this program's .bss */

static u64 chance(u64 below)
{
    return (u64)rand() % below;
}

/* The block that holds the address, by looking at each; 0 = none. */
static u32 block_of(u64 address)
{
    for (u32 i = 0; i < fake.block_count; i++)
        if (address >= image_blocks[i].addr &&
            address - image_blocks[i].addr < image_blocks[i].size)
            return i + 1;
    return 0;
}

static void lay_out(u8 *area, u64 bytes)
{
    fake.block_count = 0;
    u8 *at = area + 16;
    while (fake.block_count < BLOCKS) {
        u64 size = chance(20) ? 1 + chance(8 * WORDS_MAX) : 600000 + chance(100000);
        assert_true(at + size < area + bytes);
        image_block(at, size);
        at += (size + chance(60) + 15) / 8 * 8; /* some at no multiple of 16 */
    }
}

/* Every other word points at some block's beginning, middle, or end. */
static void fill(void)
{
    for (u32 i = 0; i < fake.block_count; i++) {
        const struct track_block *b = &image_blocks[i];
        for (u64 at = b->addr; at + 8 <= b->addr + b->size; at += 8) {
            const struct track_block *to = &image_blocks[chance(fake.block_count)];
            u64 into = chance(3) == 0 ? to->size : chance(3) == 0 ? chance(to->size) : 0;
            if (chance(b->size > 5000 ? 500 : 2) == 0)
                *(u64 *)at = to->addr + into;
        }
    }
}

static void check_block(const struct snapshot *s, u32 b, u32 *far)
{
    const struct track_block *from = &image_blocks[b - 1];
    u32 edge = s->edge_row[b - 1];
    for (u64 at = 0; at + 8 <= from->size; at += 8) {
        u64 word = *(const u64 *)(from->addr + at);
        u32 to = block_of(word);
        if (!to || to == b)
            continue;
        assert_true(edge < s->edge_row[b]);
        assert_int_equal(s->edge_target[edge], to);
        assert_int_equal(snapshot_edge_offset(s, (block_id){b}, edge), at);
        assert_int_equal(snapshot_edge_into(s, edge), word - image_blocks[to - 1].addr);
        *far += at >= 8 << 16;
        edge++;
    }
    assert_int_equal(edge, s->edge_row[b]);
}

static void edges_are_what_was_written(void **state)
{
    (void)state;
    fake_seed();
    enum { AREA = 64 << 20 };
    u8 *area = image_pages(AREA);
    struct snapshot s;
    lay_out(area, AREA);
    fill();
    image_take(&s, NULL);
    u32 far = 0;
    for (u32 b = 1; b <= s.block_count; b++)
        check_block(&s, b, &far);
    assert_true(far > 0 && s.edge_into_count > 0 && s.edge_count > BLOCKS);
    snapshot_close(&s);
    munmap(area, AREA);
}

/* How many references of roots lead so far into a block; and where the last one lies. */
static u32 root_edges_to(const struct snapshot *s, u32 target, u32 into, u64 *address)
{
    u32 count = 0;
    for (u32 i = 0; i < s->root_edge_count; i++) {
        const struct snapshot_root_edge *e = &s->root_edges[i];
        if (e->target != target || e->into != into ||
            s->roots[e->root - 1].kind != SNAPSHOT_ROOT_MAPPING)
            continue;
        *address = snapshot_root_edge_address(s, e);
        count++;
    }
    return count;
}

static void roots_refer_too(void **state)
{
    (void)state;
    u8 *area = image_pages(1 << 16);
    struct snapshot s;
    u64 address = 0;
    fake.block_count = 0;
    image_block(area + 64, 100);
    image_block(area + 1024, 100);
    slot_in_data = (u64 *)(area + 64 + 40);
    image_take(&s, NULL);
    slot_in_data = NULL;
    /* No module is known to the fake recorder, so data is a mapping as any other. */
    assert_int_equal(root_edges_to(&s, 1, 40, &address), 1);
    assert_int_equal(address, (u64)&slot_in_data);
    snapshot_close(&s);
    munmap(area, 1 << 16);
}

static void too_little_memory_is_said(void **state)
{
    (void)state;
    u8 *area = image_pages(1 << 16);
    struct snapshot_writer w;
    fake.block_count = 0;
    for (u32 i = 0; i < 8; i++) {
        image_block(area + i * 64, 64);
        *(u8 **)(area + i * 64) = area + (i + 1) % 8 * 64;
    }
    image_write(&w, NULL, 16);
    assert_int_equal(w.status, STATUS_NO_MEMORY);
    snapshot_writer_abandon(&w);
    munmap(area, 1 << 16);
}

/* A page of another block that cannot be read, or was never written, is passed over. */
static void pages_that_cannot_be_read_are_passed_over(void **state)
{
    (void)state;
    u8 *area = image_pages(1 << 16);
    struct snapshot s;
    fake.block_count = 0;
    image_block(area, 5 * PAGE_BYTES);
    image_block(area + 6 * PAGE_BYTES, 100);
    *(u8 **)(area + 8) = area + 6 * PAGE_BYTES;
    *(u8 **)(area + 2 * PAGE_BYTES) = area + 6 * PAGE_BYTES;
    *(u8 **)(area + 4 * PAGE_BYTES) = area + 6 * PAGE_BYTES;
    assert_int_equal(mprotect(area + 2 * PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
    image_take(&s, NULL);
    assert_int_equal(s.edge_count, 2);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){1}, 0), 8);
    assert_int_equal(snapshot_edge_offset(&s, (block_id){1}, 1), 4 * PAGE_BYTES);
    snapshot_close(&s);
    munmap(area, 1 << 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_what_was_written),
        cmocka_unit_test(roots_refer_too),
        cmocka_unit_test(too_little_memory_is_said),
        cmocka_unit_test(pages_that_cannot_be_read_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
