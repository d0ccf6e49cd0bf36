/* SPDX-License-Identifier: MIT
 *
 * Tests of snapshot as scripts see it.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    struct world *w = &f.world;
    u32 make = world_calls(w, "main", "make_session", "xmalloc", NULL);
    u32 load = world_calls(w, "main", "load_config", NULL);
    world_block(w, 0x1000, 100, make)->vtable = world_vtable(w, "N2ns7sessionE", 0);
    world_block(w, 0x2000, 50, make);
    world_block(w, 0x3000, 7, load);
    world_block(w, 0x4000, 5, 0);
    return 0;
}

static void fields(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "print(#s, s.bytes, s.time, s.pid, s.pause_ms, s.build_ms, s.complete, s.notes,"
                    " s.estimated, s.nothing)\n"
                    "print(s)",
                "4\t162\t1700000000.5\t4711\t1.5\t2.5\ttrue\tmade up\tfalse\tnil\n"
                "snapshot: 4 blocks, pid 4711\n");
    f.world.flags = SNAPSHOT_FLAG_GRAPH;
    fake_prints(&f, "print(heap.snapshot().complete)", "false\n");
    f.world.flags |= SNAPSHOT_FLAG_STOPPED;
    fake_prints(&f, "print(heap.snapshot().complete)", "true\n");
    fake_prints(&f, "local s = heap.snapshot() print(s.stop, #s.missed)", "none\t0\n");
    f.world.stop = SNAPSHOT_STOP_SIGNALS;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "print(s.stop, #s.missed)\n"
                    "for _, t in ipairs(s.missed) do print(t.tid, t.name, t.why) end",
                "signals\t1\n4713\tdeaf\tblocks it\n");
    f.world.stop = SNAPSHOT_STOP_TRACER;
    fake_prints(&f, "print(heap.snapshot().stop)", "tracer\n");
}

static void by_name(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "print(#s:all(), #s:type('ns::session'), #s:type('session'),"
                    " #s:type('session', {pattern = true}), #s:type('^site:'), "
                    " #s:type('^site:', {pattern = true}), #s:type('unknown'))\n"
                    "print(#s:site('make_session'), #s:site('make'), #s:site('^load'), #s:site('x'),"
                    " #s:site('_', {pattern = true}), #s:site('unknown'))\n",
                "4\t1\t0\t2\t0\t2\t1\n2\t2\t1\t0\t3\t1\n");
    fake_fails(&f, "heap.snapshot():type()", "string expected");
    fake_fails(&f, "heap.snapshot():type('x', {patern = true})", "unknown option 'patern'");
    fake_fails(&f, "heap.snapshot():type('[', {pattern = true})", "malformed pattern");
}

static void at_an_address(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "print(s:at(0x1000).addr == 0x1000, s:at(0x1063).size, s:at(0x2000).site)\n"
                    "print(s:at(0x11064)) print(s:at(0x400040)) print(s:at(-1)) print(s:at(8))\n",
                "true\t100\tmake_session\nnil\tnot in a live block\nnil\tserver+0x40\n"
                "nil\tunmapped\nnil\tunmapped\n");
}

static void since(void **state)
{
    (void)state;
    fake_prints(&f, "data.s = heap.snapshot()", "");
    f.world.blocks[1].birth = 2; /* its address was used again */
    f.world.block_count = 3;
    world_block(&f.world, 0x9000, 9, 0);
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "local new, gone = s:new_since(data.s), s:gone_since(data.s)\n"
                    "print(#new, #gone)\n"
                    "for b in new:each() do printf('%x ', b.addr) end\n"
                    "for b in gone:each() do printf('%x ', b.addr) end\n"
                    "print(#(gone & data.s:all()), pcall(function() return new & gone end))",
                "2\t2\n2000 9000 2000 4000 2\tfalse\tdebug_script.lua:6: the sets are of different "
                "snapshots\n");
    f.world.process_start = 1;
    fake_fails(&f, "heap.snapshot():new_since(data.s)", "different processes");
    fake_fails(&f, "heap.snapshot():new_since()", "snapshot expected");
}

static void closing(void **state)
{
    (void)state;
    fake_prints(&f, "local s = heap.snapshot()\n"
                    "local t = {s:all(), s:by('type'), s:by('type')[1], s:diff(s), s:all():one(),"
                    " s:all():each(), s:by('site'):rows()[1].set}\n"
                    "s:close() s:close()\n"
                    "local uses = {\n"
                    "  function() return s.bytes end, function() return #s end, function() s:all() end,\n"
                    "  function() return #t[1] end, function() return t[1] | t[1] end,\n"
                    "  function() return t[2]:rows() end, function() return t[2].x end,\n"
                    "  function() return t[3].key end, function() return t[3].set end,\n"
                    "  function() return t[4]:rows() end, function() return t[4]:print() end,\n"
                    "  function() return t[5].addr end, function() return t[5]:read('I4') end,\n"
                    "  function() return t[6]() end, function() return #t[7] end,\n"
                    "  function() return s:diff(s) end, function() return t[5] == t[5].x end,\n"
                    "  function() return t[2] - t[2] end, function() return t[1] == t[7] end,\n"
                    "}\n"
                    "for i, use in ipairs(uses) do\n"
                    "  local ok, message = pcall(use)\n"
                    "  if ok or not message:find('snapshot closed', 1, true) then print(i, ok, message) end\n"
                    "end\n"
                    "print(s, t[1], t[2], t[3], t[4], t[5])\n",
                "snapshot: closed\tset: snapshot closed\tpartition: snapshot closed\t"
                "row: snapshot closed\tdelta: snapshot closed\tblock: snapshot closed\n");
    assert_int_equal(f.script->snapshot_bytes, 0);
    fake_prints(&f, "local s <close> = heap.snapshot() data.x = s:all()", "");
    assert_int_equal(f.script->snapshot_bytes, 0);
    fake_fails(&f, "print(#data.x)", "snapshot closed");
    fake_fails(&f, "local s = heap.snapshot() s:all():by(function(b) s:close() return 1 end)",
               "snapshot closed");
    fake_fails(&f, "local s = heap.snapshot() s:all():where{fn = function(b) s:close() end}",
               "snapshot closed");
    fake_prints(&f, "heap.snapshot() collectgarbage()", "");
    assert_int_equal(f.script->snapshot_bytes, 0);
}

static void saving_and_loading(void **state)
{
    (void)state;
    char script[600];
    snprintf(script, sizeof script,
             "local s, path = heap.snapshot(), '%s/saved'\n"
             "print(s:save(path))\n"
             "local t = heap.load(path)\n"
             "print(#t, t.bytes, #s:diff(t), #t:type('ns::session'), t:all():one():read('B'))\n"
             "print(t:all():one():alive())\n"
             "print(s:save('/no/such/place') == nil, heap.load('/no/such/file') == nil)\n", f.folder);
    fake_prints(&f, script, "true\n4\t162\t0\t1\tnil\tnot saved\nnil\tnot available offline\n"
                            "true\ttrue\n");
}

static void what_is_promised_for_later(void **state)
{
    (void)state;
    static const char *const later[] = {
        "s:unreachable()", "s:roots()", "set:referrers()", "set:referents()", "set:closure()",
        "set:retained()",  "set:paths{limit = 1}", "set:clusters()", "set:dot()", "b:referrers()",
        "b:referents()",   "b:why()", "b:retained()", "b:dominator()", "print(b.reachable)",
        "s:by('referrers')", "s:by('via')", "set:where{reachable = true}",
    };
    char script[300];
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        snprintf(script, sizeof script,
                 "local s = heap.snapshot() local set = s:all() local b = set:one()\n%s", later[i]);
        fake_fails(&f, script, "debug_script.lua:2: ");
        fake_fails(&f, script, "needs references, and this snapshot was taken without");
    }
    fake_prints(&f, "print(heap.snapshot():all():one():field('x'))",
                "nil\tns::session has no member 'x' that is known\n");
    fake_prints(&f,
                "heap.istype('load_config', 'thing') local s = heap.snapshot()\n"
                "print(#s:type('thing'), s:type('thing'):one().type_source)",
                "1\ttold\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(by_name, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(at_an_address, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(since, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(closing, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(saving_and_loading, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(what_is_promised_for_later, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
