/* SPDX-License-Identifier: MIT
 *
 * The mappings of this process as it sees them itself, and which of their pages were written.
 */
#include "image.h"

static char string_room[1 << 20];
static struct freeze_strings strings = {.bytes = string_room, .used = 1, .room = sizeof string_room};

static struct regions *read_regions(void)
{
    struct regions *r = regions_read(&strings);
    assert_non_null(r);
    assert_false(r->cut);
    return r;
}

static void regions_ascend(void **state)
{
    (void)state;
    struct regions *r = read_regions();
    for (u32 i = 0; i < r->count; i++) {
        assert_true(r->list[i].lo < r->list[i].hi);
        assert_true(i == 0 || r->list[i - 1].hi <= r->list[i].lo);
    }
    regions_free(r);
}

static void an_address_is_in_its_region(void **state)
{
    (void)state;
    fake_seed();
    struct regions *r = read_regions();
    for (u32 n = 0; n < 20000; n++) {
        const struct region *in = &r->list[(u32)rand() % r->count];
        assert_ptr_equal(regions_find(r, in->lo), in);
        assert_ptr_equal(regions_find(r, in->hi - 1), in);
        const struct region *after = in + 1;
        if (after < r->list + r->count && after->lo != in->hi)
            assert_null(regions_find(r, in->hi));
    }
    assert_null(regions_find(r, 8));
    regions_free(r);
}

static const struct region *region_of(struct regions *r, const void *address)
{
    const struct region *found = regions_find(r, (u64)address);
    assert_non_null(found);
    return found;
}

static void kinds(void **state)
{
    (void)state;
    static int in_bss = 1;
    int on_stack = 0;
    u8 *pages = image_pages(1 << 16);
    u8 *shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct regions *r = read_regions();
    assert_int_equal(region_of(r, &on_stack)->kind, REGION_STACK);
    assert_int_equal(region_of(r, pages)->kind, REGION_ANONYMOUS);
    assert_true(region_of(r, pages)->write && !region_of(r, pages)->shared);
    assert_true(region_of(r, shared)->shared);
    const struct region *code = region_of(r, (const void *)(uintptr_t)&kinds);
    assert_int_equal(code->kind, REGION_FILE);
    assert_false(code->write);
    assert_true(region_of(r, &in_bss)->write);
    regions_free(r);
    munmap(pages, 1 << 16);
    munmap(shared, 1 << 16);
}

/* Pages here and there are written, and no others are said to be worth a look. */
static void only_written_pages_hold_something(void **state)
{
    (void)state;
    fake_seed();
    enum { PAGES = 3 * REGIONS_WINDOW };
    static bool written[PAGES];
    u8 *pages = image_pages(PAGES * PAGE_BYTES);
    madvise(pages, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
    for (u32 i = 0; i < PAGES; i++)
        if ((written[i] = rand() % 4 == 0))
            pages[i * PAGE_BYTES + 5] = 1;
    struct regions *r = read_regions();
    for (u32 n = 0; n < 2 * PAGES; n++) {
        u32 page = n < PAGES ? n : (u32)rand() % PAGES;
        assert_int_equal(regions_holds(r, (u64)pages + page * PAGE_BYTES + 8), written[page]);
    }
    regions_free(r);
    munmap(pages, PAGES * PAGE_BYTES);
}

static void what_cannot_be_read_holds_nothing(void **state)
{
    (void)state;
    u8 *pages = image_pages(3 * PAGE_BYTES);
    memset(pages, 1, 3 * PAGE_BYTES);
    assert_int_equal(mprotect(pages + PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
    assert_int_equal(mprotect(pages + 2 * PAGE_BYTES, PAGE_BYTES, PROT_READ), 0);
    struct regions *r = read_regions();
    assert_true(regions_holds(r, (u64)pages));
    assert_false(regions_holds(r, (u64)pages + PAGE_BYTES));
    assert_true(regions_holds(r, (u64)pages + 2 * PAGE_BYTES));
    assert_false(regions_holds(r, 8));
    assert_false(regions_holds(r, UINT64_MAX - 7));
    regions_free(r);
    munmap(pages, 3 * PAGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_ascend),
        cmocka_unit_test(an_address_is_in_its_region),
        cmocka_unit_test(kinds),
        cmocka_unit_test(only_written_pages_hold_something),
        cmocka_unit_test(what_cannot_be_read_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
