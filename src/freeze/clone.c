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

enum { TICK_NS = 20000000, LEAVE_NS = 1000000000 };

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

void clone_sleep(u32 *word, u32 expected, u64 timeout_ns)
{
    struct timespec limit = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                             .tv_nsec = (long)(timeout_ns % 1000000000)};
    sys_call6(SYS_futex, (long)word, FUTEX_WAIT, (long)expected, (long)&limit, 0, 0);
}

void clone_wake(u32 *word)
{
    sys_call(SYS_futex, word, FUTEX_WAKE, 1);
}

void clone_finish(struct clone_shared *shared)
{
    bool stays = shared->stays;
    RELEASE(&shared->done, 1);
    clone_wake(&shared->done);
    while (!stays)
        sys_call(SYS_exit_group, 0, 0, 0);
}

/* The clone's id, or a failure: it is no child of ours any more. 0 while it is there. */
static long collect(int pid, int options)
{
    long got;
    do
        got = sys_call6(SYS_wait4, pid, 0, options | __WALL | __WNOTHREAD, 0, 0, 0);
    while (got == -EINTR);
    return got;
}

bool clone_has_ended(int pid)
{
    return collect(pid, WNOHANG) != 0;
}

void clone_end(int pid)
{
    if (clone_has_ended(pid))
        return;
    long killed = sys_call(SYS_kill, pid, SIGKILL, 0);
    if (killed == 0)
        collect(pid, 0);
    /* Not permitted, since the program has taken another user's place: it ends by itself. */
    u32 never = 0;
    u64 deadline = sys_monotonic_ns() + LEAVE_NS;
    while (killed != 0 && !clone_has_ended(pid) && sys_monotonic_ns() < deadline)
        clone_sleep(&never, 0, TICK_NS);
}

bool clone_await(int pid, struct clone_shared *shared, u64 patience_ns, bool *late)
{
    u64 deadline = sys_monotonic_ns() + patience_ns;
    bool ended = false;
    *late = false;
    while (!ACQUIRE(&shared->done) && !ended && !*late) {
        clone_sleep(&shared->done, 0, TICK_NS);
        ended = clone_has_ended(pid);
        *late = !ended && !ACQUIRE(&shared->done) && sys_monotonic_ns() > deadline;
    }
    bool ok = ACQUIRE(&shared->done) && shared->ok;
    if (*late)
        clone_end(pid);
    else if (!ended && !(ok && shared->stays))
        collect(pid, 0);
    return ok;
}
