/* SPDX-License-Identifier: MIT
 *
 * Tests of a block's references and of what is retained, as scripts see them.
 */
#include "held.h"

#define SHOW                                                                                       \
    HELD                                                                                           \
        "local function show(refs) for _, r in ipairs(refs) do print(r.block and r.block.addr // " \
        "0x1000 or r.root, r.kind, r.offset, r.field, r.target_offset, r.weak) end end\n"

static void references_of_a_block(void **state)
{
    (void)state;
    fake_prints(&f,
                SHOW "show(block(5):referrers()) show(block(1):referrers())"
                     " show(block(1):referents()) show(block(12):referrers())",
                "1\tnil\t8\t+0x8\t0\tnil\n4\tnil\t0\t+0x0\t0\tnil\n"
                "global server+0x40\tglobal\t64\t+0x40\t0\tnil\n"
                "2\tnil\t0\t+0x0\t0\tnil\n5\tnil\t8\t+0x8\t0\tnil\n");
}

static void weak_references_say_so(void **state)
{
    (void)state;
    fake_prints(
        &f, SHOW "for _, i in ipairs{6, 7, 11} do show(block(i):referrers()) end",
        "stack of thread main 4711 +0x80\tstack\t128\t+0x80\t16\tinterior pointer\n"
        "dead stack of thread main 4711 +0x10\tdead stack slot\t16\t+0x10\t0\tdead stack slot\n"
        "10\tnil\t8\t+0x8\t0\tunused tail\n");
}

static void retained(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "print(list(block(2):retained()), list(block(1):retained()),"
                     " block(1):retained().bytes, list(block(8):retained()),"
                     " list(block(12):retained()))\n"
                     "print(list(s:type('site:node'):retained()),"
                     " list(s:type('site:table'):retained()))\n",
                "2 3 4\t1 2 3 4 5\t512\t8 9\t12\n2 3 4\t1 2 3 4 5 10 11\n");
}

static void dominators(void **state)
{
    (void)state;
    fake_prints(&f,
                HELD "print(block(5):dominator() == block(1), block(4):dominator() == block(3),"
                     " block(1):dominator(), block(8):dominator())\n"
                     "for _, b in ipairs(s:all():largest(3, 'retained')) do"
                     " io.write(b.addr // 0x1000, ' ') end print()",
                "true\ttrue\tnil\tnil\n1 2 3 \n");
    fake_fails(&f, HELD "s:all():largest(1, 'weight')", "invalid option 'weight'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        held_test(references_of_a_block),
        held_test(weak_references_say_so),
        held_test(retained),
        held_test(dominators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
