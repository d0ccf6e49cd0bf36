/* SPDX-License-Identifier: MIT
 *
 * unheld.c - one block for each way of holding one, each of a size of its own; at the line "drop"
 * every holder lets go.
 *
 * Context: test victim. Says "held", then "dropped", to what it is told on stdin.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct box {
    void *inside;
    char rest[1096];
};

/* volatile: a compiler drops what is stored and never read */
char *volatile global;
static char *volatile hidden;
static __thread char *volatile thread_local;
static pthread_key_t key;
static struct box *volatile box;
static char *volatile interior;
static char *volatile *arena;
static char *volatile *on_stack; /* where the other thread keeps its block */
static pthread_barrier_t turn;

/* What earlier calls left behind on the stack is gone. */
static __attribute__((noinline)) void sweep(void)
{
    volatile char dead[16384];
    for (size_t i = 0; i < sizeof dead; i++)
        dead[i] = 0;
}

static __attribute__((noinline)) void keep(char *volatile *place)
{
    *place = malloc(1008);
    on_stack = place;
}

static void *keep_on_stack(void *unused)
{
    char *volatile kept;
    keep(&kept);
    sweep();
    pthread_barrier_wait(&turn); /* held */
    pthread_barrier_wait(&turn); /* dropped by then */
    pthread_barrier_wait(&turn); /* never */
    return unused;
}

static __attribute__((noinline)) void hold(void)
{
    global = malloc(1001);
    hidden = malloc(1002);
    thread_local = malloc(1003);
    pthread_setspecific(key, malloc(1004));
    box = calloc(1, sizeof *box);
    box->inside = malloc(1005);
    interior = (char *)malloc(1006) + 100;
    arena = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arena[777] = malloc(1007);
    void **one = malloc(1009), **other = malloc(1010);
    memset(one, 0, 1009);
    memset(other, 0, 1010);
    *one = other;
    *other = one;
}

static __attribute__((noinline)) void drop(void)
{
    global = hidden = thread_local = interior = NULL;
    pthread_setspecific(key, NULL);
    box->inside = NULL;
    arena[777] = NULL;
    *on_stack = NULL;
}

int main(void)
{
    char line[80];
    pthread_t thread;
    setvbuf(stdin, NULL, _IONBF, 0);
    pthread_barrier_init(&turn, NULL, 2);
    pthread_key_create(&key, NULL);
    pthread_create(&thread, NULL, keep_on_stack, NULL);
    hold();
    pthread_barrier_wait(&turn);
    sweep();
    puts("held");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    drop();
    pthread_barrier_wait(&turn);
    sweep();
    puts("dropped");
    fflush(stdout);
    return !fgets(line, sizeof line, stdin);
}
