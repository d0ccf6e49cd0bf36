/* SPDX-License-Identifier: MIT
 *
 * poke.c - `moonheap poke`: asks a process to run its script, and shows the output here.
 *
 * Context: tool.
 * Invariant: a signal is sent only after /proc has shown that the process has our library and a
 * handler for that signal; an unprepared process would be killed by it. A pidfd is held from
 * before the first look until the end, so that a reused pid is never signalled.
 * Why we listen and the process connects: an idle process holds no socket (base/request.h).
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool.h"

const char tool_poke_details[] =
    "  --timeout T    how long to wait for the whole answer, e.g. 5s or 2m (twice the limit that\n"
    "                 the process sets on a run, so a minute unless it was started otherwise)\n"
    "\n"
    "For types, the catalogues of its files that are missing are made first (moonheap help catalog),\n"
    "for at most a minute.\n"
    "The process must have Moonheap inside and a handler for the signal, else it is left alone.\n"
    "Exit status: 0, 1 when the script failed or the answer did not come, 2 when a process was\n"
    "refused; of several processes, the worst.\n";

enum { CALM_MS = 1000, TICK_MS = 250, CATALOGUES_S = 60 };

struct poke {
    struct tool_process process;
    int pidfd, listener, connection;
    u64 began_ns, deadline_ns;
    bool progress_shown;
};

enum wait_result { WAIT_READY, WAIT_ENDED, WAIT_LATE };

static void show_progress(struct poke *p)
{
    u64 passed_ms = (sys_monotonic_ns() - p->began_ns) / 1000000;
    if (passed_ms < CALM_MS || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rwaiting for process %d: %llu s\033[K", p->process.pid,
            (unsigned long long)passed_ms / 1000);
    p->progress_shown = true;
}

static void clear_progress(struct poke *p)
{
    if (p->progress_shown)
        fputs("\r\033[K", stderr);
    p->progress_shown = false;
}

static enum wait_result wait_for(struct poke *p, int fd)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = p->pidfd, .events = POLLIN}};
        int count = poll(fds, COUNT_OF(fds), TICK_MS);
        if (count > 0) {
            clear_progress(p);
            return fds[0].revents ? WAIT_READY : WAIT_ENDED;
        }
        if (sys_monotonic_ns() > p->deadline_ns) {
            clear_progress(p);
            return WAIT_LATE;
        }
        show_progress(p);
    }
}

static bool wait_or_say(struct poke *p, int fd, const char *what, struct err *e)
{
    switch (wait_for(p, fd)) {
    case WAIT_READY:
        return true;
    case WAIT_ENDED:
        return err_set(e, STATUS_NOT_FOUND, "process %d ended before %s", p->process.pid, what);
    default:
        return err_set(e, STATUS_TIMEOUT,
                       "process %d did not get to %s within %llu s%s; a run may be under way, or "
                       "the program may be busy in a call that holds signals back", p->process.pid,
                       what,
                       (unsigned long long)((p->deadline_ns - p->began_ns) / 1000000000),
                       p->process.blocked >> (p->process.sign.signal - 1) & 1
                           ? " (its main thread blocks the signal)" : "");
    }
}

/* --- before the signal ---------------------------------------------------------------------- */

static bool same_network(int pid)
{
    char path[64], ours[64] = "", theirs[64] = "";
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    if (readlink("/proc/self/ns/net", ours, sizeof ours - 1) < 0 ||
        readlink(path, theirs, sizeof theirs - 1) < 0)
        return true;
    return !strcmp(ours, theirs);
}

/* Everything that must be so before a signal may be sent. */
static bool check_prepared(const struct tool_process *process, struct err *e)
{
    char buffer[16];
    const char *name = options_signal_name(process->sign.signal, buffer, sizeof buffer);

    if (!process->has_library)
        return err_set(e, STATUS_UNSUPPORTED,
                       "process %d (%.60s) has no Moonheap inside, so it was not signalled; start "
                       "it with 'moonheap run'", process->pid, process->command);
    if (!(process->caught >> (process->sign.signal - 1) & 1))
        return err_set(e, STATUS_UNSUPPORTED,
                       "process %d has no handler for SIG%s, which would end it, so it was not "
                       "signalled; was Moonheap's start refused there (see its stderr)?",
                       process->pid, name);
    if (process->stopped)
        return err_set(e, STATUS_UNSUPPORTED,
                       "process %d is stopped and cannot answer; continue it with 'kill -CONT %d' "
                       "or in its debugger", process->pid, process->pid);
    if (!same_network(process->pid))
        return err_set(e, STATUS_UNSUPPORTED,
                       "process %d is in another network namespace, where it cannot reach this "
                       "command; use 'nsenter -n -t %d moonheap poke %d'", process->pid,
                       process->pid, process->pid);
    return true;
}

static void say_failed(const char *file, const struct symbols_catalog *made, const char *text)
{
    if (!made)
        tool_warn("poke", "no types of %s: %s; 'moonheap catalog %s' tries again", file, text, file);
}

/* So that the script finds types: the process only maps what is made here. Once for each build. */
static void make_catalogues(int pid)
{
    struct err e;
    struct tool_catalogs t = {
        .time_ns = CATALOGUES_S * 1000000000ULL,
        .deadline_ns = sys_monotonic_ns() + CATALOGUES_S * 1000000000ULL,
        .said = say_failed,
    };
    tool_catalogs_process(&t, pid, &e); /* without them, blocks are named by their sites */
}

static bool start_listening(struct poke *p, struct err *e)
{
    struct sockaddr_un address;
    u32 length = request_address(p->process.inner_pid, &address);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0)
        return err_set(e, STATUS_IO, "cannot make a socket: %s", strerror(errno));
    if (bind(p->listener, (struct sockaddr *)&address, length)) {
        if (errno == EADDRINUSE)
            return err_set(e, STATUS_LIMIT, "another 'moonheap poke' is asking process %d just "
                                            "now; try again when it is done", p->process.pid);
        return err_set(e, STATUS_IO, "cannot listen for process %d: %s", p->process.pid,
                       strerror(errno));
    }
    return !listen(p->listener, 4) ||
           err_set(e, STATUS_IO, "cannot listen for process %d: %s", p->process.pid,
                   strerror(errno));
}

static bool send_signal(struct poke *p, struct err *e)
{
    const struct tool_process *process = &p->process;
    struct pollfd alive = {.fd = p->pidfd, .events = POLLIN};
    long result = -1;
    /* Straight to the agent's thread, so that none of the program's is interrupted. The process is
     * alive, so its pid is still its own and the thread is looked up inside it. */
    if (process->agent_tid && !poll(&alive, 1, 0))
        result = syscall(SYS_tgkill, process->pid, process->agent_tid, process->sign.signal);
    if (result)
        result = pidfd_send_signal(p->pidfd, process->sign.signal, NULL, 0);
    if (!result)
        return true;
    if (errno == EPERM)
        return err_set(e, STATUS_DENIED,
                       "process %d may not be signalled by this user; run this as its user or as "
                       "root", process->pid);
    return err_set(e, STATUS_NOT_FOUND, "process %d ended just now", process->pid);
}

/* --- after the signal ----------------------------------------------------------------------- */

/* The name of an abstract socket is anybody's to connect to; only the process itself is heard. */
static bool accept_process(struct poke *p, struct err *e)
{
    for (;;) {
        if (!wait_or_say(p, p->listener, "its answer", e))
            return false;
        p->connection = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        struct ucred peer = {0};
        socklen_t bytes = sizeof peer;
        if (p->connection >= 0 &&
            !getsockopt(p->connection, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) &&
            peer.pid == p->process.pid)
            return true;
        if (p->connection >= 0)
            close(p->connection);
        p->connection = -1;
    }
}

static bool receive(struct poke *p, struct request_message *message, struct err *e)
{
    if (!wait_or_say(p, p->connection, "the end of its answer", e))
        return false;
    return request_receive(p->connection, message, REQUEST_PATIENCE_MS) ||
           err_set(e, STATUS_IO, "process %d hung up before the end of its answer",
                   p->process.pid);
}

static bool copy_output(struct poke *p, u64 count, struct err *e)
{
    char piece[8192];
    while (count) {
        size_t bytes = count < sizeof piece ? (size_t)count : sizeof piece;
        if (!request_receive_bytes(p->connection, piece, bytes, REQUEST_PATIENCE_MS))
            return err_set(e, STATUS_IO, "process %d hung up in the middle of its output",
                           p->process.pid);
        fwrite(piece, 1, bytes, stdout);
        count -= bytes;
    }
    fflush(stdout);
    return true;
}

static bool converse(struct poke *p, bool *script_ok, struct err *e)
{
    struct request_message message;
    if (!receive(p, &message, e))
        return false;
    if (message.kind != REQUEST_HELLO || message.n[0] != REQUEST_VERSION)
        return err_set(e, STATUS_UNSUPPORTED,
                       "process %d has another version of Moonheap inside; use the command that "
                       "was installed with that library", p->process.pid);
    message = (struct request_message){.kind = REQUEST_POKE};
    if (!request_send(p->connection, &message, REQUEST_PATIENCE_MS))
        return err_set(e, STATUS_IO, "process %d hung up", p->process.pid);
    while (receive(p, &message, e)) {
        if (message.kind == REQUEST_END) {
            *script_ok = message.n[0];
            return true;
        }
        if (message.kind != REQUEST_OUTPUT)
            return err_set(e, STATUS_MALFORMED, "process %d gave an answer that is not understood",
                           p->process.pid);
        if (!copy_output(p, message.n[0], e))
            return false;
    }
    return false;
}

static int poke_one(int pid, u64 timeout_ns)
{
    struct poke p = {.listener = -1, .connection = -1, .began_ns = sys_monotonic_ns()};
    struct err e = {0};
    bool signalled = false, script_ok = false;
    p.pidfd = pidfd_open(pid, 0);
    bool ok = tool_process_read(&p.process, pid, &e);
    if (ok) {
        u64 patience = timeout_ns ? timeout_ns : 2 * p.process.sign.script_timeout_ns;
        ok = p.pidfd >= 0 || err_set(&e, STATUS_NOT_FOUND, "process %d ended just now", pid);
        ok = ok && check_prepared(&p.process, &e);
        if (ok)
            make_catalogues(pid);
        p.began_ns = sys_monotonic_ns();
        p.deadline_ns = p.began_ns + patience;
        ok = ok && start_listening(&p, &e);
        ok = signalled = ok && send_signal(&p, &e);
        ok = ok && accept_process(&p, &e) && converse(&p, &script_ok, &e);
        tool_process_free(&p.process);
    }
    if (!ok)
        tool_cannot("poke", "%s", e.text);
    if (p.pidfd >= 0)
        close(p.pidfd);
    if (p.listener >= 0)
        close(p.listener);
    if (p.connection >= 0)
        close(p.connection);
    if (ok)
        return script_ok ? TOOL_OK : TOOL_FAILED;
    return signalled ? TOOL_FAILED : TOOL_CANNOT;
}

int tool_poke_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"timeout", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    u64 timeout_ns = 0, pid;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+:", options, NULL)) >= 0;) {
        if (option == ':')
            return tool_usage("poke", "%s needs a value", argv[optind - 1]);
        if (option == '?')
            return tool_usage("poke", "there is no option '%s'", argv[optind - 1]);
        if (!text_parse_span(optarg, &timeout_ns) || !timeout_ns)
            return tool_usage("poke", "--timeout takes a time, e.g. 5s; not '%s'", optarg);
    }
    if (optind == argc)
        return tool_usage("poke", "which process? 'moonheap ps' lists them");
    for (int i = optind; i < argc; i++)
        if (!text_parse_u64(argv[i], &pid) || !pid || pid > INT32_MAX)
            return tool_usage("poke", "'%s' is no process id", argv[i]);

    int worst = TOOL_OK;
    for (int i = optind; i < argc; i++) {
        text_parse_u64(argv[i], &pid);
        int status = poke_one((int)pid, timeout_ns);
        worst = status > worst ? status : worst;
    }
    return worst;
}
