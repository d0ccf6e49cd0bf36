/* SPDX-License-Identifier: MIT
 *
 * sessions.c - a server's table of sessions with names and links to their peers, and a thread that
 * must not be held up.
 *
 * Context: benchmark. Usage: sessions BLOCKS. About 74 bytes a block, of two kinds; each session is
 * held by its slot or its neighbour in the slot, and by its peers. It serves words on its input:
 *   watch     forgets the longest gap       gap    says it, in ms
 *   clone     clones the process as bare as can be, a few times, and says the shortest time, in ms
 *   check     has LeakSanitizer look for leaks, if it is linked, and says how long that took
 *   touch     writes to every page, as a program does that is not idle
 *   end       frees nothing and ends
 * What it is hard on: questions about the whole heap, while one thread reads the clock all the time
 * and remembers the longest that it once did not.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "measure.h"

struct session {
    struct session *next;
    char *name;
    struct session *peer;
    unsigned long hash;
    char state[56];
};

enum { CLONES = 5 };

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct session **table;
static unsigned long slots, state = 88172645463325252ul;
static double gap; /* seconds; negative: begin anew */

static struct session *make_session(struct session *peer)
{
    char name[40];
    struct session *s = malloc(sizeof *s);
    unsigned long slot;
    memset(s, 0, sizeof *s);
    s->hash = measure_draw(&state);
    snprintf(name, sizeof name, "session-of-%012lx-%012lx", s->hash & 0xffffffffffff,
             s->hash >> 7 & 0xffffffffffff);
    s->name = strdup(name);
    s->peer = peer;
    slot = s->hash & (slots - 1);
    s->next = table[slot];
    table[slot] = s;
    return s;
}

static void make_all(unsigned long blocks)
{
    struct session *peers[1024] = {0};
    for (unsigned long made = 0; made < blocks; made += 2) {
        struct session **peer = &peers[measure_draw(&state) % 1024];
        *peer = make_session(*peer);
    }
}

/* A gap is what lies between two looks at the clock. */
static void *spin(void *unused)
{
    double last = measure_now();
    for (;;) {
        double now = measure_now(), longest;
        __atomic_load(&gap, &longest, __ATOMIC_RELAXED);
        if (now - last > longest) {
            longest = longest < 0 ? 0 : now - last;
            __atomic_store(&gap, &longest, __ATOMIC_RELAXED);
        }
        last = now;
    }
    return unused;
}

static void set_gap(double to)
{
    __atomic_store(&gap, &to, __ATOMIC_RELAXED);
}

static double longest_gap(void)
{
    double longest;
    __atomic_load(&gap, &longest, __ATOMIC_RELAXED);
    return longest < 0 ? 0 : longest;
}

/* What no snapshot by cloning can go below on this machine. */
static double bare_clone(void)
{
    double least = 1e9;
    for (int i = 0; i < CLONES; i++) {
        double began = measure_now();
        long child = syscall(SYS_clone, 0, 0, 0, 0, 0);
        if (child == 0)
            syscall(SYS_exit_group, 0);
        double took = measure_now() - began;
        least = took < least ? took : least;
        while (child > 0 && waitpid((pid_t)child, NULL, __WALL) < 0)
            ;
    }
    return least;
}

static double leak_check(void)
{
    double began = measure_now();
    if (__lsan_do_recoverable_leak_check)
        __lsan_do_recoverable_leak_check();
    return measure_now() - began;
}

static double touch(void)
{
    double began = measure_now();
    for (unsigned long i = 0; i < slots; i++)
        for (struct session *s = table[i]; s; s = s->next) {
            s->state[0]++;
            s->name[0] = 's';
        }
    return measure_now() - began;
}

static void serve(void)
{
    char word[40];
    while (scanf("%39s", word) == 1 && strcmp(word, "end") != 0) {
        if (!strcmp(word, "watch"))
            set_gap(-1);
        printf("%s=%.3f\n", word,
               1e3 * (!strcmp(word, "gap")     ? longest_gap()
                      : !strcmp(word, "clone") ? bare_clone()
                      : !strcmp(word, "check") ? leak_check()
                      : !strcmp(word, "touch") ? touch()
                                               : 0));
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    unsigned long blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000;
    pthread_t spinner;
    for (slots = 1; slots < blocks / 4; slots *= 2)
        ;
    table = calloc(slots, sizeof *table);
    make_all(blocks);
    if (pthread_create(&spinner, NULL, spin, NULL) != 0)
        return 1;
    printf("ready=%lu\n", blocks);
    fflush(stdout);
    serve();
    _exit(0);
}
