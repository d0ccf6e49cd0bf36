/* SPDX-License-Identifier: MIT
 *
 * Tests of DOT text as scripts get it, in files too, and of who is asked to make pictures of it.
 */
#include "held.h"

static char rendered[600];

static int begin(void **state)
{
    (void)state;
    rendered[0] = '\0';
    held_begin();
    return 0;
}

/* Notes what it is asked for, names without their folder. */
static bool render(void *context, const char *dot, const char *picture, const char *format,
                   struct err *e)
{
    (void)context;
    snprintf(rendered, sizeof rendered, "%s %s %s", strrchr(dot, '/') + 1,
             strrchr(picture, '/') + 1, format);
    return strcmp(format, "pdf") != 0 || err_set(e, STATUS_IO, "no pdf today");
}

static void text_of_paths_and_sets(void **state)
{
    (void)state;
    fake_prints(&f, HELD "local t = block(5):why():dot() print(t)",
                "digraph heap {\n    rankdir=LR;\n    node [shape=box, fontname=monospace];\n"
                "    r4 [shape=ellipse, label=\"global server+0x40\"];\n"
                "    b1 [label=\"site:table\\n0x1000\\n256 B\"];\n"
                "    r4 -> b1 [label=\"\"];\n"
                "    b5 [label=\"site:leaf\\n0x5000\\n64 B\"];\n"
                "    b1 -> b5 [label=\"+0x8\"];\n}\n\n");
    fake_prints(&f,
                HELD
                "local path = run.script:gsub('[^/]*$', 'x.dot')\n"
                "print(s:all():dot(path, {limit = 2})) local t = io.open(path):read('a')\n"
                "print(t:find('and 10 more blocks', 1, true) ~= nil, t == s:all():dot{limit = 2},"
                " #s:all():dot() > #t)\n"
                "print(block(5):why():dot(path), #io.open(path):read('a') < 500)\n"
                "print(s:all():dot('/nowhere/x.dot'))",
                "true\ntrue\ttrue\ttrue\ntrue\ttrue\n"
                "nil\tcannot write /nowhere/x.dot: No such file or directory\n");
    fake_fails(&f, HELD "s:all():dot('x', 3)", "table expected");
}

#define PLACE "local function place(name) return (run.script:gsub('[^/]*$', name)) end\n"

static void a_picture_is_asked_of_the_host(void **state)
{
    (void)state;
    f.host.render = render;
    fake_prints(&f,
                HELD PLACE
                "print(block(5):why():dot(place('a.svg')))\n"
                "print(io.open(place('a.svg.dot')):read('a') == block(5):why():dot())\n",
                "true\ntrue\n");
    assert_string_equal(rendered, "a.svg.dot a.svg svg");
    fake_prints(&f, HELD PLACE "print(s:all():dot(place('b.png'), {limit = 2}))", "true\n");
    assert_string_equal(rendered, "b.png.dot b.png png");
    fake_prints(&f, HELD PLACE "print(s:all():dot(place('c.pdf')))", "nil\tno pdf today\n");
    rendered[0] = '\0';
    fake_prints(&f, HELD PLACE "print(s:all():dot(place('svg')), s:all():dot(place('d.svgz')))",
                "true\ttrue\n");
    assert_string_equal(rendered, "");
}

static void without_one_the_command_is_said(void **state)
{
    (void)state;
    const char *said = fake_run(&f, HELD PLACE
                                "local p = place('a.svg') print(block(5):why():dot(p), io.open(p) == nil)\n"
                                "print(io.open(p .. '.dot'):read('a') == block(5):why():dot())\n"
                                "print(s:all():dot('/nowhere/x.svg'))");
    assert_non_null(strstr(said, "a.svg.dot is written; the picture: dot -Tsvg -o '/"));
    assert_non_null(strstr(said, "/a.svg' '/"));
    assert_non_null(strstr(said, "\ntrue\ttrue\ntrue\n"
                                 "nil\tcannot write /nowhere/x.svg.dot: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_of_paths_and_sets, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(a_picture_is_asked_of_the_host, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(without_one_the_command_is_said, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
