/* SPDX-License-Identifier: MIT
 *
 * Tests of symbol tables. The oracle is readelf: what it lists of libc, libstdc++ and a program
 * built here decides which names an address may have. Damaged files must do no harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "elf/elf.h"

enum { MUTATIONS = 3000, PROBES = 20000 };

static const char victim_source[] =
    "__attribute__((noinline)) static int hidden(int x) { return x * 3 + 1; }\n"
    "__attribute__((noinline)) int visible(int x) { return hidden(x) + 2; }\n"
    "__asm__(\".text\\n.type sizeless,@function\\nsizeless: nop\\nnop\\nret\\n\");\n"
    "__asm__(\".type outer,@function\\nouter: nop\\ninner: nop\\nnop\\n.size inner,1\\n\"\n"
    "        \".type inner,@function\\nnop\\n.size outer,.-outer\\n\");\n"
    "int main(int n, char **v) { (void)v; return visible(n); }\n";

static char folder[64], victim[96];
static u32 seed;

static int prepare(void **state)
{
    (void)state;
    const char *given = getenv("ELF_SEED");
    seed = given ? (u32)strtoul(given, NULL, 0) : (u32)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    strcpy(folder, "/tmp/moonheap-elf.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(victim, sizeof victim, "%s/victim", folder);
    char command[200];
    snprintf(command, sizeof command, "cc -O1 -x c -o %s -Wl,--build-id=sha1 -", victim);
    FILE *compiler = popen(command, "w");
    if (!compiler)
        return -1;
    fputs(victim_source, compiler);
    return pclose(compiler);
}

static int clean_up(void **state)
{
    (void)state;
    unlink(victim);
    return rmdir(folder);
}

/* --- the oracle ------------------------------------------------------------------------------ */

struct listed {
    u64 start, size;
    char name[200];
};

struct listing {
    struct listed *items;
    u32 count;
};

static int by_start(const void *a, const void *b)
{
    u64 x = ((const struct listed *)a)->start, y = ((const struct listed *)b)->start;
    return (x > y) - (x < y);
}

static struct listing listing_of(const char *path)
{
    struct listing l = {0};
    char command[300], line[8192];
    snprintf(command, sizeof command, "readelf --wide --syms --dyn-syms '%s' 2>/dev/null", path);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    u32 room = 0;
    while (fgets(line, sizeof line, out)) {
        unsigned long long value, size;
        char size_text[32], type[16], section[16], name[4096];
        if (sscanf(line, " %*u: %llx %31s %15s %*s %*s %15s %4095s", &value, size_text, type,
                   section, name) != 5 ||
            (strcmp(type, "FUNC") != 0 && strcmp(type, "IFUNC") != 0) ||
            strcmp(section, "UND") == 0)
            continue;
        size = strtoull(size_text, NULL, 0);
        name[strcspn(name, "@")] = '\0';
        if (l.count == room) {
            room = room ? room * 2 : 1024;
            l.items = realloc(l.items, room * sizeof *l.items);
            assert_non_null(l.items);
        }
        l.items[l.count].start = value;
        l.items[l.count].size = size;
        snprintf(l.items[l.count++].name, sizeof l.items->name, "%.199s", name);
    }
    pclose(out);
    qsort(l.items, l.count, sizeof *l.items, by_start);
    return l;
}

static bool lists(const struct listing *l, u64 start, const char *name)
{
    u32 lo = 0, hi = l->count;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (l->items[mid].start < start)
            lo = mid + 1;
        else
            hi = mid;
    }
    size_t length = strcspn(name, "@");
    for (; lo < l->count && l->items[lo].start == start; lo++)
        if (strncmp(l->items[lo].name, name, length < 199 ? length : 199) == 0)
            return true;
    return false;
}

/* Start of the innermost listed function that holds the address; 0 when none does. */
static u64 innermost(const struct listing *l, u64 address)
{
    for (u32 i = l->count; i-- > 0;)
        if (l->items[i].start <= address && address - l->items[i].start < l->items[i].size)
            return l->items[i].start;
    return 0;
}

static void agrees(const char *path, const char *listed_path, u32 at_least)
{
    struct elf_symbols *s;
    struct err e = {0};
    struct listing l = listing_of(listed_path);
    if (!elf_symbols_open(path, NULL, 0, &s, &e))
        fail_msg("%s", e.text);
    assert_true(l.count >= at_least);
    u64 lo = UINT64_MAX, hi = 0;
    for (u32 i = 0; i < l.count; i++) {
        u64 offset = 99, start = l.items[i].start, size = l.items[i].size;
        const char *name = elf_symbols_find(s, start, &offset);
        if (!name || offset != 0 || !lists(&l, start, name))
            fail_msg("%s at %llx is %s", l.items[i].name, (unsigned long long)start,
                     name ? name : "nothing");
        if (size > 0) {
            name = elf_symbols_find(s, start + size - 1, &offset);
            assert_non_null(name);
            assert_true(lists(&l, start + size - 1 - offset, name));
        }
        lo = start < lo ? start : lo;
        hi = start + size > hi ? start + size : hi;
    }
    u32 known = 0;
    for (u32 i = 0; i < PROBES; i++) {
        u64 address = lo + (((u64)rand() << 20) ^ (u64)rand()) % (hi - lo), offset;
        u64 expected = innermost(&l, address);
        const char *name = elf_symbols_find(s, address, &offset);
        if (!expected)
            continue; /* nothing, or a function of unknown size before it */
        if (!name || !lists(&l, address - offset, name) || address - offset < expected)
            fail_msg("%llx is %s", (unsigned long long)address, name ? name : "nothing");
        known++;
    }
    printf("%s: %u functions, %u of %d probes in one\n", path, l.count, known, PROBES);
    assert_true(known > PROBES / 10);
    assert_null(elf_symbols_find(s, 0, NULL));
    assert_null(elf_symbols_find(s, UINT64_MAX, NULL));
    elf_symbols_close(s);
    free(l.items);
}

static const char *library_path(const char *name)
{
    struct link_map *map;
    void *handle = dlopen(name, RTLD_NOW);
    assert_non_null(handle);
    assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
    return map->l_name;
}

static void agrees_with_readelf(void **state)
{
    (void)state;
    agrees(victim, victim, 5);
    agrees(library_path("libc.so.6"), library_path("libc.so.6"), 1000);
    agrees(library_path("libstdc++.so.6"), library_path("libstdc++.so.6"), 1000);
}

/* --- particular cases ------------------------------------------------------------------------ */

static void u8_of_hex(const char *hex, u8 *out, u32 *bytes)
{
    *bytes = 0;
    for (unsigned n; sscanf(hex, "%2x", &n) == 1; hex += 2)
        out[(*bytes)++] = (u8)n;
}

static u32 build_id_of(const char *path, u8 *out)
{
    char command[200], hex[200] = "";
    snprintf(command, sizeof command, "readelf -n '%s' | sed -n 's/.*Build ID: //p'", path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(hex, sizeof hex, f));
    pclose(f);
    u32 bytes;
    u8_of_hex(hex, out, &bytes);
    return bytes;
}

static void a_replaced_file_lends_no_names(void **state)
{
    (void)state;
    struct elf_symbols *s;
    struct err e = {0};
    u8 id[100];
    u32 bytes = build_id_of(victim, id);
    assert_int_equal(bytes, 20);
    assert_true(elf_symbols_open(victim, id, bytes, &s, &e));
    elf_symbols_close(s);
    id[19] ^= 1;
    assert_false(elf_symbols_open(victim, id, bytes, &s, &e));
    assert_null(s);
    assert_int_equal(e.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(e.text, victim));
    assert_false(elf_symbols_open(victim, id, 8, &s, &e));
}

static u64 listed_start(const struct listing *l, const char *name)
{
    for (u32 i = 0; i < l->count; i++)
        if (strcmp(l->items[i].name, name) == 0)
            return l->items[i].start;
    fail_msg("no %s", name);
    return 0;
}

static void local_nested_and_sizeless_functions(void **state)
{
    (void)state;
    struct elf_symbols *s;
    struct listing l = listing_of(victim);
    u64 offset;
    assert_true(elf_symbols_open(victim, NULL, 0, &s, NULL));
    assert_string_equal(elf_symbols_find(s, listed_start(&l, "hidden"), NULL), "hidden");
    u64 sizeless = listed_start(&l, "sizeless");
    assert_string_equal(elf_symbols_find(s, sizeless + 2, &offset), "sizeless");
    assert_int_equal(offset, 2);
    u64 outer = listed_start(&l, "outer");
    assert_string_equal(elf_symbols_find(s, outer, NULL), "outer");
    assert_string_equal(elf_symbols_find(s, outer + 1, NULL), "inner");
    assert_string_equal(elf_symbols_find(s, outer + 2, &offset), "outer"); /* past the inner one */
    assert_int_equal(offset, 2);
    elf_symbols_close(s);
    free(l.items);
}

static void public_names_come_first(void **state)
{
    (void)state;
    struct elf_symbols *s;
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    struct link_map *map;
    assert_int_equal(dlinfo(libc, RTLD_DI_LINKMAP, &map), 0);
    assert_true(elf_symbols_open(map->l_name, NULL, 0, &s, NULL));
    static const char *const names[] = {"malloc", "fopen", "getenv", "qsort"};
    for (u32 i = 0; i < COUNT_OF(names); i++) {
        u64 address = (u64)(uintptr_t)dlsym(libc, names[i]) - map->l_addr;
        Dl_info info;
        if (dladdr(dlsym(libc, names[i]), &info) && strcmp(info.dli_fname, map->l_name) != 0)
            continue; /* a sanitizer's */
        char *name = elf_demangle(elf_symbols_find(s, address, NULL));
        assert_string_equal(name, names[i]);
        free(name);
    }
    elf_symbols_close(s);
}

static void a_debug_file_gives_what_was_stripped(void **state)
{
    (void)state;
    const char *libc = library_path("libc.so.6");
    u8 id[100];
    u32 bytes = build_id_of(libc, id);
    char path[200];
    int n = snprintf(path, sizeof path, "/usr/lib/debug/.build-id/%02x/", id[0]);
    for (u32 i = 1; i < bytes; i++)
        n += snprintf(path + n, sizeof path - (size_t)n, "%02x", id[i]);
    snprintf(path + n, sizeof path - (size_t)n, ".debug");
    if (access(path, R_OK) != 0) {
        print_message("libc's debug file is not installed\n");
        skip();
    }
    agrees(libc, path, 3000);
}

static void refused(const char *path, enum status status, const char *says)
{
    struct elf_symbols *s;
    struct err e = {0};
    assert_false(elf_symbols_open(path, NULL, 0, &s, &e));
    assert_null(s);
    assert_int_equal(e.status, status);
    if (!strstr(e.text, says) || !strstr(e.text, path))
        fail_msg("said \"%s\"", e.text);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    refused("/nowhere/at/all", STATUS_NOT_FOUND, "No such file");
    refused(folder, STATUS_MALFORMED, "not a regular file");
    refused("/dev/zero", STATUS_MALFORMED, "not a regular file");
    refused("/etc/passwd", STATUS_MALFORMED, "not an ELF file");

    char path[96];
    snprintf(path, sizeof path, "%s/other", folder);
    Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB}, .e_type = ET_EXEC};
    for (u32 i = 0; i < 3; i++) {
        h.e_ident[EI_CLASS] = i == 0 ? ELFCLASS32 : ELFCLASS64;
        h.e_ident[EI_DATA] = i == 1 ? ELFDATA2MSB : ELFDATA2LSB;
        h.e_type = i == 2 ? ET_CORE : ET_EXEC;
        FILE *f = fopen(path, "w");
        assert_int_equal(fwrite(&h, sizeof h, 1, f), 1);
        fclose(f);
        refused(path, STATUS_UNSUPPORTED, i < 2 ? "64-bit little-endian" : "neither a program");
    }
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody will ever write to it: must not block */
    refused(path, STATUS_MALFORMED, "not a regular file");
    unlink(path);
}

/* --- damaged files --------------------------------------------------------------------------- */

static u8 *contents(const char *path, size_t *size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    u8 *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

/* Where damage tells most: the header, the section headers, symbols, strings and notes. */
static size_t telling_place(const u8 *file, size_t size)
{
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + h->e_shoff);
    switch (rand() % 4) {
    case 0:
        return (size_t)rand() % sizeof *h;
    case 1:
        return h->e_shoff + (size_t)rand() % (h->e_shnum * sizeof *sections);
    case 2: {
        const Elf64_Shdr *s = &sections[rand() % h->e_shnum];
        if (s->sh_type != SHT_NOBITS && s->sh_size > 0 && s->sh_type != SHT_PROGBITS)
            return s->sh_offset + (size_t)rand() % s->sh_size;
        return (size_t)rand() % size;
    }
    default:
        return (size_t)rand() % size;
    }
}

static void random_damage_does_no_harm(void **state)
{
    (void)state;
    static const u64 telling[] = {0,          1,          0xff,       0xffff,         0x7fffffff,
                                  0xffffffff, UINT64_MAX, 1ULL << 63, UINT64_MAX - 15};
    size_t size;
    u8 *good = contents(victim, &size);
    u8 *file = malloc(size);
    assert_non_null(file);
    char path[64];
    int fd = memfd_create("damaged", MFD_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    u32 opened = 0, named = 0;
    for (u32 i = 0; i < MUTATIONS; i++) {
        memcpy(file, good, size);
        for (int n = 1 + rand() % 4; n > 0; n--) {
            size_t at = telling_place(good, size);
            u64 value = telling[(size_t)rand() % COUNT_OF(telling)];
            size_t width = (size_t)1 << rand() % 4;
            if (rand() % 2)
                file[at] = (u8)rand();
            else if ((at -= at % width) + width <= size)
                memcpy(file + at, &value, width);
        }
        size_t kept = rand() % 8 ? size : (size_t)rand() % size;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, file, kept, 0), kept);
        struct elf_symbols *s;
        struct err e = {0};
        if (!elf_symbols_open(path, NULL, 0, &s, &e)) {
            assert_true(e.text[0] != '\0');
            continue;
        }
        opened++;
        for (u32 k = 0; k < 200; k++) {
            u64 offset, address = (u64)rand() % 0x5000;
            if (k % 10 == 0)
                address = ((u64)rand() << 33) ^ (u64)rand();
            const char *name = elf_symbols_find(s, address, &offset);
            if (name && strlen(name) < size)
                named++;
        }
        elf_symbols_close(s);
    }
    printf("%u of %d damaged files were read, %u names found\n", opened, MUTATIONS, named);
    assert_true(opened > 0 && opened < MUTATIONS && named > 0);
    close(fd);
    free(file);
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_readelf),
        cmocka_unit_test(a_replaced_file_lends_no_names),
        cmocka_unit_test(local_nested_and_sizeless_functions),
        cmocka_unit_test(public_names_come_first),
        cmocka_unit_test(a_debug_file_gives_what_was_stripped),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(random_damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
