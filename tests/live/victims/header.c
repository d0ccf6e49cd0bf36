/* SPDX-License-Identifier: MIT
 *
 * header.c - allocators of its own, roots, tags: what a program tells by include/moonheap.h. Each
 * line on its input is an act; it answers with a line.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../include/moonheap.h"

enum { OBJECTS = 100, OBJECT_BYTES = 44, STEP = 48, ARENA_BYTES = 1 << 16, THREADS = 4 };

struct object {
    struct object *next;
    void *held; /* a block of malloc's */
    char rest[OBJECT_BYTES - 16];
};

static struct object *volatile pool_head; /* points to the third object only */
static struct object *volatile arena_head;
static char *volatile mapped;
static char bss_arena[ARENA_BYTES] __attribute__((aligned(16)));
static void **volatile shared;
static unsigned long chunk_hidden, leak_hidden, mapped_hidden;

static unsigned long hide(const void *p)
{
    return ~(unsigned long)p;
}

static void *unhide(unsigned long p)
{
    return (void *)~p;
}

/* Clears the registers and the stack of what the act has left there. */
static __attribute__((noinline)) void wipe(void)
{
    char room[16384];
    memset(room, 0, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory", "rbx", "r12", "r13", "r14", "r15");
}

static __attribute__((noinline)) struct object *pool_get(char *at, size_t i)
{
    struct object *o = (struct object *)(void *)(at + i * STEP);
    moonheap_alloc(o, OBJECT_BYTES);
    memset(o, 0, sizeof *o);
    return o;
}

static __attribute__((noinline)) struct object *fill(char *at)
{
    struct object *list = NULL;
    for (size_t i = OBJECTS; i-- > 0;) {
        struct object *o = pool_get(at, i);
        o->next = list;
        list = o;
    }
    return list;
}

static __attribute__((noinline)) void pool(void)
{
    char *chunk = malloc(ARENA_BYTES);
    memset(chunk, 0, ARENA_BYTES);
    chunk_hidden = hide(chunk);
    pool_head = fill(chunk)->next->next;
    pool_head->held = calloc(1, 2001);
    /* in the chunk's own room: the chunk holds it */
    *(void **)(void *)(chunk + OBJECTS * STEP + 64) = calloc(1, 2002);
}

static __attribute__((noinline)) void map_arena(void)
{
    mapped = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arena_head = fill(mapped);
    arena_head->held = calloc(1, 2003);
    *(void **)(void *)(mapped + OBJECTS * STEP + 64) = calloc(1, 2004);
    /* held by an object that nothing holds: a leak inside of the arena */
    struct object *lost = pool_get(mapped, OBJECTS + 10);
    lost->held = calloc(1, 2005);
    lost = pool_get(bss_arena, 3);
    lost->held = calloc(1, 2006);
    mapped_hidden = hide(mapped);
}

static __attribute__((noinline)) void share(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[5] = calloc(1, 2010);
}

static __attribute__((noinline)) void leak(void)
{
    void **a = calloc(1, 2011);
    *a = calloc(1, 2012);
    leak_hidden = hide(a);
}

static __attribute__((noinline)) void *tagged(void *name)
{
    free(malloc(10));
    moonheap_tag_push(name);
    void **keep = malloc(3001);
    keep[0] = pool_get(bss_arena, name ? 100 : 101);
    moonheap_tag_push("inner");
    keep[1] = malloc(3002);
    moonheap_tag_pop("inner");
    keep[2] = malloc(3003);
    moonheap_tag_pop(name);
    keep[3] = malloc(3004);
    moonheap_tag(keep[3], "by hand");
    moonheap_tag(keep[2], "other");
    keep[4] = malloc(3005);
    moonheap_tag(keep[4], "gone");
    moonheap_tag(keep[4], NULL);
    free(keep[4]);
    keep[4] = malloc(3005);
    return keep;
}

static void *volatile kept[2];

static void bad(void)
{
    char *chunk = malloc(500);
    moonheap_alloc(NULL, 10);
    moonheap_free(NULL);
    moonheap_move(NULL, NULL, 0);
    moonheap_tag(NULL, "x");
    moonheap_ignore(NULL);
    moonheap_free(chunk + 16);           /* 1: never told of */
    moonheap_alloc(chunk + 32, 100);
    moonheap_alloc(chunk + 32, 101);     /* 2: twice; the new one stays */
    moonheap_free(chunk + 32);
    moonheap_free(chunk + 32);           /* 3: twice */
    moonheap_move(chunk, chunk + 64, 8); /* 4: unknown; recorded all the same */
    moonheap_free(chunk + 64);
    moonheap_tag(chunk + 200, "x");      /* 5 */
    moonheap_ignore((void *)8);          /* 6 */
    moonheap_tag_pop("never pushed");    /* 7 */
    moonheap_root(chunk, 0, NULL);       /* 8: is none */
    moonheap_alloc((void *)-64l, 8);     /* lost */
    free(chunk);
}

/* --- many at once -------------------------------------------------------------------------- */

enum { PLACES = 4096, PLACE_STEP = 64 };

struct worker {
    pthread_t thread;
    char *arena;
    unsigned long random, blocks, bytes, made;
    unsigned size[PLACES];
};
static struct worker workers[THREADS];
static volatile int stop;
static pthread_barrier_t barrier;

static unsigned long draw(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static void *hammer(void *arg)
{
    struct worker *w = arg;
    char *other = malloc(5000);
    while (!stop) {
        unsigned long from = draw(w) % PLACES, to = draw(w) % PLACES;
        char *p = w->arena + from * PLACE_STEP, *q = w->arena + to * PLACE_STEP;
        unsigned size = 1 + (unsigned)(draw(w) % PLACE_STEP);
        if (w->size[from] && !w->size[to] && draw(w) % 3 == 0) {
            moonheap_move(p, q, size);
            w->bytes += (unsigned long)size - w->size[from];
            w->size[to] = size;
            w->size[from] = 0;
        } else if (w->size[from]) {
            moonheap_free(p);
            w->blocks--;
            w->bytes -= w->size[from];
            w->size[from] = 0;
        } else {
            moonheap_alloc(p, size);
            w->blocks++;
            w->bytes += size;
            w->size[from] = size;
        }
        w->made++;
        if (w->made % 64 == 0) { /* blocks in a chunk that goes */
            moonheap_alloc(other, 16);
            moonheap_alloc(other + 4000, 900);
            free(other);
            other = malloc(5000);
        }
        if (w->made % 4096 == 0)
            usleep(2000); /* a test machine has others to serve */
    }
    free(other);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void start_hammer(void)
{
    stop = 0;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        workers[i].arena = mmap(NULL, PLACES * PLACE_STEP, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        workers[i].random = 88172645463325252ul + (unsigned long)i * 7919;
        pthread_create(&workers[i].thread, NULL, hammer, &workers[i]);
    }
}

static void rest_hammer(char *out, size_t size)
{
    unsigned long blocks = 0, bytes = 0;
    stop = 1;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++) {
        blocks += workers[i].blocks;
        bytes += workers[i].bytes;
    }
    snprintf(out, size, "%lu %lu", blocks, bytes);
}

static void end_hammer(void)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        munmap(workers[i].arena, PLACES * PLACE_STEP);
    }
}

int main(void)
{
    char line[100], answer[100];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(answer, sizeof answer, "%s", line);
        if (!strcmp(line, "active")) {
            snprintf(answer, sizeof answer, "%d", moonheap_active());
        } else if (!strcmp(line, "pool")) {
            pool();
        } else if (!strcmp(line, "drop pool")) {
            pool_head = NULL;
        } else if (!strcmp(line, "free pool")) {
            free(unhide(chunk_hidden));
        } else if (!strcmp(line, "map")) {
            map_arena();
        } else if (!strcmp(line, "unmap")) {
            arena_head = NULL;
            munmap(mapped, ARENA_BYTES);
            mapped = NULL;
        } else if (!strcmp(line, "share")) {
            share();
        } else if (!strcmp(line, "root")) {
            moonheap_root(shared, 4096, "shared cache");
        } else if (!strcmp(line, "unroot")) {
            moonheap_root(shared, 0, NULL);
        } else if (!strcmp(line, "leak")) {
            leak();
        } else if (!strcmp(line, "ignore")) {
            moonheap_ignore(unhide(leak_hidden));
        } else if (!strcmp(line, "tags")) {
            pthread_t t;
            void *result;
            kept[0] = tagged("main tag");
            pthread_create(&t, NULL, tagged, NULL);
            pthread_join(t, &result);
            kept[1] = result;
        } else if (!strcmp(line, "bad")) {
            bad();
        } else if (!strcmp(line, "hammer")) {
            start_hammer();
        } else if (!strcmp(line, "rest")) {
            rest_hammer(answer, sizeof answer);
        } else if (!strcmp(line, "end hammer")) {
            end_hammer();
        } else if (!strcmp(line, "fork")) {
            pid_t child = fork();
            if (child == 0) {
                pool_get(bss_arena, 200);
                moonheap_tag_push("child");
                kept[0] = malloc(4001);
                moonheap_tag_pop(NULL);
                printf("%d\n", moonheap_run("child.lua"));
                fflush(stdout);
                _exit(0);
            }
            int status;
            waitpid(child, &status, 0);
            snprintf(answer, sizeof answer, "%d", status);
        }
        wipe();
        puts(answer);
    }
    return 0;
}
