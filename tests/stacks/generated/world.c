/* SPDX-License-Identifier: MIT
 *
 * world.c - main of a generated program: runs its functions on threads, coroutines and in signal
 * handlers, and judges every stack that the recorder took by what the program knows of itself.
 *
 * Context: test. Usage: program SEED BUDGET ASYNC PLUGIN...; ASYNC is the time between signals that
 * come at any instruction, in microseconds (0 = none).
 * How it judges: each return address is looked up in the symbol tables of the files of the program;
 * the numbered functions among them must be those of the shadow, in order, and all of them where
 * the stack was not cut. Stacks taken in the handler of the asynchronous signal are judged by their
 * outer part only: that a function has begun is told some instructions after its first.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum { STEPS_MAX = 1024, FILES_MAX = 16, SYMBOLS_MAX = 4096, PLUGINS_MAX = 8, THREADS = 2 };

static __thread struct world *self;
static __thread volatile sig_atomic_t in_async;

/* --- drawing ------------------------------------------------------------------------------- */

static step *steps[STEPS_MAX];
static unsigned step_count;

unsigned world_draw(struct world *w, unsigned sides)
{
    w->random = w->random * 6364136223846793005ul + 1442695040888963407ul;
    return (unsigned)(w->random >> 33) % sides;
}

step *world_pick(struct world *w)
{
    return steps[world_draw(w, step_count)];
}

void world_offer(step *const *offered, unsigned count)
{
    for (unsigned i = 0; i < count && step_count < STEPS_MAX; i++)
        steps[step_count++] = offered[i];
}

struct world *world_self(void)
{
    return self;
}

/* --- which function an address belongs to -------------------------------------------------- */

struct range {
    unsigned long lo, hi;
    unsigned id;
};
/* A file of the program, as it is mapped now; hi = 0 while it is not. */
struct file {
    char path[300];
    _Atomic unsigned long bias, lo, hi;
    struct range ranges[SYMBOLS_MAX];
    unsigned count;
};
static struct file files[FILES_MAX];
static unsigned file_count;

/* g12 and g12.cold are of function 12, and so is what works of the coroutine k12, _Z3k12P5worldj...
 * .actor; k12 itself only makes it. */
static unsigned id_of(const char *name)
{
    char *end;
    int coroutine = strncmp(name, "_Z", 2) == 0;
    if (coroutine)
        name += 2 + strspn(name + 2, "0123456789");
    if (name[0] != (coroutine ? 'k' : 'g') || name[1] < '0' || name[1] > '9')
        return 0;
    unsigned long id = strtoul(name + 1, &end, 10);
    if (coroutine ? !strstr(end, ".actor") : *end && *end != '.')
        return 0;
    return (unsigned)id;
}

static int by_address(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

static struct file *add_file(const char *path)
{
    struct file *f = &files[file_count++];
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s))
        abort();
    const char *image = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)image;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *symbols = (const Elf64_Sym *)(image + sections[i].sh_offset);
        const char *names = image + sections[sections[i].sh_link].sh_offset;
        for (unsigned k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {
            unsigned id = id_of(names + symbols[k].st_name);
            unsigned type = ELF64_ST_TYPE(symbols[k].st_info);
            if (id && (type == STT_FUNC || type == STT_GNU_IFUNC) && f->count < SYMBOLS_MAX)
                f->ranges[f->count++] = (struct range){
                    symbols[k].st_value, symbols[k].st_value + symbols[k].st_size, id};
        }
    }
    qsort(f->ranges, f->count, sizeof f->ranges[0], by_address);
    munmap((void *)image, (size_t)s.st_size);
    snprintf(f->path, sizeof f->path, "%s", path);
    return f;
}

static void place_file(struct file *f, const struct dl_phdr_info *info)
{
    unsigned long lo = ~0ul, hi = 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            const ElfW(Phdr) *p = &info->dlpi_phdr[i];
            lo = info->dlpi_addr + p->p_vaddr < lo ? info->dlpi_addr + p->p_vaddr : lo;
            hi = info->dlpi_addr + p->p_vaddr + p->p_memsz;
        }
    f->bias = info->dlpi_addr;
    f->lo = lo;
    f->hi = hi;
}

static int place(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    const char *name = strrchr(info->dlpi_name, '/');
    for (unsigned i = 0; i < file_count; i++) {
        const char *mine = strrchr(files[i].path, '/');
        if (i == 0 ? !info->dlpi_name[0] : name && strcmp(name, mine) == 0)
            place_file(&files[i], info);
    }
    return 0;
}

static unsigned id_at(unsigned long pc)
{
    for (unsigned i = 0; i < file_count; i++) {
        struct file *f = &files[i];
        if (pc < f->lo || pc >= f->hi)
            continue;
        unsigned long at = pc - f->bias;
        unsigned lo = 0, hi = f->count;
        while (lo < hi) {
            unsigned middle = lo + (hi - lo) / 2;
            if (f->ranges[middle].lo <= at)
                lo = middle + 1;
            else
                hi = middle;
        }
        return lo && at < f->ranges[lo - 1].hi ? f->ranges[lo - 1].id : 0;
    }
    return 0;
}

static unsigned long trampoline; /* what a handler returns to */

/* At any instruction: that a function has begun or ended may not have been told yet. So the chain
 * is compared from its outermost function inwards. */
static int judge_roughly(const struct context *c, const unsigned long *pcs, unsigned count)
{
    unsigned ids[1024], n = 0, at = 0, beyond = 0;
    int exact = 0;
    for (unsigned i = 0; i < count && n < 1024; i++) {
        unsigned id = id_at(exact ? pcs[i] : pcs[i] - 1);
        exact = pcs[i] == trampoline;
        beyond = id ? 0 : beyond + 1;
        if (id)
            ids[n++] = id;
    }
    while (n > 0 && at < c->top) {
        unsigned told = c->shadow[at++];
        if ((told & ~(unsigned)SHADOW_MAYBE) == ids[n - 1])
            n--;
        else if (!(told & SHADOW_MAYBE))
            break;
    }
    return beyond == 0 ? 0 : n <= 1 ? 1 : 2; /* somebody has called the outermost */
}

static int judge(const unsigned long *pcs, unsigned count, _Bool cut)
{
    struct world *w = self;
    if (!w)
        return -1;
    const struct context *c = w->now;
    if (in_async)
        return cut ? -1 : judge_roughly(c, pcs, count);
    unsigned at = c->top, beyond = 0;
    int exact = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned id = id_at(exact ? pcs[i] : pcs[i] - 1);
        exact = pcs[i] == trampoline;
        beyond = id ? 0 : beyond + 1;
        if (!id)
            continue;
        while (at > 0 && c->shadow[at - 1] != id && (c->shadow[at - 1] & SHADOW_MAYBE) &&
               c->shadow[at - 1] != (id | SHADOW_MAYBE))
            at--;
        if (at == 0 || (c->shadow[at - 1] & ~(unsigned)SHADOW_MAYBE) != id)
            return 0;
        at--;
    }
    while (!cut && at > 0 && (c->shadow[at - 1] & SHADOW_MAYBE))
        at--;
    return cut || (at == 0 && beyond > 0); /* somebody has called the outermost */
}

/* --- leaving, signals ---------------------------------------------------------------------- */

void world_leave(struct world *w)
{
    struct jump *j = w->now->jump;
    w->now->jump = j->outer;
    w->now->catchers = j->catchers;
    w->alternate = j->alternate;
    w->handlers = j->handlers;
    w->now->borrowed = j->borrowed;
    siglongjmp(j->buffer, 1);
}

void world_raise(struct world *w)
{
    if (world_draw(w, 2))
        raise(SIGVTALRM);
    else
        raise(SIGUSR2);
}

/* Runs on top of whatever was interrupted, and of its shadow. */
static void handle(int on_alternate)
{
    struct world *w = self;
    if (!w || w->handlers > 2)
        return;
    struct context *c = w->now;
    unsigned level = c->top;
    int catchers = c->catchers;
    c->catchers = 0; /* no exception through the kernel's frame */
    w->alternate += on_alternate;
    w->handlers++;
    for (unsigned n = world_draw(w, 3); n && w->budget > 0 && level < c->limit; n--) {
        w->budget--;
        world_pick(w)(w, 2 + world_draw(w, 4));
        c->top = level;
    }
    w->alternate -= on_alternate;
    w->handlers--;
    c->catchers = catchers;
}

static void on_raise(int number)
{
    trampoline = (unsigned long)__builtin_return_address(0);
    handle(number == SIGUSR2);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    if (!self)
        abort();
    handle(0);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static timer_t ticks;
static long tick_us;

/* One tick, when as much time has gone by again: handling it may take longer than that. */
static void tick(void)
{
    struct itimerspec once = {{0, 0}, {0, tick_us * 1000}};
    timer_settime(ticks, 0, &once, NULL);
}

static void (*tell_alloc)(const void *, size_t);
static void (*tell_free)(const void *);

/* At any instruction: the program tells of a block of its own, which has a stack like any. */
static void on_tick(int number)
{
    (void)number;
    int error = errno;
    static _Alignas(64) char block[64];
    in_async++;
    tell_alloc(block, sizeof block);
    tell_free(block);
    in_async--;
    tick();
    errno = error;
}

static void take_signals(void)
{
    struct sigaction a = {.sa_handler = on_raise, .sa_flags = SA_NODEFER};
    sigaction(SIGVTALRM, &a, NULL);
    a.sa_flags |= SA_ONSTACK;
    sigaction(SIGUSR2, &a, NULL);
    a.sa_flags = SA_NODEFER | SA_SIGINFO;
    a.sa_sigaction = on_trap;
    sigaction(SIGILL, &a, NULL);
    a.sa_flags = SA_RESTART;
    a.sa_handler = on_tick;
    sigaction(SIGPROF, &a, NULL);
}

static void block_ticks(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(how, &set, NULL);
}

/* --- coroutines ---------------------------------------------------------------------------- */

static void give_stack(struct world *w, struct context *c)
{
    if (c->kind == 1)
        free(c->stack);
    else if (c->kind == 2)
        munmap(c->stack, c->bytes);
    char *before = c->kind == 2 ? c->stack : NULL;
    c->bytes = (size_t)(768 + 32 * world_draw(w, 20)) << 10;
    c->kind = 1 + (int)world_draw(w, 2);
    if (c->kind == 1) {
        c->stack = malloc(c->bytes);
    } else { /* at the same address again, and of another size, when it can be had */
        c->stack =
            mmap(before, c->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c->stack == MAP_FAILED)
            abort();
    }
}

static void routine_main(void)
{
    struct world *w = self;
    struct context *c = w->now;
    for (unsigned n = 2 + world_draw(w, 6); n && w->budget > 0; n--) {
        world_pick(w)(w, 2 + world_draw(w, 5));
        c->top = 0;
        world_yield(w);
    }
    c->begun = 0;
    for (;;)
        world_yield(w);
}

void world_resume(struct world *w)
{
    struct context *me = w->now, *c = &w->routines[world_draw(w, ROUTINES)];
    if (w->alternate || c->resumer || w->budget <= 0)
        return;
    if (!c->begun) {
        give_stack(w, c);
        getcontext(&c->registers);
        c->registers.uc_stack.ss_sp = c->stack;
        c->registers.uc_stack.ss_size = c->bytes;
        makecontext(&c->registers, routine_main, 0);
        c->begun = 1;
        c->top = 0;
        c->limit = ROUTINE_DEEP;
        c->jump = NULL;
        c->catchers = 0;
        c->borrowed = 0;
    }
    c->resumer = me;
    w->now = c;
    swapcontext(&me->registers, &c->registers);
}

void world_yield(struct world *w)
{
    struct context *me = w->now, *to = me->resumer;
    if (w->alternate || !to)
        return;
    me->resumer = NULL;
    w->now = to;
    swapcontext(&me->registers, &to->registers);
}

/* --- plugins ------------------------------------------------------------------------------- */

static struct file *plugins[PLUGINS_MAX];
static unsigned plugin_count;
static unsigned long visits, reused;

/* Plugins are unloaded, so nobody may jump or throw out of one, or leave it on another stack. */
unsigned long world_visit(struct world *w, unsigned depth, unsigned level)
{
    static struct file *last;
    static unsigned long last_base;
    static int deep;
    if (w->number || w->now != &w->first || !plugin_count)
        return 0;
    struct context *c = w->now;
    struct jump *jump = c->jump;
    int catchers = c->catchers;
    unsigned long sum = 0;
    struct file *f = plugins[world_draw(w, plugin_count)];
    c->jump = NULL;
    c->catchers = 0;
    block_ticks(SIG_BLOCK);
    void *handle = dlopen(f->path, RTLD_LAZY | RTLD_LOCAL);
    c->top = level;
    step **inside = handle ? dlsym(handle, "plugin_steps") : NULL;
    const unsigned *count = handle ? dlsym(handle, "plugin_step_count") : NULL;
    if (!inside || !count)
        abort();
    dl_iterate_phdr(place, NULL);
    block_ticks(SIG_UNBLOCK);
    visits++;
    reused += last && last != f && last_base == f->lo && !deep;
    last = f;
    last_base = f->lo;
    deep++;
    for (unsigned n = 1 + world_draw(w, 4); n; n--) {
        sum += inside[world_draw(w, *count)](w, depth);
        c->top = level;
    }
    deep--;
    block_ticks(SIG_BLOCK);
    dlclose(handle);
    c->top = level;
    void *still = dlopen(f->path, RTLD_LAZY | RTLD_NOLOAD);
    if (still)
        dlclose(still);
    else
        f->hi = f->lo = 0;
    c->top = level;
    block_ticks(SIG_UNBLOCK);
    c->jump = jump;
    c->catchers = catchers;
    return sum;
}

/* --- main ---------------------------------------------------------------------------------- */

static void *run(void *argument)
{
    struct world *w = argument;
    stack_t other = {.ss_sp = malloc(16 << 20), .ss_size = 16 << 20};
    sigaltstack(&other, NULL);
    w->now = &w->first;
    self = w;
    while (w->budget > 0) {
        world_pick(w)(w, 3 + world_draw(w, 20));
        w->now->top = 0;
        for (unsigned n = 6; n; n--)
            world_visit(w, world_draw(w, 2), 0);
        w->now->top = 0;
    }
    self = NULL;
    return NULL;
}

static void begin(struct world *w, unsigned long seed, unsigned number, long budget)
{
    memset(w, 0, sizeof *w);
    w->random = seed * 1000 + number;
    w->number = number;
    w->budget = budget;
    w->first.limit = SHADOW_DEEP;
}

static void start_ticks(void)
{
    struct sigevent to = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    to._sigev_un._tid = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &to, &ticks))
        abort();
    tick();
}

int main(int argc, char **argv)
{
    static struct world worlds[THREADS + 1];
    pthread_t threads[THREADS];
    if (argc < 4)
        return 2;
    unsigned long seed = strtoul(argv[1], NULL, 0);
    long budget = atol(argv[2]);
    tick_us = atol(argv[3]);
    void (*judged_by)(int (*)(const unsigned long *, unsigned, _Bool));
    void *found[] = {dlsym(RTLD_DEFAULT, "moonheap_stack_check_judge"),
                     dlsym(RTLD_DEFAULT, "moonheap_alloc"), dlsym(RTLD_DEFAULT, "moonheap_free")};
    add_file(realpath("/proc/self/exe", NULL));
    for (int i = 4; i < argc; i++) {
        struct file *f = add_file(argv[i]);
        if (!strstr(argv[i], "liblazy"))
            plugins[plugin_count++] = f;
    }
    dl_iterate_phdr(place, NULL);
    take_signals();
    raise(SIGVTALRM);
    if (found[0] && found[1] && found[2]) {
        memcpy(&judged_by, &found[0], sizeof judged_by);
        memcpy(&tell_alloc, &found[1], sizeof tell_alloc);
        memcpy(&tell_free, &found[2], sizeof tell_free);
        judged_by(judge);
        if (tick_us)
            start_ticks();
    }
    begin(&worlds[0], seed, 0, budget);
    run(&worlds[0]);
    for (unsigned i = 1; i <= THREADS; i++) {
        begin(&worlds[i], seed, i, budget / 4);
        pthread_create(&threads[i - 1], NULL, run, &worlds[i]);
    }
    begin(&worlds[0], seed + 1, 0, budget / 4);
    run(&worlds[0]);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    block_ticks(SIG_BLOCK); /* what runs destructors at the end has no unwind information */
    printf("visits %lu reused %lu\n", visits, reused);
    return 0;
}
