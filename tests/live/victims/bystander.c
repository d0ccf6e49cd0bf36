/* SPDX-License-Identifier: MIT
 *
 * bystander.c - waits in every way in which a program can wait, and says at the end what disturbed
 * it: which calls ended with EINTR, how many SIGCHLD came, what wait(-1) found.
 *
 * Context: test victim.
 * Invariant: nothing disturbs it unless somebody does; what it prints depends on nothing else.
 * Usage: bystander THREADS [deny-ptrace | deny-clone | block-signals]... Prints "ready"; at a line on
 * its input or its end it prints its report. block-signals: its threads but the main one take none.
 * Threads that wait for good are named "waits", those that come and go and their maker "births".
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "asleep.h"
#include "deny.h"

enum { WAITS = 13 };
static unsigned disturbed[WAITS], sigchlds, strangers, early_wakes;
static int quiet[2], epoll, semaphore, queue, listener;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pid_t sleeper;

static void count_child(int number)
{
    (void)number;
    __atomic_fetch_add(&sigchlds, 1, __ATOMIC_RELAXED);
}

static const char *const names[WAITS] = {
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "semop",     "sigwaitinfo", "read",    "poll",
    "msgrcv",     "accept",      "nanosleep",    "cond_wait", "waitpid",     "ppoll"};

static long wait_once(int which)
{
    struct epoll_event event;
    struct sembuf down = {.sem_op = -1};
    struct timespec long_time = {.tv_sec = 1000};
    struct {
        long type;
        char text[8];
    } message;
    struct pollfd watched = {.fd = quiet[0], .events = POLLIN};
    sigset_t set;
    char byte;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    switch (which) {
    case 0:
        return epoll_wait(epoll, &event, 1, -1);
    case 1:
        return epoll_pwait(epoll, &event, 1, -1, &set);
    case 2:
        return syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, NULL, 8);
    case 3:
        return semop(semaphore, &down, 1);
    case 4:
        return sigwaitinfo(&set, NULL);
    case 5:
        return read(quiet[0], &byte, 1);
    case 6:
        return poll(&watched, 1, -1);
    case 7:
        return msgrcv(queue, &message, sizeof message.text, 0, 0);
    case 8:
        return accept(listener, NULL, NULL);
    case 9:
        return nanosleep(&long_time, NULL);
    case 10:
        pthread_mutex_lock(&held);
        pthread_cond_wait(&never, &held);
        pthread_mutex_unlock(&held);
        return 0;
    case 11: {
        pid_t found = waitpid(-1, NULL, 0);
        if (found != sleeper)
            __atomic_fetch_add(&strangers, 1, __ATOMIC_RELAXED);
        return found;
    }
    default:
        return ppoll(&watched, 1, NULL, NULL);
    }
}

static void *wait_for_ever(void *argument)
{
    int which = (int)(intptr_t)argument;
    prctl(PR_SET_NAME, "waits");
    for (;;) {
        errno = 0;
        long result = wait_once(which);
        if (result < 0 && errno == EINTR)
            __atomic_fetch_add(&disturbed[which], 1, __ATOMIC_RELAXED);
        else
            __atomic_fetch_add(&early_wakes, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *idle(void *unused)
{
    prctl(PR_SET_NAME, "waits");
    for (;;)
        pause();
    return unused;
}

/* Threads that are made and end all the time, and blocks with them. */
static void *die_soon(void *argument)
{
    usleep(200);
    return argument;
}

static void *churn(void *unused)
{
    prctl(PR_SET_NAME, "births"); /* and so those that it makes */
    for (;;) {
        pthread_t t;
        void *block = malloc(50);
        if (pthread_create(&t, NULL, die_soon, block) == 0)
            pthread_join(t, &block);
        free(block);
    }
    return unused;
}

int main(int argc, char **argv)
{
    size_t threads = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
    pthread_t t;
    sigset_t set;
    signal(SIGCHLD, count_child);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sleeper = fork();
    if (sleeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_DFL);
        for (;;)
            pause();
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "deny-ptrace") == 0)
            deny(SYS_ptrace, 0);
        if (strcmp(argv[i], "deny-clone") == 0)
            deny(SYS_clone, CLONE_THREAD);
        if (strcmp(argv[i], "block-signals") == 0)
            block_all_signals();
    }
    epoll = epoll_create1(0);
    semaphore = semget(IPC_PRIVATE, 1, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (pipe(quiet) || listen(listener, 1) + bind(listener, &(struct sockaddr){AF_UNIX, ""}, 2))
        listen(listener, 1);
    for (intptr_t i = 0; i < WAITS; i++)
        pthread_create(&t, NULL, wait_for_ever, (void *)i);
    for (size_t i = 0; i < threads; i++)
        pthread_create(&t, NULL, idle, NULL);
    wait_until_asleep(0);
    if (threads)
        pthread_create(&t, NULL, churn, NULL);
    sigprocmask(SIG_SETMASK, &set, NULL);
    puts("ready");
    fflush(stdout);
    getchar();
    unsigned all = 0;
    for (int i = 0; i < WAITS; i++) {
        all += disturbed[i];
        if (disturbed[i])
            printf("%s was interrupted %u times\n", names[i], disturbed[i]);
    }
    printf("interrupted=%u sigchld=%u strangers=%u woken=%u children=%d\n", all, sigchlds,
           strangers, early_wakes, kill(sleeper, 0));
    fflush(stdout);
    semctl(semaphore, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    _exit(0);
}
