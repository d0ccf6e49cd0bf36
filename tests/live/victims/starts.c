/* SPDX-License-Identifier: MIT
 *
 * starts.c - places where the first signal may find a program.
 *
 * Context: test victim.
 * Usage: starts wait PLACE   prints "ready" and stays in that place for good
 *        starts storm KIND   a thread does that kind of thing over and over while each signal is
 *                            sent to it, or to the whole process; prints "fine SIGNALS" and ends
 *                            with its input
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* --- waiting -------------------------------------------------------------------------------- */

static void *stay(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* A thread that takes no signals: they all come to the one that waits for it. */
static void *stay_deaf(void *unused)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    return stay(unused);
}

static int stay_deaf_c11(void *unused)
{
    stay_deaf(unused);
    return 0;
}

static void in_join(void)
{
    pthread_t t;
    pthread_create(&t, NULL, stay_deaf, NULL);
    pthread_join(t, NULL);
}

static void in_timed_join(void)
{
    pthread_t t;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 1000;
    pthread_create(&t, NULL, stay_deaf, NULL);
    pthread_timedjoin_np(t, NULL, &end);
}

static void in_c11_join(void)
{
    thrd_t t;
    thrd_create(&t, stay_deaf_c11, NULL);
    thrd_join(t, NULL);
}

static void in_condition(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    for (;;)
        pthread_cond_wait(&never, &mutex);
}

static void in_epoll(void)
{
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    for (;;)
        epoll_wait(fd, &event, 1, -1);
}

static void in_system(void)
{
    if (system("sleep 1000"))
        exit(3);
}

static void own_handler(int number)
{
    (void)number;
}

static void in_sigsuspend(void)
{
    sigset_t ours;
    signal(SIGUSR1, own_handler);
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    sigprocmask(SIG_BLOCK, &ours, NULL);
    sigemptyset(&ours);
    for (;;)
        sigsuspend(&ours);
}

static void after_main_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, stay, NULL);
    pthread_exit(NULL);
}

static void in_loop(void)
{
    for (volatile unsigned long n = 0;; n++)
        ;
}

static const struct {
    const char *name;
    void (*wait)(void);
} places[] = {{"join", in_join},         {"timed_join", in_timed_join},
              {"c11_join", in_c11_join}, {"condition", in_condition},
              {"epoll", in_epoll},       {"system", in_system},
              {"sigsuspend", in_sigsuspend}, {"gone", after_main_thread},
              {"loop", in_loop}};

/* --- storms --------------------------------------------------------------------------------- */

static volatile int stop;

static void expect(int good, const char *what)
{
    if (good)
        return;
    dprintf(1, "bad: %s\n", what);
    _exit(1);
}

static void *leaf(void *unused)
{
    free(malloc(100));
    return unused;
}

static void create(void)
{
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        expect(pthread_create(&t[i], NULL, leaf, NULL) == 0, "pthread_create");
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

static void detach(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, leaf, NULL) == 0)
        pthread_detach(t);
    usleep(50);
}

static void load(void)
{
    void *h = dlopen("libz.so.1", RTLD_NOW), *m = dlopen("libm.so.6", RTLD_NOW);
    expect(m && dlsym(m, "cos"), "dlopen");
    dlclose(m);
    if (h)
        dlclose(h);
}

static void do_fork(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        create();
        _exit(7);
    }
    expect(waitpid(child, &status, 0) == child && status == 7 << 8, "fork");
}

static void spawn(void)
{
    int status;
    pid_t child;
    char *argv[] = {(char *)"true", NULL};
    expect(posix_spawnp(&child, "true", NULL, NULL, argv, environ) == 0, "posix_spawn");
    expect(waitpid(child, &status, 0) == child && status == 0, "spawned child");
}

static void set_ids(void)
{
    expect(setuid(getuid()) == 0 && setgid(getgid()) == 0, "setuid");
}

static void allocate(void)
{
    void *volatile p[50];
    for (int i = 0; i < 50; i++)
        p[i] = malloc((size_t)i * 37);
    for (int i = 0; i < 50; i++)
        free(p[i]);
}

static const struct {
    const char *name;
    void (*once)(void);
} kinds[] = {{"create", create}, {"detach", detach},   {"load", load},        {"fork", do_fork},
             {"spawn", spawn},   {"set_ids", set_ids}, {"allocate", allocate}};

static void *storm(void *once)
{
    while (!stop)
        (*(void (**)(void))once)();
    return NULL;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 2 && i < sizeof places / sizeof places[0]; i++) {
        if (!strcmp(argv[1], "wait") && !strcmp(argv[2], places[i].name)) {
            dprintf(1, "ready\n");
            places[i].wait();
        }
    }
    for (size_t i = 0; argc > 2 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(argv[1], "storm") || strcmp(argv[2], kinds[i].name))
            continue;
        pthread_t t;
        void (*once)(void) = kinds[i].once;
        pthread_create(&t, NULL, storm, &once);
        for (int n = 0; n < 400; n++) {
            if (n % 4)
                pthread_kill(t, SIGUSR1);
            else
                kill(getpid(), SIGUSR1);
            usleep(200);
        }
        stop = 1;
        pthread_join(t, NULL);
        dprintf(1, "fine 400\n");
        char byte;
        while (read(0, &byte, 1) > 0) { /* the last answer may still be being written */
        }
        return 0;
    }
    return 2;
}
