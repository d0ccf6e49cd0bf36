/* SPDX-License-Identifier: MIT
 *
 * books.c - threads that allocate and free at random, and keep their own books of it.
 *
 * Context: test victim. Usage: books BOOKS-FILE SEED SLOTS; then lines "OPERATIONS LOGGED FRESH".
 * Invariant: at a quiet point (after the line "quiet") the live blocks are exactly the entries
 * with died0 == 0. Each entry carries the moments just before and after its birth and its death,
 * so that also in the middle of a storm the test knows what must and what may be seen.
 * Why a mapped file: the books are in no allocator, and the test reads them without asking.
 *
 * A round runs OPERATIONS in each thread. LOGGED 1 takes a new entry for each birth (the test
 * judges snapshots against all of them), 0 reuses the slot's entry. FRESH 1 ends the threads and
 * starts new ones for the next round. A block may be freed by the next thread: the owner puts the
 * number of its slot into a ring, and the neighbour frees it.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, ENTRIES = 1 << 19, RING = 256, EMPTY = 0, HELD = 1, GIVEN = 2 };

struct entry {
    uint64_t addr, size, born0, born1, died0, died1; /* CLOCK_REALTIME nanoseconds, 0 = not yet */
};

struct books { /* the file */
    uint64_t threads, entries, used[THREADS], operations[THREADS];
    struct entry entry[THREADS][ENTRIES];
};

struct slot {
    char *block;
    uint32_t entry, state;
};

struct worker {
    pthread_t thread;
    uint64_t random, number;
    struct slot *slots;
    uint32_t ring[RING], put, taken; /* slots given to the next worker */
};

static struct books *books;
static struct worker workers[THREADS];
static uint64_t slot_count, round_operations;
static int logged, fresh;
static pthread_barrier_t begin, end;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t draw(struct worker *w, uint64_t below) /* xorshift64*, Vigna 2016 */
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (w->random * 2685821657736338717u >> 16) % below;
}

static uint64_t draw_size(struct worker *w)
{
    uint64_t kind = draw(w, 5000);
    if (kind == 0)
        return draw(w, 2 << 20);
    if (kind < 20)
        return draw(w, 70000);
    return kind < 500 ? draw(w, 4000) : draw(w, 300);
}

static struct entry *entry_of(struct worker *w, struct slot *s)
{
    return &books->entry[w->number][s->entry];
}

static void write_birth(struct worker *w, struct slot *s, void *p, uint64_t size, uint64_t before)
{
    uint64_t after = now();
    if (logged && books->used[w->number] < ENTRIES)
        s->entry = (uint32_t)books->used[w->number]++;
    *entry_of(w, s) = (struct entry){(uint64_t)p, size, before, after, 0, 0};
    s->block = p;
    __atomic_store_n(&s->state, HELD, __ATOMIC_RELEASE);
}

__attribute__((noinline)) void *books_allocate(struct worker *w, uint64_t *size)
{
    void *p = NULL;
    uint64_t count = 1 + draw(w, 8), align = 16u << draw(w, 9);
    switch (draw(w, 12)) {
    case 0: *size *= count; return calloc(count, *size / count);
    case 1: return realloc(NULL, *size);
    case 2: *size *= count; return reallocarray(NULL, count, *size / count);
    case 3: return memalign(align, *size);
    case 4: *size = (*size + align - 1) / align * align; return aligned_alloc(align, *size);
    case 5: return posix_memalign(&p, align, *size) ? NULL : p;
    case 6: return draw(w, 20) ? malloc(*size) : valloc(*size);
    default: return malloc(*size);
    }
}

__attribute__((noinline)) void *books_resize(struct worker *w, void *p, uint64_t *size)
{
    if (draw(w, 200) == 0)
        *size = 0;
    if (draw(w, 2))
        return realloc(p, *size);
    *size &= ~(uint64_t)3;
    return reallocarray(p, 4, *size / 4);
}

static void free_slot(struct worker *owner, struct slot *s)
{
    struct entry *e = entry_of(owner, s);
    e->died0 = now();
    free(s->block);
    e->died1 = now();
    __atomic_store_n(&s->state, EMPTY, __ATOMIC_RELEASE);
}

static void resize_slot(struct worker *w, struct slot *s)
{
    struct entry *old = entry_of(w, s);
    uint64_t size = draw_size(w), before = now();
    old->died0 = before;
    void *p = books_resize(w, s->block, &size);
    old->died1 = now();
    if (p) {
        write_birth(w, s, p, size, before);
        return;
    }
    if (size) /* out of memory: not what this test is for */
        abort();
    __atomic_store_n(&s->state, EMPTY, __ATOMIC_RELEASE);
}

static void take_from(struct worker *owner)
{
    if (owner->taken == __atomic_load_n(&owner->put, __ATOMIC_ACQUIRE))
        return;
    free_slot(owner, &owner->slots[owner->ring[owner->taken % RING]]);
    __atomic_store_n(&owner->taken, owner->taken + 1, __ATOMIC_RELEASE);
}

static void operate(struct worker *w)
{
    uint64_t number = draw(w, slot_count);
    if (number < slot_count / 4 && draw(w, 50)) /* a quarter lives long: storms are judged by it */
        number += slot_count / 4;
    struct slot *s = &w->slots[number];
    uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
    uint64_t kind = draw(w, 100);
    take_from(&workers[(w->number + THREADS - 1) % THREADS]);
    if (state == EMPTY) {
        uint64_t size = draw_size(w), before = now();
        void *p = books_allocate(w, &size);
        if (!p)
            abort();
        write_birth(w, s, p, size, before);
    } else if (state == HELD && kind < 50) {
        free_slot(w, s);
    } else if (state == HELD && kind < 80) {
        resize_slot(w, s);
    } else if (state == HELD && w->put - __atomic_load_n(&w->taken, __ATOMIC_ACQUIRE) < RING) {
        s->state = GIVEN;
        w->ring[w->put % RING] = (uint32_t)(s - w->slots);
        __atomic_store_n(&w->put, w->put + 1, __ATOMIC_RELEASE);
    }
    books->operations[w->number]++;
}

/* In every stack of the series, however calls below it are inlined. */
void *books_work(void *argument)
{
    struct worker *w = argument;
    for (;;) {
        pthread_barrier_wait(&begin);
        if (!round_operations)
            return NULL;
        for (uint64_t i = 0; i < round_operations; i++)
            operate(w);
        int leave = fresh;
        pthread_barrier_wait(&end);
        if (leave)
            return NULL;
    }
}

static void start_workers(void)
{
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&workers[i].thread, NULL, books_work, &workers[i]))
            abort();
}

static void join_workers(void)
{
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

static void *map(size_t bytes, int fd)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static int read_line(char *line, size_t size)
{
    for (size_t used = 0; used + 1 < size;) {
        ssize_t got = read(0, line + used, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        if (line[used++] == '\n') {
            line[used] = 0;
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    char line[100];
    int fd = argc == 4 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *books))
        return 2;
    books = map(sizeof *books, fd);
    close(fd);
    slot_count = strtoull(argv[3], NULL, 10);
    books->threads = THREADS;
    books->entries = ENTRIES;
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].random = (strtoull(argv[2], NULL, 10) + i + 1) * 0x9e3779b97f4a7c15u;
        workers[i].slots = map(slot_count * sizeof(struct slot), -1);
        for (uint32_t s = 0; s < slot_count; s++)
            workers[i].slots[s].entry = s;
        books->used[i] = slot_count;
    }
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    start_workers();
    while (read_line(line, sizeof line)) {
        if (sscanf(line, "%lu %d %d", &round_operations, &logged, &fresh) != 3)
            return 2;
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        if (fresh) {
            join_workers();
            start_workers();
        }
        if (write(1, "quiet\n", 6) != 6)
            return 1;
    }
    round_operations = 0;
    pthread_barrier_wait(&begin);
    join_workers();
    return 0;
}
