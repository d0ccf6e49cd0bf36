/* SPDX-License-Identifier: MIT
 *
 * helper.c - starts the helper process, unseen by the program, and talks to it.
 *
 * Context: agent; relay_run and become_helper are frozen: they run in other processes on our
 * memory, and make raw system calls only.
 * Invariant: the relay has no exit signal and dies with the agent's thread, the helper with the
 * relay; the relay ends when the helper is gone, and agent_helper_ask returns when the relay is.
 *
 * Why a relay: a process that has become another program is an ordinary child, with SIGCHLD and for
 * wait(2) to find (clone(2) can only choose the signal of one that does not). And whoever talks to
 * it needs a descriptor, which in the program's table would be in its way (a daemon that closes 0
 * and opens /dev/null counts on getting 0) or be closed by it under our hands. So a process in
 * between, with our memory but a table of descriptors of its own, is the helper's parent, and
 * copies bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "helper.h"

enum {
    STACK_BYTES = 1 << 15,
    PATH_BYTES = 1024,
    TICK_MS = 20,
    GRACE_MS = 1000, /* for the relay, once the helper is gone */
    DESCRIPTORS_LIKELY_MAX = 1 << 16,
};

/* What the three processes share. */
struct relay {
    char path[PATH_BYTES];      /* of the command */
    char *const *arguments;     /* from its name on */
    char *const *environment;
    const u8 *question;
    size_t question_bytes;
    u8 *answer;
    size_t room;
    size_t got; /* bytes of the answer */
    u32 done;   /* futex: 1 when the helper is gone */
    u32 over;   /* 1: the agent does not wait any more */
    u8 relay_stack[STACK_BYTES] __attribute__((aligned(64)));
    u8 helper_stack[STACK_BYTES] __attribute__((aligned(64)));
};

/* --- in the helper, up to its own program -------------------------------------------------- */

static void forget_signals(void)
{
    u64 plain[4] = {0}, none = 0; /* struct sigaction as the kernel has it: the default */
    for (int signal = 1; signal < NSIG; signal++)
        sys_call6(SYS_rt_sigaction, signal, (long)plain, 0, 8, 0, 0);
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
}

/* Descriptors 0 and 1 are the relay's two ends; the helper keeps the second as both. */
static void become_helper(void *context)
{
    struct relay *r = context;
    sys_call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    sys_call(SYS_dup3, 1, 0, 0);
    sys_call(SYS_dup3, 0, 1, 0);
    sys_open("/dev/null", O_WRONLY, 0); /* becomes 2 */
    forget_signals();
    sys_call(SYS_execve, r->path, r->arguments, r->environment);
}

/* --- in the relay -------------------------------------------------------------------------- */

static void drop_descriptors(void)
{
    if (!sys_failed(sys_call(SYS_close_range, 0, ~0U, 0)))
        return;
    for (int fd = 0; fd < DESCRIPTORS_LIKELY_MAX; fd++) /* before Linux 5.9 */
        sys_close(fd);
}

/* The next piece in or out; false when there is nothing more to do. */
static bool move(struct relay *r, size_t *sent)
{
    bool sending = *sent < r->question_bytes;
    struct pollfd ready = {.fd = 0, .events = sending ? POLLOUT : POLLIN};
    if (sys_call(SYS_poll, &ready, 1, TICK_MS) == 0)
        return true;
    if (sending) {
        long wrote = sys_call(SYS_write, 0, r->question + *sent, r->question_bytes - *sent);
        if (wrote > 0)
            *sent += (size_t)wrote;
        if (*sent == r->question_bytes)
            sys_call(SYS_shutdown, 0, SHUT_WR, 0);
        return wrote > 0 || wrote == -EAGAIN;
    }
    long got = sys_read(0, r->answer + r->got, r->room - r->got);
    if (got > 0)
        r->got += (size_t)got;
    return r->got < r->room && (got > 0 || got == -EAGAIN);
}

static void talk(struct relay *r)
{
    int ends[2] = {-1, -1};
    if (sys_failed(
            sys_call6(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, (long)ends, 0, 0)) ||
        ends[0] != 0 || ends[1] != 1)
        return;
    long helper = sys_clone(CLONE_VM | CLONE_VFORK | CLONE_UNTRACED | SIGCHLD,
                            r->helper_stack + STACK_BYTES, NULL, become_helper, r);
    sys_close(1);
    if (sys_failed(helper))
        return;
    sys_call(SYS_fcntl, 0, F_SETFL, O_NONBLOCK);
    for (size_t sent = 0; move(r, &sent) && !ACQUIRE(&r->over);) {
    }
    sys_call(SYS_kill, helper, SIGKILL, 0); /* it only had to exit */
    sys_call6(SYS_wait4, helper, 0, __WALL, 0, 0, 0);
}

static void relay_run(void *context)
{
    struct relay *r = context;
    u64 plain[4] = {0};
    sys_call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    sys_call6(SYS_rt_sigaction, SIGCHLD, (long)plain, 0, 8, 0, 0);
    drop_descriptors();
    talk(r);
    RELEASE(&r->done, 1);
    sys_futex_wake(&r->done, 1);
}

/* --- in the program ------------------------------------------------------------------------ */

/* Where the library itself was loaded from: the file that this code is mapped of. */
static bool own_path(char out[PATH_BYTES])
{
    static const char deleted[] = " (deleted)"; /* it was replaced by a newer one */
    char buffer[MAPS_BUFFER_BYTES];
    struct maps_reader maps;
    struct maps_region region;
    bool found = false;
    if (!maps_open(&maps, buffer))
        return false;
    while (!found && maps_next(&maps, &region))
        found = (u64)own_path >= region.lo && (u64)own_path < region.hi;
    maps_close(&maps);
    if (!found || region.path[0] != '/')
        return false;
    size_t bytes = strlen(region.path), tail = sizeof deleted - 1;
    if (bytes > tail && !strcmp(region.path + bytes - tail, deleted))
        region.path[bytes - tail] = '\0';
    text_format(out, PATH_BYTES, "%s", region.path);
    return true;
}

/* The command beside the library, as it is installed or built. */
static bool find_command(char out[PATH_BYTES])
{
    static const char *const places[] = {MOONHEAP_TOOL_RELATIVE, "../bin/moonheap"};
    char folder[PATH_BYTES];
    if (!own_path(folder))
        return false;
    *strrchr(folder, '/') = '\0';
    for (u32 i = 0; i < COUNT_OF(places); i++) {
        text_format(out, PATH_BYTES, "%s/%s", folder, places[i]);
        if (!sys_failed(sys_call(SYS_faccessat, AT_FDCWD, out, X_OK)))
            return true;
    }
    return false;
}

static long start_relay(struct relay *r)
{
    u64 all = ~0UL, before = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8, 0, 0);
    long made =
        sys_clone(CLONE_VM | CLONE_UNTRACED, r->relay_stack + STACK_BYTES, NULL, relay_run, r);
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8, 0, 0);
    return made;
}

static bool collect(int pid, bool wait)
{
    long got;
    do
        got = sys_call6(SYS_wait4, pid, 0, __WALL | __WNOTHREAD | (wait ? 0 : WNOHANG), 0, 0, 0);
    while (got == -EINTR);
    return got != 0;
}

/* False when the time is over. *collected: the relay was killed by someone. */
static bool await(struct relay *r, int relay, u64 patience_ns, bool *collected)
{
    u64 deadline = sys_monotonic_ns() + patience_ns;
    while (!ACQUIRE(&r->done) && !*collected) {
        if (sys_monotonic_ns() > deadline)
            return false;
        sys_futex_wait(&r->done, 0, TICK_MS * 1000000UL);
        *collected = !ACQUIRE(&r->done) && collect(relay, false);
    }
    return true;
}

/* *clean: the relay has ended by itself, so no process uses its memory any more. */
static enum agent_helper_end converse(struct relay *r, u64 patience_ns, bool *clean)
{
    bool collected = false;
    long relay = start_relay(r);
    *clean = sys_failed(relay);
    if (*clean)
        return HELPER_FAILED;
    bool in_time = await(r, (int)relay, patience_ns, &collected);
    if (!in_time) {
        RELEASE(&r->over, 1);
        await(r, (int)relay, GRACE_MS * 1000000UL, &collected);
    }
    *clean = ACQUIRE(&r->done);
    if (!*clean && !collected) /* it hangs where the helper's file is */
        sys_call(SYS_kill, relay, SIGKILL, 0);
    if (!collected)
        collect((int)relay, true);
    return in_time ? HELPER_DONE : HELPER_LATE;
}

enum agent_helper_end agent_helper_ask(char *const *arguments, char *const *environment,
                                       const void *question, size_t question_bytes, void *answer,
                                       size_t room, size_t *answer_bytes, u64 patience_ns)
{
    size_t bytes = ROUND_UP(sizeof(struct relay), PAGE_BYTES);
    struct relay *r = sys_map(bytes);
    enum agent_helper_end end = HELPER_ABSENT;
    bool clean = true;
    *answer_bytes = 0;
    if (!r)
        return HELPER_FAILED;
    if (find_command(r->path)) {
        r->arguments = arguments;
        r->environment = environment;
        r->question = question;
        r->question_bytes = question_bytes;
        r->answer = answer;
        r->room = room;
        end = converse(r, patience_ns, &clean);
        *answer_bytes = r->got;
    }
    if (clean)
        sys_unmap(r, bytes);
    return end;
}
