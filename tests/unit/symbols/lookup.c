/* SPDX-License-Identifier: MIT
 *
 * Tests of functions, files and lines of addresses, over the ways in which debug information is
 * written and kept. The oracle is llvm-symbolizer, asked about every address of a program.
 */
#include "fixture.h"

#include "elf/elf.h"

struct expected {
    char function[300], file[300];
    u32 line;
};

static u64 addresses[FIXTURE_ADDRESSES];
static struct expected oracle[FIXTURE_ADDRESSES][8];
static u32 oracle_depth[FIXTURE_ADDRESSES], address_count;
static u32 found_count, inlined_count;
static const char *what;

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void read_oracle(const char *name)
{
    char command[300], line[400];
    char path[128];
    snprintf(path, sizeof path, "%s/addresses", fixture_folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (u32 i = 0; i < address_count; i++)
        fprintf(f, "0x%llx\n", (unsigned long long)addresses[i]);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command,
             "cd %s && llvm-symbolizer-14 --obj=%s --inlines --functions=linkage --no-demangle "
             "<addresses",
             fixture_folder, name);
    f = popen(command, "r");
    assert_non_null(f);
    memset(oracle_depth, 0, sizeof oracle_depth);
    for (u32 i = 0; i < address_count && fgets(line, sizeof line, f);) {
        line[strcspn(line, "\n")] = 0;
        if (!*line) {
            i++;
            continue;
        }
        assert_true(oracle_depth[i] < 8);
        struct expected *e = &oracle[i][oracle_depth[i]++];
        snprintf(e->function, sizeof e->function, "%.299s", line);
        assert_non_null(fgets(line, sizeof line, f));
        *strrchr(line, ':') = 0;
        char *number = strrchr(line, ':');
        e->line = (u32)atoi(number + 1);
        *number = 0;
        snprintf(e->file, sizeof e->file, "%.299s", line);
    }
    pclose(f);
}

/* "f" is a short name of "ns::f". */
static bool same_function(const char *ours, const char *theirs)
{
    char *plain = elf_demangle(theirs);
    size_t a = strlen(ours), b = strlen(plain);
    bool same = a >= b && !strcmp(ours + a - b, plain) && (a == b || ours[a - b - 1] == ':');
    free(plain);
    return same;
}

static void compare(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    (void)context;
    if (!strcmp(oracle[question][0].file, "??")) /* of the C library's startup files */
        return;
    found_count++;
    inlined_count += depth > 1;
    bool same = depth == oracle_depth[question];
    for (u32 i = 0; same && i < depth; i++) {
        const struct expected *e = &oracle[question][i];
        same = lines[i].line == e->line && !strcmp(name_of(lines[i].file), name_of(e->file)) &&
               same_function(lines[i].function, e->function);
    }
    if (same)
        return;
    for (u32 i = 0; i < depth; i++)
        printf("ours   %s %s:%u\n", lines[i].function, lines[i].file, lines[i].line);
    for (u32 i = 0; i < oracle_depth[question]; i++)
        printf("theirs %s %s:%u\n", oracle[question][i].function, oracle[question][i].file,
               oracle[question][i].line);
    fail_msg("%s: address 0x%llx", what, (unsigned long long)addresses[question]);
}

/* Asks about every address of the program `name`, compares with what the oracle says of `full`. */
static void ask(const char *full, const char *name, const char *debug_path)
{
    char path[128];
    struct symbols_question questions[FIXTURE_ADDRESSES];
    snprintf(path, sizeof path, "%s/%s", fixture_folder, name);
    address_count = fixture_addresses(full, addresses);
    assert_true(address_count > 50);
    read_oracle(full);
    u32 expected = 0;
    for (u32 i = 0; i < address_count; i++) {
        questions[i] = (struct symbols_question){path, NULL, 0, addresses[i]};
        expected += strcmp(oracle[i][0].file, "??") != 0;
    }
    found_count = inlined_count = 0;
    struct symbols_where where = {.debug_path = debug_path};
    symbols_lookup(questions, address_count, &where, compare, NULL);
    assert_int_equal(found_count, expected);
    assert_true(found_count > 50 && inlined_count > 10);
}

static const char *const compilers[] = {"g++", "clang++-14"};
static const char *const versions[] = {"-gdwarf-4", "-gdwarf-5"};
static const char *const shapes[] = {"-O0 -fPIE -pie", "-O2 -fPIE -pie", "-O0 -fno-pie -no-pie",
                                     "-O2 -fno-pie -no-pie"};

static void compile(const char *compiler, const char *version, const char *shape, const char *more)
{
    static char text[300];
    snprintf(text, sizeof text, "%s %s %s %s", compiler, version, shape, more);
    what = text;
    fixture_shell("rm -rf f f.debug full debug; "
                  "%s -g %s %s %s fixture.cpp -o full 2>errors || { cat errors; exit 1; }",
                  compiler, version, shape, more);
}

static void each(const char *more, void (*then)(void))
{
    for (u32 c = 0; c < COUNT_OF(compilers); c++)
        for (u32 v = 0; v < COUNT_OF(versions); v++) {
            u32 shape = (c * 2 + v + (u32)strlen(more)) % COUNT_OF(shapes);
            compile(compilers[c], versions[v], shapes[shape], more);
            then();
        }
}

static void ask_itself(void)
{
    ask("full", "full", NULL);
}

static void in_the_file(void **state)
{
    (void)state;
    for (u32 c = 0; c < COUNT_OF(compilers); c++)
        for (u32 v = 0; v < COUNT_OF(versions); v++)
            for (u32 s = 0; s < COUNT_OF(shapes); s++) {
                compile(compilers[c], versions[v], shapes[s], "");
                ask_itself();
            }
}

static void compressed(void **state)
{
    (void)state;
    each("-gz", ask_itself);
}

static void split(void **state)
{
    (void)state;
    each("-gsplit-dwarf", ask_itself);
}

static void ask_by_build_id(void)
{
    char folder[128];
    fixture_shell("id=$(readelf -n full | sed -n 's/.*Build ID: //p') && "
                  "dir=debug/.build-id/$(echo $id | cut -c1-2) && mkdir -p $dir && "
                  "objcopy --only-keep-debug full $dir/$(echo $id | cut -c3-).debug && "
                  "strip -o f full");
    snprintf(folder, sizeof folder, "%s/debug", fixture_folder);
    ask("full", "f", folder);
}

static void by_build_id(void **state)
{
    (void)state;
    each("-Wl,--build-id=sha1", ask_by_build_id);
}

static void ask_by_link(void)
{
    fixture_shell("objcopy --only-keep-debug full f.debug && strip -o f full && "
                  "objcopy --add-gnu-debuglink=f.debug f");
    ask("full", "f", NULL);
}

static void by_debuglink(void **state)
{
    (void)state;
    each("-Wl,--build-id=none", ask_by_link);
}

/* --- what is not there --------------------------------------------------------------------- */

static void must_not_be_called(void *context, u32 question, const struct symbols_line *lines,
                               u32 depth)
{
    (void)context;
    (void)depth;
    fail_msg("%u: %s %s:%u", question, lines[0].function, lines[0].file, lines[0].line);
}

static void nothing_is_known(void **state)
{
    (void)state;
    static const u8 other[20] = {1, 2, 3};
    char full[128];
    compile("g++", "-gdwarf-5", shapes[0], "-Wl,--build-id=sha1");
    snprintf(full, sizeof full, "%s/full", fixture_folder);
    u32 count = fixture_addresses("full", addresses);
    assert_true(count > 0);
    const struct symbols_question questions[] = {
        {"/nonexistent", NULL, 0, 0x1000},
        {"/dev/zero", NULL, 0, 0x1000},
        {fixture_folder, NULL, 0, 0x1000},
        {full, other, sizeof other, addresses[0]},
        {full, NULL, 0, 1},
        {full, NULL, 0, UINT64_MAX},
    };
    symbols_lookup(questions, COUNT_OF(questions), NULL, must_not_be_called, NULL);
    symbols_lookup(questions, 0, NULL, must_not_be_called, NULL);
}

static void count_lines(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    (void)question;
    (void)depth;
    *(u32 *)context += !strcmp(name_of(lines[depth - 1].file), "fixture.cpp");
}

/* The file was replaced, and there is one that still is what it was. */
static void spare_file(void **state)
{
    (void)state;
    static u8 build_id[20];
    char path[128], spare[128];
    u32 found = 0;
    compile("g++", "-gdwarf-5", shapes[1], "-Wl,--build-id=sha1");
    fixture_shell(
        "readelf -n full | sed -n 's/.*Build ID: //p' >id && cp full other && cp /bin/sh full");
    snprintf(path, sizeof path, "%s/id", fixture_folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (u32 i = 0; i < sizeof build_id; i++) {
        unsigned byte;
        assert_int_equal(fscanf(f, "%2x", &byte), 1);
        build_id[i] = (u8)byte;
    }
    fclose(f);
    snprintf(path, sizeof path, "%s/full", fixture_folder);
    snprintf(spare, sizeof spare, "%s/other", fixture_folder);
    u32 count = fixture_addresses("other", addresses);
    static struct symbols_question questions[FIXTURE_ADDRESSES];
    for (u32 i = 0; i < count; i++)
        questions[i] = (struct symbols_question){path, build_id, sizeof build_id, addresses[i]};
    symbols_lookup(questions, count, NULL, count_lines, &found);
    assert_int_equal(found, 0);
    symbols_lookup(questions, count, &(struct symbols_where){.spare = spare}, count_lines, &found);
    assert_true(found > 50);
    build_id[0] ^= 1;
    found = 0;
    symbols_lookup(questions, count, &(struct symbols_where){.spare = spare}, count_lines, &found);
    assert_int_equal(found, 0);
}

static void keep_names(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    bool *seen = context;
    assert_int_equal(depth, 1);
    assert_string_equal(lines[0].file, "");
    assert_string_equal(lines[0].function, "plain");
    *seen = question == 0;
}

/* Without debug information a function still has its symbol. */
static void symbols_alone(void **state)
{
    (void)state;
    char path[128];
    bool seen = false;
    compile("g++", "-gdwarf-5", shapes[1], "-rdynamic");
    fixture_shell("strip -o f full");
    char command[200];
    unsigned long long address = 0;
    snprintf(command, sizeof command, "nm %s/full | sed -n 's/ T plain$//p'", fixture_folder);
    FILE *nm = popen(command, "r");
    assert_non_null(nm);
    assert_int_equal(fscanf(nm, "%llx", &address), 1);
    pclose(nm);
    snprintf(path, sizeof path, "%s/f", fixture_folder);
    struct symbols_question question = {path, NULL, 0, address + 1};
    symbols_lookup(&question, 1, NULL, keep_names, &seen);
    assert_true(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_file),   cmocka_unit_test(compressed),
        cmocka_unit_test(split),         cmocka_unit_test(by_build_id),
        cmocka_unit_test(by_debuglink),  cmocka_unit_test(nothing_is_known),
        cmocka_unit_test(symbols_alone), cmocka_unit_test(spare_file),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
