/* SPDX-License-Identifier: MIT
 *
 * Tests of files and lines as scripts see them: sites, stacks, names and patterns for them.
 */
#include "fake.h"

/* main calls make, into which take was inlined, from two lines; load is in another file. */
static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    struct world *w = &f.world;
    u32 frame = world_frame(w, "main", WORLD_SERVER);
    world_line(w, "main", "/src/server.c", 80);
    u32 outer = world_stack(w, 0, frame);
    frame = world_frame(w, "make", WORLD_SERVER);
    world_line(w, "take", "/src/take.h", 7);
    world_line(w, "make", "/src/server.c", 42);
    u32 first = world_stack(w, outer, frame);
    frame = world_frame(w, "make", WORLD_SERVER);
    world_line(w, "take", "/src/take.h", 8);
    world_line(w, "make", "/src/server.c", 43);
    u32 second = world_stack(w, outer, frame);
    frame = world_frame(w, "load", WORLD_SERVER);
    world_line(w, "load", "/src/load.c", 9);
    u32 load = world_stack(w, outer, frame);
    world_block(w, 0x1000, 10, first);
    world_block(w, 0x2000, 20, second);
    world_block(w, 0x3000, 40, load);
    return 0;
}

static void sites_and_stacks(void **state)
{
    (void)state;
    fake_prints(&f, "for b in heap.snapshot():all():each() do print(b.site, b.type, b.stack) end",
                "take (take.h:7)\tsite:take (take.h:7)\t"
                "take (take.h:7) < make (server.c:42) < main (server.c:80)\n"
                "take (take.h:8)\tsite:take (take.h:8)\t"
                "take (take.h:8) < make (server.c:43) < main (server.c:80)\n"
                "load (load.c:9)\tsite:load (load.c:9)\tload (load.c:9) < main (server.c:80)\n");
    fake_prints(&f, "for _, key in ipairs{'site', 'function', 'file', 'stack'} do\n"
                    "for _, r in ipairs(heap.snapshot():by(key):rows()) do print(r.key, r.count) end end",
                "load (load.c:9)\t1\ntake (take.h:8)\t1\ntake (take.h:7)\t1\n"
                "load\t1\ntake\t2\nload.c\t1\ntake.h\t2\n"
                "load < main\t1\ntake < make < main\t2\n");
}

static void names_and_patterns(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "print(#s:site('take'), #s:site('take (take.h:7)'), #s:site('tak'), #s:site('x'))\n"
                    "print(#s:site('^take$', {pattern=true}), #s:site('take%.h', {pattern=true}))\n"
                    "print(#s:type('site:take'), #s:type('site:take (take.h:8)'), #s:type('site:tak'))\n"
                    "local all = s:all()\n"
                    "print(#all:where{site='take'}, #all:where{type='site:take'})\n",
                "2\t1\t2\t0\n2\t2\n2\t1\t0\n2\t2\n");
    fake_prints(&f, "local all = heap.snapshot():all()\n"
                    "for _, p in ipairs{'^take$', '^make$', 'server%.c:43', 'load%.c', '^server'} do\n"
                    "print(#all:where{stack_has=p}, #all:where{stack_lacks=p}) end",
                "2\t1\n2\t1\n1\t2\n1\t2\n0\t3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sites_and_stacks, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(names_and_patterns, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
