/* SPDX-License-Identifier: MIT
 *
 * children.c - makes children in every way there is, while its other threads allocate.
 *
 * Context: test victim. Usage: children COUNT; prints "children COUNT bad BAD" and ends with its
 * input. Run with SIGUSR1 arriving all the time; some children signal themselves.
 * A child that runs another program is itself under Moonheap, since the environment says so.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static int stop;
static char *const command[] = {"/bin/true", NULL};

static void *storm(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    void *kept[64] = {0};
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        int i = rand_r(&seed) % 64;
        free(kept[i]);
        kept[i] = malloc((size_t)rand_r(&seed) % 2000);
    }
    for (int i = 0; i < 64; i++)
        free(kept[i]);
    return NULL;
}

static int allocate_and_leave(int number)
{
    void *kept[1000];
    if (number % 3 == 0)
        raise(SIGUSR1);
    for (int i = 0; i < 1000; i++)
        kept[i] = malloc((size_t)i);
    for (int i = 0; i < 1000; i++)
        free(kept[i]);
    return 7;
}

static pid_t start(int number)
{
    pid_t pid;
    switch (number % 4) {
    case 0:
        pid = fork();
        if (pid == 0)
            _exit(allocate_and_leave(number));
        return pid;
    case 1:
        pid = fork();
        if (pid == 0)
            exit(allocate_and_leave(number)); /* with all that happens at exit */
        return pid;
    case 2:
        pid = vfork();
        if (pid == 0) {
            execve(command[0], command, environ);
            _exit(99);
        }
        return pid;
    default:
        return posix_spawn(&pid, command[0], NULL, NULL, command, environ) ? -1 : pid;
    }
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 0, bad = 0, status;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, storm, (void *)(i + 1)))
            return 2;
    printf("started\n");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        pid_t pid = start(i), got;
        do
            got = waitpid(pid, &status, 0);
        while (got < 0 && errno == EINTR);
        if (pid <= 0 || got != pid || !WIFEXITED(status) ||
            WEXITSTATUS(status) != (i % 4 < 2 ? 7 : 0)) {
            fprintf(stderr, "child %d: pid %d got %d status %x\n", i, pid, got, status);
            bad++;
        }
    }
    if (system("exit 5") >> 8 != 5)
        bad++;
    FILE *pipe = popen("echo piped", "r");
    char line[32] = "";
    if (!pipe || !fgets(line, sizeof line, pipe) || strcmp(line, "piped\n") || pclose(pipe))
        bad++;
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("children %d bad %d\n", count, bad);
    fflush(stdout);
    while (getchar() != EOF) { /* the last answer may still be being written */
    }
    return bad != 0;
}
