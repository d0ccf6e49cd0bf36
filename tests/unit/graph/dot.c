/* SPDX-License-Identifier: MIT
 *
 * Tests of DOT text, to the byte, and with labels that try to break it.
 */
#include "made.h"

struct written {
    char text[8000];
    size_t used;
    u32 calls, stop_at; /* 0 = never */
};

static bool write_text(void *context, const char *text, size_t bytes)
{
    struct written *w = context;
    assert_true(bytes > 0 && w->used + bytes < sizeof w->text);
    memcpy(w->text + w->used, text, bytes);
    w->used += bytes;
    w->text[w->used] = '\0';
    return ++w->calls != w->stop_at;
}

static size_t evil(void *context, block_id b, char *out, size_t size)
{
    (void)context;
    return text_format(out, size, "\"]; b%u -> \\\n\t\x01", b.v);
}

static size_t longest(void *context, u32 root_edge, char *out, size_t size)
{
    (void)context;
    (void)root_edge;
    memset(out, '"', size - 1);
    out[size - 1] = '\0';
    return size - 1;
}

static size_t by_field(void *context, const struct graph_ref *ref, char *out, size_t size)
{
    (void)context;
    return text_format(out, size, "%s", ref->root_edge ? "" : "next");
}

static struct made m;
static struct opened o;

/* data -> 1 -> 2 -> 3, 3 -> 1 interior, a dead stack slot -> 3, 4 alone. */
static int open_ring(void **state)
{
    (void)state;
    made_begin(&m, 4);
    made_root(&m, SNAPSHOT_ROOT_DATA, 1);
    made_root(&m, SNAPSHOT_ROOT_DEAD_STACK, 3);
    made_ref(&m, 1, 2);
    m.words[2] = 5;
    made_ref(&m, 2, 3);
    made_into(&m, 3, 1, 8);
    opened_begin(&o, &m);
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    opened_end(&o);
    made_end(&m);
    return 0;
}

#define HEAD "digraph heap {\n    rankdir=LR;\n    node [shape=box, fontname=monospace];\n"

static void a_path(void **state)
{
    (void)state;
    struct written w = {0};
    struct graph_dot d = {.write = write_text, .context = &w};
    struct graph_path p;
    ANSWERED(graph_path(&o.g, GRAPH_STRONG, (block_id){3}, &p, &e));
    assert_true(graph_dot_path(&o.g, &p, &d));
    assert_string_equal(w.text, HEAD "    r2 [shape=ellipse, label=\"data\\n0x50000000000\"];\n"
                                     "    b1 [label=\"0x10000\\n41 B\"];\n"
                                     "    r2 -> b1 [label=\"\"];\n"
                                     "    b2 [label=\"0x10030\\n82 B\"];\n"
                                     "    b1 -> b2 [label=\"+0\"];\n"
                                     "    b3 [label=\"0x10090\\n43 B\"];\n"
                                     "    b2 -> b3 [label=\"+40\"];\n"
                                     "}\n");
    graph_path_free(&o.g, &p);
}

static void a_set_and_its_roots(void **state)
{
    (void)state;
    struct written w = {0};
    struct graph_dot d = {.write = write_text, .ref = by_field, .context = &w};
    u64 set = 1 | 4 | 8;
    assert_true(graph_dot_set(&o.g, GRAPH_ANY, &set, 2, &d));
    assert_string_equal(w.text,
                        HEAD "    b1 [label=\"0x10000\\n41 B\"];\n"
                             "    b3 [label=\"0x10090\\n43 B\"];\n"
                             "    r2 [shape=ellipse, label=\"data\\n0x50000000000\"];\n"
                             "    r2 -> b1 [label=\"\"];\n"
                             "    r1 [shape=ellipse, label=\"dead stack slot\\n0x30000000000\"];\n"
                             "    r1 -> b3 [label=\"\", style=dashed];\n"
                             "    b3 -> b1 [label=\"next\", style=dashed];\n"
                             "    more [shape=plaintext, label=\"and 1 more blocks\"];\n"
                             "}\n");
    w = (struct written){0};
    assert_true(graph_dot_set(&o.g, GRAPH_STRONG, &set, 2, &d));
    assert_null(strstr(w.text, "dashed"));
}

static void labels_cannot_break_out(void **state)
{
    (void)state;
    struct written w = {0};
    struct graph_dot d = {.write = write_text, .block = evil, .root = longest, .context = &w};
    u64 set = 1;
    assert_true(graph_dot_set(&o.g, GRAPH_ANY, &set, 10, &d));
    assert_non_null(strstr(w.text, "    b1 [label=\"\\\"]; b1 -> \\\\\\n  \"];\n"));
    /* In every line quotes that are not escaped are two or none. */
    u32 quotes = 0;
    for (const char *c = w.text; *c; c++) {
        if (*c == '\n') {
            assert_true(quotes == 0 || quotes == 2);
            quotes = 0;
        } else if (*c == '\\') {
            c++;
        } else {
            quotes += *c == '"';
        }
    }
}

static void a_writer_that_has_enough_is_left_alone(void **state)
{
    (void)state;
    u64 set = 15;
    struct graph_path p;
    ANSWERED(graph_path(&o.g, GRAPH_STRONG, (block_id){3}, &p, &e));
    for (u32 stop = 1; stop < 12; stop++) {
        struct written w = {.stop_at = stop};
        struct graph_dot d = {.write = write_text, .context = &w};
        assert_false(graph_dot_set(&o.g, GRAPH_ANY, &set, 10, &d));
        assert_int_equal(w.calls, stop);
        w = (struct written){.stop_at = stop};
        assert_false(graph_dot_path(&o.g, &p, &d));
        assert_int_equal(w.calls, stop);
    }
    graph_path_free(&o.g, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path),
        cmocka_unit_test(a_set_and_its_roots),
        cmocka_unit_test(labels_cannot_break_out),
        cmocka_unit_test(a_writer_that_has_enough_is_left_alone),
    };
    return cmocka_run_group_tests(tests, open_ring, close_ring);
}
