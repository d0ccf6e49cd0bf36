/* SPDX-License-Identifier: MIT
 *
 * Which memory of this process is a root, and of what kind: a thread that waits plays the stopped
 * one, with registers as the test says.
 */
#include <pthread.h>
#include <unistd.h>

#include "image.h"

static struct snapshot shot;

/* The kind of the root that holds an address; 0 = none. No address may be in two. */
static u32 kind_at(u64 address)
{
    u32 kind = 0;
    for (u32 i = 0; i < shot.root_count; i++) {
        const struct snapshot_root *r = &shot.roots[i];
        if (r->kind == SNAPSHOT_ROOT_REGISTER || address < r->lo || address >= r->hi)
            continue;
        assert_int_equal(kind, 0);
        kind = r->kind;
    }
    return kind;
}

static void which_mappings(void **state)
{
    (void)state;
    enum { PAGES = 5 };
    u8 *pages = image_pages(PAGES * PAGE_BYTES);
    u8 *shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    u8 *ours = sys_map(PAGE_BYTES);
    mprotect(pages + PAGE_BYTES, PAGE_BYTES, PROT_NONE);
    mprotect(pages + 3 * PAGE_BYTES, PAGE_BYTES, PROT_READ);
    fake.block_count = 0;
    image_block(pages + 4 * PAGE_BYTES + 16, 100); /* as the C library maps large ones */
    image_take(&shot, NULL);
    assert_int_equal(kind_at((u64)pages), SNAPSHOT_ROOT_MAPPING);
    assert_int_equal(kind_at((u64)pages + PAGE_BYTES), 0);
    assert_int_equal(kind_at((u64)pages + 2 * PAGE_BYTES), SNAPSHOT_ROOT_MAPPING);
    assert_int_equal(kind_at((u64)pages + 3 * PAGE_BYTES), SNAPSHOT_ROOT_MAPPING);
    assert_int_equal(kind_at((u64)pages + 4 * PAGE_BYTES), 0);
    assert_int_equal(kind_at((u64)shared), 0);
    assert_int_equal(kind_at((u64)ours), 0);
    assert_int_equal(kind_at((u64)&shot), SNAPSHOT_ROOT_MAPPING);
    assert_int_equal(kind_at((u64)&pages), SNAPSHOT_ROOT_STACK); /* of whom is not known */
    assert_int_equal(kind_at((u64)&which_mappings), 0);
    snapshot_close(&shot);
    sys_unmap(ours, PAGE_BYTES);
    munmap(pages, PAGES * PAGE_BYTES);
    munmap(shared, PAGE_BYTES);
}

/* The loader protects a part of a module's data; it is a root as the rest is. */
static void data_of_a_module(void **state)
{
    (void)state;
    static const void *const volatile relocated = &shot; /* in .data.rel.ro */
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long lo = UINT64_MAX, hi = 0, from, to;
    assert_non_null(maps);
    const char *name = "unit_freeze_roots";
    while (fgets(line, sizeof line, maps))
        if (strstr(line, name) && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            lo = from < lo ? from : lo;
            hi = to > hi ? to : hi;
        }
    fclose(maps);
    assert_true((u64)&relocated >= lo && (u64)&relocated < hi);
    fake.block_count = 0;
    fake.module_count = 1;
    fake.modules[0] = (struct track_module){.lo = lo, .hi = hi, .bias = lo};
    strcpy(fake.modules[0].path, name);
    image_take(&shot, NULL);
    assert_int_equal(kind_at((u64)&relocated), SNAPSHOT_ROOT_DATA);
    assert_int_equal(kind_at((u64)&shot), SNAPSHOT_ROOT_DATA);
    assert_int_equal(kind_at((u64)&data_of_a_module), 0);
    assert_int_equal(kind_at((u64)lo), 0);
    snapshot_close(&shot);
    fake.module_count = 0;
}

/* --- a thread ------------------------------------------------------------------------------ */

static pthread_barrier_t turn;
static u64 top, thread_pointer;
static int tid;
static __thread int local;
static u64 address_of_local;

static void *wait_about(void *unused)
{
    top = (u64)__builtin_frame_address(0);
    thread_pointer = (u64)pthread_self();
    address_of_local = (u64)&local;
    tid = gettid();
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    return unused;
}

static void of_a_thread(void **state)
{
    (void)state;
    pthread_t t;
    u8 *area = image_pages(PAGE_BYTES);
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(pthread_create(&t, NULL, wait_about, NULL), 0);
    pthread_barrier_wait(&turn);

    u64 sp = top - 8192, struct_pthread = 2304;
    struct freeze_thread_locals own = {.inside = (u64)&of_a_thread,
                                       .below = thread_pointer - address_of_local,
                                       .bytes = sizeof local};
    image_request.thread_locals = &own;
    image_request.thread_local_count = 1;
    fake.module_count = 1;
    fake.modules[0] = (struct track_module){.lo = ROUND_DOWN(own.inside, PAGE_BYTES),
                                            .hi = ROUND_DOWN(own.inside, PAGE_BYTES) + PAGE_BYTES};
    image_request.static_tls_bytes = struct_pthread + thread_pointer - address_of_local;
    fake.block_count = 0;
    image_block(area + 64, 100);
    struct stop_thread thread = {.tid = tid, .state = STOP_STOPPED};
    thread.regs.rsp = sp;
    thread.regs.fs_base = thread_pointer;
    thread.regs.r12 = (u64)area + 64;
    struct stop stop = {.pid = getpid(), .count = 1, .threads = &thread};
    image_take(&shot, &stop);

    assert_int_equal(kind_at(sp), SNAPSHOT_ROOT_STACK);
    assert_int_equal(kind_at(top), SNAPSHOT_ROOT_STACK);
    assert_int_equal(kind_at(sp - 128), SNAPSHOT_ROOT_STACK); /* the red zone */
    assert_int_equal(kind_at(sp - 136), SNAPSHOT_ROOT_DEAD_STACK);
    assert_int_equal(kind_at(address_of_local), SNAPSHOT_ROOT_THREAD_LOCAL);
    assert_int_equal(kind_at(address_of_local + sizeof local), SNAPSHOT_ROOT_THREAD_LOCAL);
    bool whole = false;
    for (u32 i = 0; i < shot.root_count; i++) {
        const struct snapshot_root *r = &shot.roots[i];
        if (r->module == 1 && r->kind == SNAPSHOT_ROOT_THREAD_LOCAL)
            whole = r->lo == address_of_local && r->hi == r->lo + own.bytes;
    }
    assert_true(whole);
    assert_int_equal(kind_at(thread_pointer), SNAPSHOT_ROOT_THREAD_LOCAL);

    const struct snapshot_root *first = &shot.roots[0];
    assert_int_equal(first->kind, SNAPSHOT_ROOT_REGISTER);
    assert_int_equal(first->tid, tid);
    assert_int_equal(first->hi, 8 * ROOTS_GENERAL);
    u32 found = 0;
    for (u32 i = 0; i < shot.root_edge_count; i++)
        found += shot.root_edges[i].root == 1 && shot.root_edges[i].at == 12 &&
                 shot.root_edges[i].target == 1;
    assert_int_equal(found, 1);

    snapshot_close(&shot);
    fake.module_count = image_request.thread_local_count = 0;
    pthread_barrier_wait(&turn);
    pthread_join(t, NULL);
    munmap(area, PAGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_mappings),
        cmocka_unit_test(data_of_a_module),
        cmocka_unit_test(of_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
