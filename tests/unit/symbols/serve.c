/* SPDX-License-Identifier: MIT
 *
 * Tests of the helper's side of base/lookup.h: what it answers, and that it refuses what is no
 * question.
 */
#include "fixture.h"

#include <sys/socket.h>

/* Gives `bytes` to the helper and reads what it writes; *ok is what it returned. */
static size_t serve(const void *question, size_t bytes, u8 *answer, size_t room, bool *ok)
{
    int in[2], out[2];
    struct err e = {0};
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(write(in[1], question, bytes), (ssize_t)bytes);
    close(in[1]);
    *ok = symbols_serve(in[0], out[1], &e);
    assert_true(*ok || e.text[0]);
    close(in[0]);
    close(out[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(out[0], answer + used, room - used)) > 0)
        used += (size_t)got;
    close(out[0]);
    return used;
}

struct question {
    struct lookup_question head;
    struct lookup_address addresses[2];
    struct lookup_module module;
    char path[128];
};

static struct question good(void)
{
    struct question q = {.head = {LOOKUP_VERSION, 1, 2, sizeof q.path}};
    unsigned long long address = 0;
    char command[200];
    fixture_shell("g++ -g -O1 fixture.cpp -o f");
    snprintf(command, sizeof command, "nm %s/f | sed -n 's/ T plain$//p'", fixture_folder);
    FILE *nm = popen(command, "r");
    assert_non_null(nm);
    assert_int_equal(fscanf(nm, "%llx", &address), 1);
    pclose(nm);
    q.addresses[0].address = 1;
    q.addresses[1].address = address;
    snprintf(q.path, sizeof q.path, "%s/f", fixture_folder);
    return q;
}

static void answers(void **state)
{
    (void)state;
    u8 answer[4096];
    bool ok;
    struct question q = good();
    size_t bytes = serve(&q, sizeof q, answer, sizeof answer, &ok);
    struct lookup_line line;
    assert_true(ok && bytes > 2 * sizeof line);
    memcpy(&line, answer, sizeof line);
    assert_int_equal(line.mark, LOOKUP_LINE);
    assert_int_equal(line.address, 1);
    assert_int_equal(line.line, 26);
    assert_int_equal(line.function_bytes, 5);
    assert_memory_equal(answer + sizeof line, "plain", 5);
    assert_memory_equal(answer + sizeof line + 5 + line.file_bytes - 11, "fixture.cpp", 11);
    size_t next = sizeof line + 5 + line.file_bytes;
    memcpy(&line, answer + next, sizeof line);
    assert_int_equal(line.mark, LOOKUP_LINE);
    assert_int_equal(line.address, LOOKUP_END);
    assert_int_equal(bytes, next + sizeof line);
}

/* Each of these must be refused without an answer. */
static void no_questions(void **state)
{
    (void)state;
    u8 answer[4096];
    bool ok;
    struct question right = good(), q;
#define REFUSED(change)                                                                            \
    q = right;                                                                                     \
    change;                                                                                        \
    assert_int_equal(serve(&q, sizeof q, answer, sizeof answer, &ok), 0);                          \
    assert_false(ok)
    REFUSED(q.head.version++);
    REFUSED(q.head.modules = 2);
    REFUSED(q.head.modules = UINT32_MAX);
    REFUSED(q.head.addresses = UINT32_MAX);
    REFUSED(q.head.string_bytes++);
    REFUSED(q.path[sizeof q.path - 1] = 'x');
    REFUSED(q.module.path = sizeof q.path);
    REFUSED(q.module.build_id_bytes = 33);
    REFUSED(q.addresses[1].module = 1);
#undef REFUSED
    for (size_t bytes = 0; bytes < sizeof right; bytes += 7) {
        assert_int_equal(serve(&right, bytes, answer, sizeof answer, &ok), 0);
        assert_false(ok);
    }
}

static void nothing_to_answer(void **state)
{
    (void)state;
    u8 answer[100];
    bool ok;
    struct lookup_question none = {.version = LOOKUP_VERSION};
    struct lookup_line end;
    assert_int_equal(serve(&none, sizeof none, answer, sizeof answer, &ok), sizeof end);
    memcpy(&end, answer, sizeof end);
    assert_true(ok && end.mark == LOOKUP_LINE && end.address == LOOKUP_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(no_questions),
        cmocka_unit_test(nothing_to_answer),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
