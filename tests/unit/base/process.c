/* SPDX-License-Identifier: MIT
 *
 * A forked child and one that shares our memory are told apart.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"
#include "base/sys.h"

static int exit_status(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_forked_child_is_noticed(void **state)
{
    (void)state;
    struct process_mark *m = process_mark_create();
    assert_non_null(m);
    assert_int_equal(process_mark_check(m), PROCESS_SAME);
    pid_t child = fork();
    if (child == 0) {
        bool noticed = process_mark_check(m) == PROCESS_FORKED;
        process_mark_renew(m);
        bool renewed = process_mark_check(m) == PROCESS_SAME;
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(process_mark_check(m) == PROCESS_FORKED ? 0 : 1);
        int status;
        waitpid(grandchild, &status, 0);
        _exit(noticed && renewed && status == 0 ? 0 : 1);
    }
    assert_int_equal(exit_status(child), 0);
    assert_int_equal(process_mark_check(m), PROCESS_SAME);
}

static int look(void *mark)
{
    return (int)process_mark_check(mark);
}

static void a_child_in_our_memory_is_noticed(void **state)
{
    (void)state;
    struct process_mark *m = process_mark_create();
    static _Alignas(16) char stack[65536];
    pid_t child = clone(look, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, m);
    assert_int_equal(exit_status(child), PROCESS_BORROWS);
    assert_int_equal(process_mark_check(m), PROCESS_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_is_noticed),
        cmocka_unit_test(a_child_in_our_memory_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
