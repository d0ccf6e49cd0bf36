/* SPDX-License-Identifier: MIT
 *
 * clone.c - see clone.h.
 *
 * Context: frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "clone.h"

enum { TICK_MS = 20 };

/* A parent's descriptors, held open by a clone, would keep its peers waiting for their end. */
static void drop_descriptors(void)
{
    enum { UNSHARE = 1 << 1, LIKELY_MAX = 1 << 16 };
    if (!sys_failed(sys_call(SYS_close_range, 0, ~0U, UNSHARE)))
        return;
    sys_call(SYS_unshare, CLONE_FILES, 0, 0); /* before Linux 5.9 */
    for (int fd = 0; fd < LIKELY_MAX; fd++)
        sys_close(fd);
}

/* First to go when memory is short (proc(5)); no core of it is written: a limit of one byte is
 * taken for "none" even where cores are piped (core(5)). */
static void settle(int parent)
{
    struct rlimit no_core = {1, 1};
    sys_call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    if ((int)sys_call(SYS_getppid, 0, 0, 0) != parent)
        sys_call(SYS_exit_group, 1, 0, 0);
    drop_descriptors();
    sys_call6(SYS_prlimit64, 0, RLIMIT_CORE, (long)&no_core, 0, 0, 0);
    int fd = sys_open("/proc/thread-self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        sys_write_all(fd, "1000", 4, 0);
        sys_close(fd);
    }
}

int clone_begin(struct stop *s)
{
    u64 all = ~0UL, before = 0;
    int parent = sys_getpid();
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8, 0, 0);
    long made = sys_call6(SYS_clone, CLONE_UNTRACED | CLONE_FILES, 0, 0, 0, 0, 0);
    if (made == 0) {
        if (s)
            stop_in_child(s);
        settle(parent);
        return 0;
    }
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8, 0, 0);
    return (int)made;
}

void clone_seal(void)
{
    sys_call6(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
}

void clone_finish(struct clone_shared *shared)
{
    RELEASE(&shared->done, 1);
    sys_call6(SYS_futex, (long)&shared->done, FUTEX_WAKE, 1, 0, 0, 0);
    for (;;)
        sys_call(SYS_exit_group, 0, 0, 0);
}

bool clone_await(int pid, struct clone_shared *shared, u64 patience_ns, bool *late)
{
    u64 deadline = sys_monotonic_ns() + patience_ns;
    struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    long got = 0;
    *late = false;
    while (!ACQUIRE(&shared->done) && got == 0) {
        sys_call6(SYS_futex, (long)&shared->done, FUTEX_WAIT, 0, (long)&tick, 0, 0);
        got = sys_call6(SYS_wait4, pid, 0, WNOHANG | __WALL | __WNOTHREAD, 0, 0, 0);
        if (got == 0 && !ACQUIRE(&shared->done) && sys_monotonic_ns() > deadline) {
            *late = true;
            break;
        }
    }
    if (*late)
        sys_call(SYS_kill, pid, SIGKILL, 0);
    while (got == 0 || got == -EINTR)
        got = sys_call6(SYS_wait4, pid, 0, __WALL | __WNOTHREAD, 0, 0, 0);
    return ACQUIRE(&shared->done) && shared->ok;
}
