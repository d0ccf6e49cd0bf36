/* SPDX-License-Identifier: MIT
 *
 * Tests of blocks as scripts see them.
 */
#include "fake.h"

static int begin(void **state)
{
    (void)state;
    fake_begin(&f);
    struct world *w = &f.world;
    u32 make = world_calls(w, "main", "make", "xmalloc", NULL);
    struct world_block *b = world_block(w, 0x1020, 40, make);
    b->birth = 15;
    b->vtable = world_vtable(w, "7session", 0);
    world_block(w, 0xffff0, 64, 0)->thread = 0;
    world_block(w, 0x200000, 5ull << 30, make);
    return 0;
}

static void fields(void **state)
{
    (void)state;
    fake_prints(&f, "for b in heap.snapshot():all():each() do\n"
                    "  printf('%x ', b.addr)\n"
                    "  print(b.size, b.type, b.type_source, b.site, b.stack, b.age, b.thread, b.tag)\n"
                    "  print(b)\n"
                    "end\n",
                "1020 40\tsession\trtti\tmake\txmalloc < make < main\t5.0\tmain 4711\tnil\n"
                "0x1020  40 B  session  from make  5.0 s old\n"
                "ffff0 64\tunknown\tunknown\tunknown\tunknown\t19.0\tunknown\tnil\n"
                "0xffff0  64 B  unknown  from unknown  19.0 s old\n"
                "200000 5368709120\tsite:make\tsite\tmake\txmalloc < make < main\t19.0\tmain 4711\tnil\n"
                "0x200000  5.0 GiB  site:make  from make  19.0 s old\n");
    fake_prints(&f, "local s = heap.snapshot() local a, b = s:at(0x1020), s:at(0x1021)\n"
                    "print(a == b, a == s:at(0x200000), a == heap.snapshot():at(0x1020), a.nothing)",
                "true\tfalse\tfalse\tnil\n");
}

static void reading(void **state)
{
    (void)state;
    fake_prints(&f, "local b = heap.snapshot():at(0x1020)\n"
                    "print(b:read('B'), b:read('BB', 2), b:read('<I4'), b:read('c3', 37))\n"
                    "print(#b:read('c40'), pcall(b.read, b, 'c41'))\n"
                    "print(pcall(b.read, b, 'B', 41)) print(pcall(b.read, b, 'B', 40))\n"
                    "print(pcall(b.read, b, 'q'))\n",
                "32\t34\t589439264\tEFG\n40\tfalse\tbad argument #2 to 'string.unpack' (data string too short)\n"
                "false\tbad argument #3 to '?' (outside of the block)\n"
                "false\tbad argument #2 to 'string.unpack' (data string too short)\n"
                "false\tinvalid format option 'q'\n");
}

static void hexdumps(void **state)
{
    (void)state;
    fake_prints(&f, "io.write(heap.snapshot():at(0x1020):hexdump())",
                "00000000  20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f  | !\"#$%&'()*+,-./|\n"
                "00000010  30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|\n"
                "00000020  40 41 42 43 44 45 46 47                          |@ABCDEFG|\n");
    fake_prints(&f, "io.write(heap.snapshot():at(0x1020):hexdump(3))",
                "00000000  20 21 22                                         | !\"|\n");
}

static void contents_of_the_moment(void **state)
{
    (void)state;
    fake_prints(&f, "local now, before = heap.snapshot(), heap.snapshot{contents=true}\n"
                    "print(now:at(0x1020):read('BB', 2), before:at(0x1020):read('BB', 2))\n"
                    "print(#before:at(0xffff0):read('c64'), now:at(0xffff0):read('c64'))\n"
                    "print(before:at(0x200000):read('B', 5 << 28))\n"
                    "io.write(before:at(0x1020):hexdump(3))\n"
                    "print(pcall(before.at(before, 0x1020).read, before:at(0x1020), 'B', 41))",
                "34\t221\t220\n64\tnil\tits memory is not there any more\n255\n"
                "00000000  df de dd                                         |...|\n"
                "false\tbad argument #3 to '?' (outside of the block)\n");
    assert_int_equal(f.held, 1);
    fake_prints(&f, "collectgarbage()", "");
    assert_int_equal(f.held, 0);
}

static void contents_that_are_dropped(void **state)
{
    (void)state;
    fake_prints(&f, "data.s = heap.snapshot{contents=true} data.s:close() data.s:close()\n"
                    "do local s <close> = heap.snapshot{contents=true} end\n"
                    "print(pcall(data.s.all, data.s))",
                "false\tsnapshot closed\n");
    assert_int_equal(f.held, 0);
    fake_prints(&f, "for i = 1, 20 do heap.snapshot{contents=true} end", "");
    assert_in_range(f.held, 1, 2);
    fake_prints(&f, "collectgarbage() data.s = heap.snapshot{contents=true}", "");
    assert_int_equal(f.held, 1);
    script_destroy(f.script);
    f.script = NULL;
    assert_int_equal(f.held, 0);
}

/* Those of now are never given for those of then. */
static void contents_that_are_not_to_be_had(void **state)
{
    (void)state;
    f.held_ended = true;
    fake_prints(&f, "local b = heap.snapshot{contents=true}:at(0x1020)\n"
                    "print(b:read('B')) print(b:hexdump()) print(b.size)",
                "nil\tit was killed\nnil\tit was killed\n40\n");
    f.refuse_held = true;
    fake_prints(&f, "local b = heap.snapshot{contents=true}:at(0x1020)\n"
                    "print(b:read('B')) print(b:alive())",
                "nil\tits contents could not be kept (see s.notes)\ntrue\n");
    f.refuse = true;
    fake_prints(&f, "print(heap.snapshot{contents=true})", "nil\tno address space\n");
}

static void memory_that_is_gone(void **state)
{
    (void)state;
    fake_prints(&f, "local b = heap.snapshot():at(0xffff0)\n"
                    "print(b:read('B')) print(b:read('c64')) print(b:hexdump())\n"
                    "print(heap.snapshot():at(0x200000):read('B'))",
                "240\nnil\tits memory is not there any more\nnil\tits memory is not there any more\n"
                "nil\tits memory is not there any more\n");
}

static void alive(void **state)
{
    (void)state;
    fake_prints(&f, "data.b = heap.snapshot():at(0x1020) print(data.b:alive())", "true\n");
    f.world.blocks[0].birth++;
    fake_prints(&f, "print(data.b:alive())", "false\n");
}

static void offline(void **state)
{
    (void)state;
    fake_offline(&f);
    fake_prints(&f, "local b = heap.snapshot():at(0x1020)\n"
                    "print(b:read('B')) print(b:hexdump()) print(b:alive())",
                "nil\tnot saved\nnil\tnot saved\nnil\tnot available offline\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(reading, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(hexdumps, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(contents_of_the_moment, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(contents_that_are_dropped, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(contents_that_are_not_to_be_had, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(memory_that_is_gone, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(alive, begin, fake_teardown),
        cmocka_unit_test_setup_teardown(offline, begin, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
