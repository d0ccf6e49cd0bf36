/* SPDX-License-Identifier: MIT
 *
 * Tests of C++ types by virtual table. The oracle is the symbol table of libstdc++: the table named
 * _ZTVx must be found to be of type x, and nothing else in its data may be taken for one.
 */
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_track.h"

enum { TABLES = 4000, BLOCK_BYTES = 48 };

static int add_module(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    struct track_module *m = &fake.modules[fake.module_count];
    u64 lo = UINT64_MAX, hi = 0;
    for (u32 i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD)
            continue;
        u64 at = info->dlpi_addr + p->p_vaddr;
        lo = at < lo ? at : lo;
        hi = at + p->p_memsz > hi ? at + p->p_memsz : hi;
    }
    if (fake.module_count < COUNT_OF(fake.modules) && lo < hi) {
        m->lo = ROUND_DOWN(lo, PAGE_BYTES);
        m->hi = ROUND_UP(hi, PAGE_BYTES);
        m->bias = info->dlpi_addr;
        snprintf(m->path, sizeof m->path, "%.399s", info->dlpi_name);
        fake.module_count++;
    }
    return 0;
}

struct known {
    u64 address;
    char name[250];
};

static struct known *tables;
static u32 table_count;
static u64 exception_table;
static struct link_map *library;

/* Where the pointer to type_info stands in a table; offsets of virtual bases may come before it. */
static u64 address_point(const u64 *table, u64 type_info)
{
    for (u32 i = 1; i < 8; i++)
        if (table[i] == type_info)
            return (u64)(uintptr_t)&table[i + 1];
    return 0;
}

static int prepare(void **state)
{
    (void)state;
    fake_seed();
    void *handle = dlopen("libstdc++.so.6", RTLD_NOW);
    if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &library) != 0)
        return -1;
    dl_iterate_phdr(add_module, NULL);

    tables = calloc(TABLES, sizeof *tables);
    char command[4200];
    snprintf(command, sizeof command, "nm -D --without-symbol-versions '%s'", library->l_name);
    FILE *nm = popen(command, "r");
    char line[8192];
    while (tables && nm && table_count < TABLES && fgets(line, sizeof line, nm)) {
        unsigned long long value;
        char name[4096];
        if (sscanf(line, "%llx %*c _ZTV%4095s", &value, name) != 2 || strlen(name) >= 250)
            continue;
        char symbol[4200];
        snprintf(symbol, sizeof symbol, "_ZTI%s", name);
        u64 type_info = (u64)(uintptr_t)dlsym(handle, symbol);
        u64 address = address_point((const u64 *)(library->l_addr + value), type_info);
        if (!type_info || !address)
            continue;
        tables[table_count].address = address;
        strcpy(tables[table_count++].name, name);
        if (strcmp(name, "St9exception") == 0)
            exception_table = address;
    }
    return nm && pclose(nm) == 0 && table_count > 100 && exception_table ? 0 : -1;
}

static int clean_up(void **state)
{
    (void)state;
    free(tables);
    return 0;
}

static void set_blocks(u8 *memory, u32 count, u64 step)
{
    fake.block_count = count;
    fake.blocks = calloc(count, sizeof *fake.blocks);
    assert_non_null(fake.blocks);
    for (u32 i = 0; i < count; i++)
        fake.blocks[i] =
            (struct track_block){.addr = (u64)(uintptr_t)memory + i * step, .size = BLOCK_BYTES};
}

static const char *type_of(const struct snapshot *s, u32 block)
{
    u32 v = s->block_vtable ? s->block_vtable[block] : 0;
    return v ? s->strings + s->vtables[v - 1].name : "";
}

static void every_table_of_libstdcxx_is_known(void **state)
{
    (void)state;
    u8 *memory = calloc(table_count * 2, BLOCK_BYTES);
    assert_non_null(memory);
    set_blocks(memory, table_count * 2, BLOCK_BYTES);
    for (u32 i = 0; i < table_count; i++) /* every second block is of no type */
        memcpy(memory + 2 * i * BLOCK_BYTES, &tables[i].address, sizeof(u64));
    struct snapshot s;
    fake_list(&s);
    for (u32 i = 0; i < table_count; i++) {
        assert_string_equal(type_of(&s, 2 * i), tables[i].name);
        const struct snapshot_vtable *v = &s.vtables[s.block_vtable[2 * i] - 1];
        assert_int_equal(v->address, tables[i].address);
        assert_int_equal(v->to_top, 0);
        assert_string_equal(s.strings + s.modules[v->module - 1].path, library->l_name);
        assert_int_equal(s.block_vtable[2 * i + 1], 0);
    }
    printf("%u tables\n", table_count);
    assert_true(s.vtable_count <= table_count);
    snapshot_close(&s);
    free(fake.blocks);
    free(memory);
}

/* Any word address of the library may turn up as a first word: only virtual tables (the ones listed
 * and further parts of them, of the same types) may be believed. */
static void other_addresses_are_not_tables(void **state)
{
    (void)state;
    const struct track_module *m = NULL;
    for (u32 i = 0; i < fake.module_count; i++)
        if (fake.modules[i].bias == library->l_addr)
            m = &fake.modules[i];
    assert_non_null(m);
    enum { TRIES = 100000 };
    u64 *memory = calloc(TRIES, BLOCK_BYTES);
    assert_non_null(memory);
    set_blocks((u8 *)memory, TRIES, BLOCK_BYTES);
    u64 step = BLOCK_BYTES / sizeof(u64);
    for (u32 i = 0; i < TRIES; i++)
        memory[i * step] = m->lo + (u64)rand() % (m->hi - m->lo) / 8 * 8;
    struct snapshot s;
    fake_list(&s);
    u32 believed = 0;
    for (u32 i = 0; i < TRIES; i++) {
        const char *name = type_of(&s, i);
        if (!*name)
            continue;
        u64 head[2];
        memcpy(head, (void *)(uintptr_t)(memory[i * step] - sizeof head), sizeof head);
        Dl_info info;
        assert_true(dladdr((void *)(uintptr_t)head[1], &info) != 0);
        if (info.dli_sname) { /* an exported type_info: _ZTI and the name */
            assert_int_equal(strncmp(info.dli_sname, "_ZTI", 4), 0);
            assert_string_equal(info.dli_sname + 4, name);
        }
        believed++;
    }
    printf("%u of %d random addresses were virtual tables\n", believed, TRIES);
    assert_true(believed < TRIES / 50);
    snapshot_close(&s);
    free(fake.blocks);
    free(memory);
}

static void unmapped_and_short_blocks_are_passed_over(void **state)
{
    (void)state;
    size_t bytes = 64 * PAGE_BYTES;
    u8 *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    u32 count = (u32)(bytes / 512);
    set_blocks(memory, count, 512);
    for (u32 i = 0; i < count; i++)
        memcpy(memory + i * 512, &tables[i % table_count].address, sizeof(u64));
    fake.blocks[1].size = 7;
    for (u32 page = 3; page < 64; page += 5)
        assert_int_equal(munmap(memory + page * PAGE_BYTES, PAGE_BYTES), 0);
    struct snapshot s;
    fake_list(&s);
    for (u32 i = 0; i < count; i++) {
        u32 page = i / (u32)(PAGE_BYTES / 512);
        bool there = page % 5 != 3 && i != 1;
        assert_string_equal(type_of(&s, i), there ? tables[i % table_count].name : "");
    }
    snapshot_close(&s);
    free(fake.blocks);
    munmap(memory, bytes);
}

/* As new T[n] lays them: the number, then the elements, each with its table in front. */
static void arrays_with_their_number_in_front(void **state)
{
    (void)state;
    enum { WORDS = 2050, CASES = 8 };
    static u64 memory[CASES][WORDS] __attribute__((aligned(16)));
    static const struct {
        u64 count, step, bytes;
        bool one_differs;
        const char *prefix;
    } cases[CASES] = {
        {1, 6, 8 + 48, false, "A1_"},
        {3, 5, 8 + 3 * 40, false, "A3_"},
        {2000, 1, 8 + 2000 * 8, false, "A2000_"},
        {3, 100, 8 + 3 * 800, false, "A3_"},
        {3, 5, 8 + 3 * 40 + 8, false, NULL},
        {3, 5, 8 + 3 * 40, true, NULL},
        {0, 5, 8 + 3 * 40, false, NULL},
        {70000, 1, 8 + 2000 * 8, false, NULL},
    };
    set_blocks((u8 *)memory, CASES, sizeof memory[0]);
    u64 table = exception_table;
    for (u32 i = 0; i < CASES; i++) {
        fake.blocks[i].size = cases[i].bytes;
        memory[i][0] = cases[i].count;
        for (u64 k = 1; k < cases[i].bytes / 8; k += cases[i].step)
            memory[i][k] = table;
        if (cases[i].one_differs)
            memory[i][1 + 2 * cases[i].step] += 8;
    }
    struct snapshot s;
    fake_list(&s);
    for (u32 i = 0; i < CASES; i++) {
        char name[64] = "";
        if (cases[i].prefix)
            snprintf(name, sizeof name, "%sSt9exception", cases[i].prefix);
        assert_string_equal(type_of(&s, i), name);
    }
    assert_int_equal(s.block_vtable[1], s.block_vtable[3]); /* equal arrays are of one type */
    snapshot_close(&s);
    free(fake.blocks);
}

/* A table that looks right but for one thing; each must be refused. */
static void forged_tables_are_refused(void **state)
{
    (void)state;
    static struct {
        u64 to_top, info, function;
        u64 kind, name;
    } forged __attribute__((aligned(16)));
    static char long_name[6000];
    u64 good_kind, *block = calloc(1, BLOCK_BYTES);
    assert_non_null(block);
    set_blocks((u8 *)block, 1, BLOCK_BYTES);
    void *si = dlsym(RTLD_DEFAULT, "_ZTVN10__cxxabiv120__si_class_type_infoE");
    if (!si)
        si = dlsym(dlopen("libstdc++.so.6", RTLD_NOW), "_ZTVN10__cxxabiv120__si_class_type_infoE");
    assert_non_null(si);
    good_kind = (u64)(uintptr_t)si + 16;
    memset(long_name, '7', sizeof long_name - 1);
    static const struct {
        const char *name, *type;
    } names[] = {{"7session", "7session"},
                 {"*7session", "7session"},
                 {"N2ns1XE", "N2ns1XE"},
                 {"session", ""},
                 {"", ""},
                 {"7 session", ""},
                 {"7sess\x01", ""},
                 {long_name, ""}};
    static const u64 to_tops[] = {0, (u64)-16, (u64)-0x2000000, 0x7fffffffffff};
    for (u32 n = 0; n < COUNT_OF(names); n++) {
        for (u32 t = 0; t < COUNT_OF(to_tops); t++) {
            for (u32 k = 0; k < 3; k++) {
                forged.to_top = to_tops[t];
                forged.info = (u64)(uintptr_t)&forged.kind;
                forged.kind = k == 0 ? good_kind : k == 1 ? good_kind + 8 : exception_table;
                forged.name = (u64)(uintptr_t)names[n].name;
                *block = (u64)(uintptr_t)&forged.function;
                struct snapshot s;
                fake_list(&s);
                assert_string_equal(type_of(&s, 0), k == 0 && t < 2 ? names[n].type : "");
                snapshot_close(&s);
            }
        }
    }
    forged.kind = good_kind;
    forged.to_top = 0;
    forged.name = 8; /* points nowhere */
    struct snapshot s;
    fake_list(&s);
    assert_string_equal(type_of(&s, 0), "");
    snapshot_close(&s);
    free(fake.blocks);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_of_libstdcxx_is_known),
        cmocka_unit_test(other_addresses_are_not_tables),
        cmocka_unit_test(unmapped_and_short_blocks_are_passed_over),
        cmocka_unit_test(arrays_with_their_number_in_front),
        cmocka_unit_test(forged_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
