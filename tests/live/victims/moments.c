/* SPDX-License-Identifier: MIT
 *
 * moments.c - changes its blocks all the time, so that each moment differs from the next.
 *
 * Context: test victim.
 * Invariant: at every moment the pair's two numbers are equal, or the first is one ahead; and a node
 * holds a number and its complement. What a wait() or SIGCHLD handler of it sees is counted.
 * Usage: moments [deny-reading | deny-clone]. Commands, each answered with a line: turn (changes all
 * once, and gives the huge block back), dirty N (writes N MiB), fork (a child that lives until the
 * end), as-nobody, report, become (another program, in the same process), quit.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deny.h"

enum { NODES = 500, HUGE_BYTES = 64 << 20, BIG_BYTES = 128 << 20 };

struct pair {
    uint64_t first, second;
};

struct node {
    uint64_t number, complement;
    struct node *next;
};

static struct pair *pair;
static struct node *list;
static char *huge, *big;
static uint64_t numbers;
static unsigned sigchlds, strangers;
static pid_t child;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) struct pair *make_pair(void)
{
    struct pair *p = calloc(1, sizeof *p);
    p->first = p->second = 1;
    return p;
}

__attribute__((noinline)) struct node *make_node(struct node *next)
{
    struct node *n = malloc(sizeof *n);
    n->number = ++numbers;
    n->complement = ~n->number;
    n->next = next;
    return n;
}

__attribute__((noinline)) char *make_huge(void)
{
    char *block = malloc(HUGE_BYTES);
    memset(block, 'h', HUGE_BYTES);
    return block;
}

__attribute__((noinline)) char *make_big(void)
{
    char *block = malloc(BIG_BYTES);
    memset(block, 'b', BIG_BYTES);
    return block;
}

static void turn(void)
{
    pthread_mutex_lock(&lock);
    for (struct node *n = list; n;) {
        struct node *next = n->next;
        free(n);
        n = next;
    }
    list = NULL;
    for (int i = 0; i < NODES; i++)
        list = make_node(list);
    pthread_mutex_unlock(&lock);
}

static void *count(void *unused)
{
    volatile struct pair *p = pair;
    for (;;) {
        p->first++;
        p->second++;
        if (p->second % 4096 == 0)
            usleep(100);
    }
    return unused;
}

static void *renew(void *unused)
{
    for (;;) {
        turn();
        usleep(1000);
    }
    return unused;
}

static void *collect(void *unused)
{
    for (;;) {
        pid_t found = waitpid(-1, NULL, WNOHANG);
        if (found > 0 && found != child)
            __atomic_fetch_add(&strangers, 1, __ATOMIC_RELAXED);
        usleep(500);
    }
    return unused;
}

static void on_child(int number)
{
    (void)number;
    sigchlds++;
}

static int fork_child(void)
{
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return child;
}

static void obey(const char *command)
{
    if (strncmp(command, "turn", 4) == 0) {
        turn();
        free(huge);
        huge = NULL;
        printf("done\n");
    } else if (strncmp(command, "dirty ", 6) == 0) {
        memset(big, 'd', (size_t)atoi(command + 6) << 20);
        printf("done\n");
    } else if (strncmp(command, "fork", 4) == 0) {
        printf("%d\n", fork_child());
    } else if (strncmp(command, "as-nobody", 9) == 0) {
        printf("%d\n", setresuid(65534, 65534, 65534));
    } else if (strncmp(command, "report", 6) == 0) {
        printf("sigchld=%u strangers=%u\n", sigchlds, strangers);
    } else if (strncmp(command, "become", 6) == 0) {
        unsetenv("LD_PRELOAD");
        execl("/bin/sh", "sh", "-c", "echo became; read line", NULL);
    } else {
        printf("bye\n");
        exit(0);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    pthread_t t;
    char line[100];
    signal(SIGCHLD, on_child);
    pair = make_pair();
    huge = make_huge();
    big = make_big();
    turn();
    if (argc > 1 && strcmp(argv[1], "deny-reading") == 0)
        deny(SYS_process_vm_readv, 0);
    if (argc > 1 && strcmp(argv[1], "deny-clone") == 0)
        deny(SYS_clone, CLONE_THREAD);
    pthread_create(&t, NULL, count, NULL);
    pthread_create(&t, NULL, renew, NULL);
    pthread_create(&t, NULL, collect, NULL);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        obey(line);
    return 0;
}
