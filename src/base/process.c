/* SPDX-License-Identifier: MIT
 *
 * process.c - is this still the process in which the mark was made?
 *
 * Context: hot.
 * Invariant: `pid` is 0 only in a page that the kernel has wiped. Where it cannot wipe (before
 * Linux 4.14, some sandboxes) a forked child looks like one that borrows, until it renews the
 * mark itself, from pthread_atfork: the mistake costs an answer, never the parent.
 */
#include <sys/mman.h>

#include "process.h"
#include "sys.h"

struct process_mark {
    int pid;
};

enum { MARKS = PAGE_BYTES / sizeof(struct process_mark) };

struct process_mark *process_mark_create(void)
{
    static struct process_mark *page;
    static u32 used;
    if (!page || used == MARKS) {
        page = sys_map(PAGE_BYTES);
        if (!page)
            return NULL;
        used = 0;
        sys_call(SYS_madvise, page, PAGE_BYTES, MADV_WIPEONFORK);
    }
    struct process_mark *m = &page[used++];
    process_mark_renew(m);
    return m;
}

enum process_relation process_mark_check(const struct process_mark *m)
{
    int pid = PEEK(&m->pid);
    if (pid == 0)
        return PROCESS_FORKED;
    return pid == sys_getpid() ? PROCESS_SAME : PROCESS_BORROWS;
}

void process_mark_renew(struct process_mark *m)
{
    POKE(&m->pid, sys_getpid());
}
