/* SPDX-License-Identifier: MIT
 *
 * prefork.c - a supervisor with workers, as Apache, PostgreSQL and gunicorn are built.
 *
 * Context: test victim. Usage: prefork WORKERS MODE; prints "worker PID" lines, then obeys "ask"
 * (asks every worker over its socket to allocate and answer) and "quit".
 * MODE is how a worker treats SIGUSR1 after the fork: dfl, ign, keep or own (a handler of its own).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

__attribute__((noinline)) void worker_grow(int count)
{
    for (int i = 0; i < count; i++) {
        void *volatile kept = malloc(123);
        (void)kept;
    }
}

static int work(int fd, int number, const char *mode)
{
    char request;
    ssize_t got;
    struct sigaction act = {.sa_handler = SIG_DFL};
    if (!strcmp(mode, "ign"))
        act.sa_handler = SIG_IGN;
    if (!strcmp(mode, "own"))
        act.sa_handler = on_signal;
    if (strcmp(mode, "keep"))
        sigaction(SIGUSR1, &act, NULL);
    worker_grow(1000 * (number + 1));
    while ((got = read(fd, &request, 1)) == 1 || (got < 0 && errno == EINTR)) {
        int answer[2] = {(int)getpid(), handled};
        if (got == 1)
            worker_grow(10);
        if (got == 1 && write(fd, answer, sizeof answer) != sizeof answer)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int count = argc == 3 ? atoi(argv[1]) : 0, pair[2], fds[64];
    pid_t pids[64];
    char line[32];
    signal(SIGUSR1, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < count && i < 64; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            return 2;
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int j = 0; j < i; j++)
                close(fds[j]);
            close(pair[0]);
            _exit(work(pair[1], i, argv[2]));
        }
        close(pair[1]);
        fds[i] = pair[0];
        printf("worker %d\n", (int)pids[i]);
    }
    printf("ready\n");
    for (;;) {
        clearerr(stdin);
        if (!fgets(line, sizeof line, stdin)) {
            if (errno == EINTR && !feof(stdin))
                continue;
            break;
        }
        int alive = 0, hits = 0, answer[2];
        for (int i = 0; i < count; i++)
            if (send(fds[i], "?", 1, MSG_NOSIGNAL) == 1 &&
                recv(fds[i], answer, sizeof answer, MSG_WAITALL) == sizeof answer &&
                answer[0] == pids[i]) {
                alive++;
                hits += answer[1];
            }
        printf("alive %d worker_hits %d own_hits %d\n", alive, hits, (int)handled);
    }
    int status, bad = 0;
    for (int i = 0; i < count; i++) {
        close(fds[i]);
        if (waitpid(pids[i], &status, 0) != pids[i] || status)
            bad++;
    }
    printf("bad %d\n", bad);
    return bad != 0;
}
