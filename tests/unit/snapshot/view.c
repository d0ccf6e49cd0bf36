/* SPDX-License-Identifier: MIT
 *
 * Tests of the check at the door: each kind of damage is refused with a sentence that names it, and
 * thousands of random damages are either refused or harmless.
 *
 * The random part copies the damaged bytes into an exactly sized block, so that AddressSanitizer
 * sees a read that is one byte too far. SNAPSHOT_SEED repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sample.h"
#include "snapshot/layout.h"

enum { MUTATIONS = 20000 };

static struct snapshot good;

static int open_sample(void **state)
{
    (void)state;
    sample_open(&good);
    return 0;
}

static int close_sample(void **state)
{
    (void)state;
    snapshot_close(&good);
    return 0;
}

/* A copy at the alignment that the view asks for and of exactly the size. */
static u8 *copy_of(const u8 *bytes, u64 size)
{
    void *copy = NULL;
    assert_int_equal(posix_memalign(&copy, SNAPSHOT_ALIGN, size ? size : 1), 0);
    memcpy(copy, bytes, size);
    return copy;
}

static struct snapshot_entry *entry_of(u8 *file, enum snapshot_section code)
{
    struct snapshot_entry *table = (struct snapshot_entry *)(file + sizeof(struct snapshot_header));
    for (u32 i = 0; i < ((struct snapshot_header *)file)->section_count; i++)
        if (table[i].code == (u32)code)
            return &table[i];
    fail_msg("no section %d", (int)code);
    return NULL;
}

static void *records_of(u8 *file, enum snapshot_section code)
{
    return file + entry_of(file, code)->offset;
}

/* Opens the file with one damage done to it and expects a refusal that says so. */
#define REFUSED(says, ...)                                                                         \
    do {                                                                                           \
        u8 *file = copy_of(good.bytes, good.size);                                                 \
        struct snapshot_header *h = (struct snapshot_header *)file;                                \
        u64 size = good.size;                                                                      \
        struct snapshot s = {.size = 1234};                                                        \
        struct err e = {0};                                                                        \
        (void)h;                                                                                   \
        __VA_ARGS__;                                                                               \
        assert_false(snapshot_open_memory(&s, file, size, NULL, &e));                              \
        assert_int_equal(e.status, STATUS_MALFORMED);                                              \
        if (!strstr(e.text, says))                                                                 \
            fail_msg("said \"%s\", not \"%s\"", e.text, says);                                     \
        assert_int_equal(s.size, 1234);                                                            \
        free(file);                                                                                \
    } while (0)

#define RECORDS(type, code) ((type *)records_of(file, SNAPSHOT_##code))
#define ENTRY(code)         entry_of(file, SNAPSHOT_##code)

static void accepts_the_sample(void **state)
{
    (void)state;
    assert_true(sample_walk(&good) != 0);
}

static void refuses_a_damaged_frame(void **state)
{
    (void)state;
    REFUSED("too few", size = 63);
    REFUSED("not a snapshot", file[0] = 'm');
    REFUSED("byte order", h->byte_order = 0x04030201);
    REFUSED("version 2", h->version = 2);
    REFUSED("pointers of 4 bytes", h->pointer_bytes = 4);
    REFUSED("cut or overwritten", size -= 1);
    REFUSED("does not fit", h->section_count = 1u << 30);
    REFUSED("is not aligned", ENTRY(FRAMES)->offset += 8);
    REFUSED("overlaps", ENTRY(FRAMES)->offset = 64);
    REFUSED("overlaps", ENTRY(FRAMES)->offset = ENTRY(THREADS)->offset);
    REFUSED("do not fit", ENTRY(FRAME_NAMES)->count = UINT64_MAX / 2);
    REFUSED("do not fit", ENTRY(FRAME_NAMES)->offset = ROUND_UP(size, 64UL) + 64);
    REFUSED("section FRAMES: records of 8 bytes", ENTRY(FRAMES)->record_bytes = 8);
    REFUSED("there are two", ENTRY(NAMES)->code = SNAPSHOT_STRINGS);
}

static void refuses_damaged_records(void **state)
{
    (void)state;
    REFUSED("section STRINGS: missing", ENTRY(STRINGS)->code = 1000);
    REFUSED("section STRINGS: does not begin", RECORDS(char, STRINGS)[0] = 'x');
    REFUSED("section STRINGS: does not begin and end",
            RECORDS(char, STRINGS)[ENTRY(STRINGS)->count - 1] = 'x');
    REFUSED("section META: 0 records", ENTRY(META)->code = 1000);
    REFUSED("section META: a string", RECORDS(struct snapshot_meta, META)->notes = 1u << 20);
    REFUSED("path of module 1", RECORDS(struct snapshot_module, MODULES)->path = 1u << 20);
    REFUSED("ends before", RECORDS(struct snapshot_module, MODULES)->hi = 0);
    REFUSED("build-id of 33", RECORDS(struct snapshot_module, MODULES)->build_id_bytes = 33);
    REFUSED("order of numbers", RECORDS(struct snapshot_thread, THREADS)[1].number = 1);
    REFUSED("order of numbers", RECORDS(struct snapshot_thread, THREADS)[0].number = 0);
    REFUSED("frame 2 names module 2 of 1", RECORDS(struct snapshot_frame, FRAMES)[1].module = 2);
    REFUSED("section STACKS: node 5 names frame 99 of 6",
            RECORDS(struct snapshot_stack, STACKS)[4].frame = 99);
    REFUSED("node 5 names frame 0", RECORDS(struct snapshot_stack, STACKS)[4].frame = 0);
    REFUSED("node 5 comes before its caller 5",
            RECORDS(struct snapshot_stack, STACKS)[4].parent = 5);
    REFUSED("5 names for 6 frames", ENTRY(FRAME_NAMES)->count = 5);
    REFUSED("section NAMES: missing", ENTRY(NAMES)->code = 1000);
    REFUSED("name of frame 1 lies", RECORDS(u32, FRAME_NAMES)[0] = 1000);
    REFUSED("6 records for 6 frames", ENTRY(FRAME_LINES)->count = 6);
    REFUSED("does not span the 2 lines", ENTRY(LINES)->count = 2);
    REFUSED("does not span the 0 lines", ENTRY(LINES)->code = 1000);
    REFUSED("does not span the 3 lines", RECORDS(u32, FRAME_LINES)[0] = 1);
    REFUSED("frame 3 is out of order", RECORDS(u32, FRAME_LINES)[2] = 3);
    REFUSED("frame 4 is out of order", RECORDS(u32, FRAME_LINES)[3] = UINT32_MAX);
    REFUSED("a name of line 2 lies", RECORDS(struct snapshot_line, LINES)[1].function = 1000);
    REFUSED("a name of line 3 lies", RECORDS(struct snapshot_line, LINES)[2].file = 1000);
    REFUSED("name of vtable 1", RECORDS(struct snapshot_vtable, VTABLES)->name = 1u << 20);
    REFUSED("vtable 1 names module 2", RECORDS(struct snapshot_vtable, VTABLES)->module = 2);
}

static void refuses_damaged_threads_that_stood(void **state)
{
    (void)state;
    REFUSED("record 2 breaks the order", RECORDS(struct snapshot_standing, STANDING)[1].tid = 4711);
    REFUSED("name of thread 4712", RECORDS(struct snapshot_standing, STANDING)[1].name = 1u << 20);
    REFUSED("calls of thread 4712 are not in their place",
            RECORDS(struct snapshot_standing, STANDING)[1].first_call = 1);
    REFUSED("calls of thread 4720 are not in their place",
            RECORDS(struct snapshot_standing, STANDING)[2].call_count = 2);
    REFUSED("calls of thread 4711 are not in their place",
            RECORDS(struct snapshot_standing, STANDING)[0].call_count = UINT32_MAX);
    REFUSED("section CALLS: record 3 belongs to no thread", ENTRY(STANDING)->count = 2);
    REFUSED("section CALLS: record 1 belongs to no thread", ENTRY(STANDING)->code = 1000);
    REFUSED("section CALLS: record 2 names frame 0",
            RECORDS(struct snapshot_call, CALLS)[1].frame = 0);
    REFUSED("section CALLS: record 2 names frame 7",
            RECORDS(struct snapshot_call, CALLS)[1].frame = 7);
    REFUSED("section CALLS: record 1 ends before", RECORDS(struct snapshot_call, CALLS)[0].hi = 1);
}

static void refuses_damaged_blocks(void **state)
{
    (void)state;
    REFUSED("39 records for 40", ENTRY(BLOCK_SIZE)->count--);
    REFUSED("0 records for 40", ENTRY(BLOCK_THREAD)->code = 1000);
    REFUSED("39 records for 40", ENTRY(BLOCK_VTABLE)->count--);
    REFUSED("block 4 is not above", RECORDS(u64, BLOCK_ADDR)[3] = SAMPLE_FIRST);
    REFUSED("stack 10 of 9", RECORDS(u32, BLOCK_STACK)[3] = SAMPLE_STACKS + 1);
    REFUSED("epoch 4 of 4", RECORDS(u32, BLOCK_BIRTH)[3] = SAMPLE_EPOCHS);
    REFUSED("vtable 2 of 1", RECORDS(u32, BLOCK_VTABLE)[3] = 2);
    REFUSED("size of block 4 is not in", RECORDS(u32, BLOCK_SIZE)[3] = UINT32_MAX);
    REFUSED("record 2 belongs to no block", RECORDS(u32, BLOCK_SIZE)[SAMPLE_BLOCKS - 1] = 1);
    REFUSED("not that big", RECORDS(struct snapshot_big_size, BIG_SIZES)->size = 1);
    REFUSED("beyond the address space",
            RECORDS(struct snapshot_big_size, BIG_SIZES)->size = UINT64_MAX - 1);
    REFUSED("size of block 7 is not in", RECORDS(struct snapshot_big_size, BIG_SIZES)->block = 8);
}

static void a_block_may_begin_where_the_one_around_it_does(void **state)
{
    (void)state;
    struct snapshot s;
    struct err e = {0};
    u8 *file = copy_of(good.bytes, good.size);
    RECORDS(u64, BLOCK_ADDR)[3] = SAMPLE_FIRST + 2 * SAMPLE_STEP;
    assert_true(snapshot_open_memory(&s, file, good.size, NULL, &e));
    assert_int_equal(snapshot_block_own_bytes(&s, (block_id){7}), 5);
    assert_int_equal(snapshot_block_own_bytes(&s, (block_id){8}), 70);
    snapshot_close(&s);
    free(file);
}

static void refuses_damage_to_what_the_program_told(void **state)
{
    (void)state;
    REFUSED("name of tag 2 lies", RECORDS(u32, TAGS)[1] = 1u << 20);
    REFUSED("names tag 3 of 2", RECORDS(u16, BLOCK_TAG)[39] = SAMPLE_TAGS + 1);
    REFUSED("39 records for 40", ENTRY(BLOCK_TAG)->count--);
    REFUSED("names tag 2 of 0", ENTRY(TAGS)->code = 1000);
    REFUSED("NESTS: record 1 is out", RECORDS(struct snapshot_nest, NESTS)->block = 0);
    REFUSED("NESTS: record 2 is out", RECORDS(struct snapshot_nest, NESTS)[1].block = 3);
    REFUSED("NESTS: record 2 is out", RECORDS(struct snapshot_nest, NESTS)[1].block = 41);
    REFUSED("block 3 is not that long", RECORDS(struct snapshot_nest, NESTS)->own_bytes = 21);
    REFUSED("block 4 is not above", (ENTRY(NESTS)->code = 1000,
                                     RECORDS(u64, BLOCK_ADDR)[3] = SAMPLE_FIRST + 2 * SAMPLE_STEP));
}

static void refuses_damaged_references(void **state)
{
    (void)state;
    REFUSED("unknown way 3", RECORDS(struct snapshot_meta, META)->stop = SNAPSHOT_STOP_LIMIT);
    REFUSED("MISSED: a string of record 1",
            RECORDS(struct snapshot_missed, MISSED)->name = 1u << 20);
    REFUSED("MISSED: a string of record 1",
            RECORDS(struct snapshot_missed, MISSED)->why = 1u << 20);
    REFUSED("says that there are no", RECORDS(struct snapshot_meta, META)->flags = 0);
    REFUSED("says that there are ref", ENTRY(EDGE_ROW)->code = 1000);
    REFUSED("root 1 is of the unknown kind 0", RECORDS(struct snapshot_root, ROOTS)->kind = 0);
    REFUSED("unknown kind 9", RECORDS(struct snapshot_root, ROOTS)->kind = SNAPSHOT_ROOT_LIMIT);
    REFUSED("root 1 ends before", RECORDS(struct snapshot_root, ROOTS)->lo = 1000);
    REFUSED("root 2 names module 2", RECORDS(struct snapshot_root, ROOTS)[1].module = 2);
    REFUSED("name of root 1 lies", RECORDS(struct snapshot_root, ROOTS)->name = 1u << 20);

    REFUSED("40 records for 40 blocks", ENTRY(EDGE_ROW)->count--);
    REFUSED("4 records for 5 edges", ENTRY(EDGE_AT)->count--);
    REFUSED("does not span", RECORDS(u32, EDGE_ROW)[0] = 1);
    REFUSED("does not span", RECORDS(u32, EDGE_ROW)[SAMPLE_BLOCKS]--);
    REFUSED("row of block 20 is", RECORDS(u32, EDGE_ROW)[20] = 3);
    REFUSED("row of block 20 is", RECORDS(u32, EDGE_ROW)[20] = 99);
    REFUSED("edge 2 leads to block 0", RECORDS(u32, EDGE_TARGET)[2] = 0);
    REFUSED("edge 2 leads to block 41", RECORDS(u32, EDGE_TARGET)[2] = SAMPLE_BLOCKS + 1);
    REFUSED("edges of block 3 are out", RECORDS(u16, EDGE_AT)[0] = 1);
    REFUSED("edge of block 3 lies", RECORDS(u16, EDGE_AT)[1] = 2);
    REFUSED("edge of block 40 lies",
            RECORDS(struct snapshot_edge_far, EDGE_FAR)[1].high = 0x2000 << 4);
    REFUSED("record 2 belongs to no", RECORDS(struct snapshot_edge_far, EDGE_FAR)[1].edge = 5);
    REFUSED("record 2 belongs to no", RECORDS(struct snapshot_edge_far, EDGE_FAR)[1].edge = 2);
    REFUSED("INTO: record 2 is out", RECORDS(struct snapshot_edge_into, EDGE_INTO)[1].edge = 0);
    REFUSED("INTO: record 3 is out", RECORDS(struct snapshot_edge_into, EDGE_INTO)[2].edge = 5);
    REFUSED("edge 1 does not lead", RECORDS(struct snapshot_edge_into, EDGE_INTO)[1].into = 0);
    REFUSED("edge 1 does not lead", RECORDS(struct snapshot_edge_into, EDGE_INTO)[1].into = 20);

    REFUSED("edge 0 is of root 0", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[0].root = 0);
    REFUSED("edge 2 is of root 3", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[2].root = 3);
    REFUSED("ROOT_EDGES: edge 2 is out",
            RECORDS(struct snapshot_root_edge, ROOT_EDGES)[2].root = 1);
    REFUSED("ROOT_EDGES: edge 2 is out", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[2].at = 0);
    REFUSED("edge 0 lies outside", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[0].at = 17);
    REFUSED("edge 2 lies outside", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[2].at = 511);
    REFUSED("edge 1 leads to block 41",
            RECORDS(struct snapshot_root_edge, ROOT_EDGES)[1].target = SAMPLE_BLOCKS + 1);
    REFUSED("edge 1 leads beyond", RECORDS(struct snapshot_root_edge, ROOT_EDGES)[1].into = 20);
    REFUSED("TAILS: record 1 is out", RECORDS(struct snapshot_tail, TAILS)->block = 0);
    REFUSED("block 1 is not that long", RECORDS(struct snapshot_tail, TAILS)->block = 1);
}

static void skips_what_it_does_not_know(void **state)
{
    (void)state;
    u8 *file = copy_of(good.bytes, good.size);
    struct snapshot s;
    struct err e = {0};
    entry_of(file, SNAPSHOT_BLOCK_VTABLE)->code = 4000;
    entry_of(file, SNAPSHOT_FRAME_NAMES)->code = 4001;
    if (!snapshot_open_memory(&s, file, good.size, NULL, &e))
        fail_msg("%s", e.text);
    assert_null(s.block_vtable);
    assert_null(s.frame_names);
    assert_null(s.frame_lines); /* they are of no use without */
    assert_int_equal(s.block_count, SAMPLE_BLOCKS);
    sample_walk(&s);
    free(file);
}

static void opens_without_references(void **state)
{
    (void)state;
    u8 *file = copy_of(good.bytes, good.size);
    struct snapshot s;
    struct err e = {0};
    ((struct snapshot_meta *)records_of(file, SNAPSHOT_META))->flags = 0;
    entry_of(file, SNAPSHOT_EDGE_ROW)->code = 4000;
    if (!snapshot_open_memory(&s, file, good.size, NULL, &e))
        fail_msg("%s", e.text);
    assert_null(s.edge_row);
    assert_int_equal(s.edge_count + s.root_count + s.root_edge_count, 0);
    free(file);
}

static void opens_with_the_least_that_is_required(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot s;
    struct err e = {0};
    assert_true(snapshot_writer_begin(&w, 1 << 16));
    snapshot_writer_whole(&w, SNAPSHOT_META, 1);
    snapshot_writer_whole(&w, SNAPSHOT_STRINGS, 1);
    if (!snapshot_writer_finish(&w, &s, &e))
        fail_msg("%s", e.text);
    assert_int_equal(s.block_count, 0);
    assert_int_equal(snapshot_block_at(&s, 1).v, 0);
    sample_walk(&s);
    snapshot_close(&s);
}

static u64 random_state;

static u64 random_u64(void)
{
    random_state ^= random_state << 13; /* xorshift64, Marsaglia 2003 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void damage(u8 *file, u64 size)
{
    static const u64 telling[] = {
        0,         1, 0x7f, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX, UINT64_MAX - 63,
        1ULL << 63};
    u64 frame = sizeof(struct snapshot_header) +
                (SNAPSHOT_SECTION_LIMIT - 1) * sizeof(struct snapshot_entry);
    for (u64 n = 1 + random_u64() % 3; n > 0; n--) {
        /* Half of the damage goes where it hurts most: the header and the table. */
        u64 at = random_u64() % (random_u64() % 2 ? (frame < size ? frame : size) : size);
        u64 value = telling[random_u64() % COUNT_OF(telling)];
        u64 width = 1ULL << random_u64() % 4;
        switch (random_u64() % 3) {
        case 0:
            file[at] ^= (u8)(1u << random_u64() % 8);
            break;
        case 1:
            file[at] = (u8)random_u64();
            break;
        default:
            at -= at % width;
            if (at + width <= size)
                memcpy(file + at, &value, width);
        }
    }
}

static void random_damage_is_refused_or_harmless(void **state)
{
    (void)state;
    const char *given = getenv("SNAPSHOT_SEED");
    u64 seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 2654435761u + 1;
    random_state = seed ? seed : 1;
    printf("seed %llu\n", (unsigned long long)seed);
    u32 accepted = 0;
    for (u32 i = 0; i < MUTATIONS; i++) {
        u64 size = good.size;
        bool cut = random_u64() % 8 == 0;
        if (cut)
            size = random_u64() % (size + 1);
        u8 *file = copy_of(good.bytes, size);
        if (size > 0)
            damage(file, size);
        /* A cut file that owns up to its size is the more interesting one. */
        if (cut && size >= sizeof(struct snapshot_header))
            ((struct snapshot_header *)file)->file_bytes = size;
        struct snapshot s;
        struct err e = {0};
        if (snapshot_open_memory(&s, file, size, NULL, &e)) {
            sample_walk(&s);
            accepted++;
        } else {
            assert_true(e.text[0] != '\0');
        }
        free(file);
    }
    printf("%u of %u damaged snapshots were still whole\n", accepted, MUTATIONS);
    assert_true(accepted > 0 && accepted < MUTATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_sample),
        cmocka_unit_test(refuses_a_damaged_frame),
        cmocka_unit_test(refuses_damaged_records),
        cmocka_unit_test(refuses_damaged_threads_that_stood),
        cmocka_unit_test(refuses_damaged_blocks),
        cmocka_unit_test(a_block_may_begin_where_the_one_around_it_does),
        cmocka_unit_test(refuses_damage_to_what_the_program_told),
        cmocka_unit_test(refuses_damaged_references),
        cmocka_unit_test(skips_what_it_does_not_know),
        cmocka_unit_test(opens_without_references),
        cmocka_unit_test(opens_with_the_least_that_is_required),
        cmocka_unit_test(random_damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, open_sample, close_sample);
}
