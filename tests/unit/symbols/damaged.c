/* SPDX-License-Identifier: MIT
 *
 * Damaged files: bytes of a program with debug information are changed at random, or it is cut, and
 * every address of it is asked about, each time in a process of its own, as the helper is. It must
 * end by itself, and in time.
 */
#include "fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { RUNS_EACH = 150, SECONDS = 20, SECONDS_BUSY = 100 };

static u64 addresses[FIXTURE_ADDRESSES];
static u64 seed;

/* splitmix64 */
static u64 draw(void)
{
    u64 z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static u8 *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(f);
    rewind(f);
    u8 *data = malloc(*bytes);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

static void write_file(const char *path, const u8 *data, size_t bytes)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

/* Bytes of the debug sections, of the header, or anywhere. */
static void damage(u8 *data, size_t *bytes, size_t debug_from)
{
    static const u8 values[] = {0, 1, 0x7f, 0x80, 0xff};
    u32 changes = 1 + (u32)(draw() % 12);
    for (u32 i = 0; i < changes; i++) {
        u64 where = draw() % 4;
        size_t at = where == 0 ? (size_t)(draw() % 64)
                    : where == 1 ? (size_t)(draw() % *bytes)
                                 : debug_from + (size_t)(draw() % (*bytes - debug_from));
        data[at] = draw() % 2 ? values[draw() % COUNT_OF(values)] : (u8)draw();
    }
    if (draw() % 10 == 0)
        *bytes = (size_t)(draw() % *bytes);
}

static void follow(void *context, u32 question, const struct symbols_line *lines, u32 depth)
{
    u32 count = *(u32 *)context;
    if (question >= count || depth == 0 || depth > LOOKUP_DEPTH_MAX)
        abort();
    for (u32 i = 0; i < depth; i++)
        if (strlen(lines[i].function) + strlen(lines[i].file) > (1u << 24))
            abort();
}

/* 0, or what ended it. */
static int ask_in_child(const char *path, u32 count)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static struct symbols_question questions[FIXTURE_ADDRESSES];
        /* of its own time, on a busy machine, too */
        setrlimit(RLIMIT_CPU, &(struct rlimit){SECONDS, SECONDS});
        alarm(SECONDS_BUSY);
        for (u32 i = 0; i < count; i++)
            questions[i] = (struct symbols_question){path, NULL, 0, addresses[i]};
        symbols_lookup(questions, count, NULL, follow, &count);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void damaged(const char *flags)
{
    char path[128];
    size_t bytes, debug_from = 0;
    fixture_shell("rm -f f *.dwo && %s -Wl,--build-id=none fixture.cpp -o f", flags);
    u32 count = fixture_addresses("f", addresses);
    snprintf(path, sizeof path, "%s/f", fixture_folder);
    u8 *whole = read_file(path, &bytes);
    debug_from = bytes / 4; /* what stands before is code and data */
    u8 *copy = malloc(bytes);
    assert_non_null(copy);
    u32 ended = 0;
    for (u32 run = 0; run < RUNS_EACH; run++) {
        size_t size = bytes;
        u64 before = seed;
        memcpy(copy, whole, bytes);
        damage(copy, &size, debug_from);
        write_file(path, copy, size);
        int status = ask_in_child(path, count);
        if (status) {
            printf("%s: run %u, seed %llu: status 0x%x\n", flags, run, (unsigned long long)before,
                   (unsigned)status);
            ended++;
        }
    }
    free(copy);
    free(whole);
    assert_int_equal(ended, 0);
}

static void dwarf_5(void **state)
{
    (void)state;
    damaged("g++ -g -gdwarf-5 -O2");
}

static void dwarf_4(void **state)
{
    (void)state;
    damaged("clang++-14 -g -gdwarf-4 -O1");
}

static void compressed(void **state)
{
    (void)state;
    damaged("g++ -g -gz -O2");
}

static void split(void **state)
{
    (void)state;
    damaged("clang++-14 -g -gdwarf-5 -gsplit-dwarf -O2");
}

static int begin(void **state)
{
    const char *given = getenv("MOONHEAP_TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : 20260101;
    printf("seed %llu\n", (unsigned long long)seed);
    return fixture_begin(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dwarf_5),
        cmocka_unit_test(dwarf_4),
        cmocka_unit_test(compressed),
        cmocka_unit_test(split),
    };
    return cmocka_run_group_tests(tests, begin, fixture_end);
}
