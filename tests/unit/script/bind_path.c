/* SPDX-License-Identifier: MIT
 *
 * Tests of paths as scripts see them.
 */
#include "held.h"

static void why(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD
                "for _, i in ipairs{1, 5, 3, 4, 6, 7, 11, 8, 12} do print(block(i):why()) end\n"
                "local p = block(4):why() print(#p, p[1] == block(1), p[4] == block(4), p[5],"
                " p.root, p.weak, p.nothing) print(block(7):why().weak)\n",
                "global server+0x40 → site:table\n"
                "global server+0x40 → site:table+0x8 → site:leaf\n"
                "global server+0x40 → site:table+0x0 → site:node+0x8 → site:node\n"
                "global server+0x40 → site:table+0x0 → site:node+0x8 x2 → site:node\n"
                "stack of thread main 4711 +0x80 → site:leaf (only by: interior pointer)\n"
                "dead stack of thread main 4711 +0x10 → site:leaf (only by: dead stack slot)\n"
                "register rbx of thread main 4711 → site:table+0x8 → site:leaf"
                " (only by: unused tail)\n"
                "nil\nnil\n"
                "4\ttrue\ttrue\tnil\tglobal server+0x40\tnil\tnil\ndead stack slot\n");
}

static void printed(void **state)
{
    (void)state;
    fake_prints(&f, HELD "block(4):why():print() block(6):why():print()",
                "global server+0x40\n"
                "  → site:table+0x0  0x1000  256 B  from table\n"
                "  → site:node+0x8 x2  0x2000  64 B  from node\n"
                "  → site:node  0x4000  64 B  from node\n"
                "stack of thread main 4711 +0x80\n"
                "  → site:leaf  0x6000  64 B  from leaf\n"
                "  (only by: interior pointer)\n");
}

/* What a stack or register holds is said with the function whose frame it is. */
static void where_threads_stood(void **state)
{
    (void)state;
    struct world *w = &f.world;
    world_stands(w, 4711, 1, "main");
    u32 inner = world_frame(w, "poll_events", WORLD_SERVER);
    world_stands_in(w, 0x7eff80, 0x7f0040, inner);
    u32 serve = world_frame(w, "serve", WORLD_SERVER);
    world_line(w, "inlined", "/src/inlined.h", 3);
    world_line(w, "serve", "/src/server.c", 42);
    world_stands_in(w, 0x7f0040, 0x7f0088, serve);
    world_stands_in(w, 0x7f0090, 0x7f1000, inner);
    w->calls[w->call_count - 1].flags = SNAPSHOT_CALL_SIGNAL;
    fake_prints(&f,
                HELD "for _, i in ipairs{6, 7, 10} do print(block(i):why()) end\n"
                     "print(block(6):referrers()[1].root)\n"
                     "print(select(2, s:at(0x7f0000))) print(select(2, s:at(0x7f0087)))\n"
                     "print(select(2, s:at(0x7f0088)))\n"
                     "print(select(2, s:at(0x7f0090)))\n"
                     "for _, r in ipairs(s:all():clusters():rows()) do\n"
                     "    if r.key:find 'thread' then print(r.key) end end\n",
                "stack of thread main 4711 +0x80, in serve (server.c:42) → site:leaf"
                " (only by: interior pointer)\n"
                "dead stack of thread main 4711 +0x10 → site:leaf (only by: dead stack slot)\n"
                "register rbx of thread main 4711, in poll_events → site:table\n"
                "stack of thread main 4711 +0x80, in serve (server.c:42)\n"
                "stack of thread main 4711 +0x0, in poll_events\n"
                "stack of thread main 4711 +0x87, in serve (server.c:42)\n"
                "stack of thread main 4711 +0x88\n"
                "stack of thread main 4711 +0x90, in <signal handler called>\n"
                "registers of thread main 4711, in poll_events → site:table\n"
                "registers of thread main 4711, in poll_events → site:table → site:leaf\n"
                "stack of thread main 4711, in serve (server.c:42) → site:leaf\n");
}

static void paths_of_sets(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD
                "for _, p in ipairs(s:all():paths{limit = 3}) do print(p) end\n"
                "print(#s:all():paths(), #s:unreachable():paths(), #s:all():paths{limit = 0})\n"
                "local five = s:all():where{fn = function(b) return b == block(5) end}\n"
                "print(#five:paths(), five:paths()[1])\n",
                "global server+0x40 → site:table\n"
                "global server+0x40 → site:table+0x0 → site:node\n"
                "global server+0x40 → site:table+0x0 → site:node+0x8 → site:node\n"
                "8\t0\t0\n1\tglobal server+0x40 → site:table+0x8 → site:leaf\n");
    fake_fails(&f, HELD "s:all():paths{limt = 3}", "unknown option 'limt'");
}

/* Links of two types by turns, which no run can stand for. */
static void long_paths(void **state)
{
    (void)state;
    struct world *w = &f.world;
    enum { LINKS = 300 };
    u32 makers[2] = {world_calls(w, "main", "odd", NULL), world_calls(w, "main", "even", NULL)};
    for (u32 i = 0; i < LINKS; i++)
        world_block(w, 0x100000 + 0x100 * i, 64, makers[i % 2]);
    world_edge(w, (struct world_edge){12, 0, 0, 13, 0});
    for (u32 i = 1; i < LINKS; i++)
        world_edge(w, (struct world_edge){12 + i, 0, 0, 13 + i, 0});
    memmove(&w->edges[5], &w->edges[4], (w->edge_count++ - 4) * sizeof *w->edges);
    w->edges[4] = (struct world_edge){0, 4, 9, 12, 0};
    fake_prints(&f,
                "local s = heap.snapshot() local p = s:at(0x100000 + 0x100 * 299):why()\n"
                "local t = tostring(p) print(#p, select(2, t:gsub('→', '')), t:sub(-24))",
                "301\t41\tx0 → ... → site:even\n");
    const char *at = fake_run(&f, "heap.snapshot():at(0x100000 + 0x100 * 299):why():print()");
    u32 lines = 0;
    for (; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 1 + 200 + 1); /* the root, steps and the dots, the last step */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(why),
        held_test(printed),
        held_test(where_threads_stood),
        held_test(paths_of_sets),
        held_test(long_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
