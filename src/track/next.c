/* SPDX-License-Identifier: MIT
 *
 * next.c - see next.h.
 *
 * Context: hot; next_resolve runs once, on the first allocation or in the constructor, and is the
 * one place that calls the loader.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <link.h>
#include <string.h>

#include "next.h"
#include "track.h"

/* --- while the allocator is looked for ----------------------------------------------------- */

/* dlsym may allocate (for its error text). A few blocks from here serve that. */
_Alignas(16) char next_arena[NEXT_ARENA_BYTES];
static size_t arena_used;
u8 next_alone;
u64 next_ours_lo, next_ours_bytes;

/* Who reads the new start reads the new length too; the old start with the new length is more than
 * either needs. */
void next_except(u64 lo, u64 bytes)
{
    u64 old_lo = PEEK(&next_ours_lo), old_bytes = PEEK(&next_ours_bytes);
    u64 hi = lo + bytes, old_hi = old_lo + old_bytes;
    if (old_bytes && old_lo < lo)
        lo = old_lo;
    if (old_bytes && old_hi > hi)
        hi = old_hi;
    POKE(&next_ours_bytes, hi - lo);
    RELEASE(&next_ours_lo, lo);
    u8 alone = NEXT_ALONE;
    __atomic_compare_exchange_n(&next_alone, &alone, NEXT_BESIDE, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
}

static bool used_bootstrap(void)
{
    return __atomic_load_n(&arena_used, __ATOMIC_SEQ_CST) != 0;
}

void next_leave_alone(bool ours)
{
    __atomic_store_n(&next_alone, ours ? NEXT_BESIDE : NEXT_ALONE, __ATOMIC_SEQ_CST);
    if (used_bootstrap()) /* or another thread has just begun to look for the allocator */
        POKE(&next_alone, NEXT_BESIDE);
}

void next_ask(void)
{
    POKE(&next_alone, NEXT_ASKED);
}

size_t next_bootstrap_bytes(const void *p)
{
    return ((const size_t *)p)[-2];
}

static void *arena_alloc(size_t align, size_t size)
{
    if (align < 16)
        align = 16;
    if (size > sizeof next_arena || align > PAGE_BYTES)
        return NULL;
    size_t whole = ROUND_UP(size, 16) + 16 + align;
    size_t at = __atomic_fetch_add(&arena_used, whole, __ATOMIC_SEQ_CST);
    next_except((u64)next_arena, NEXT_ARENA_BYTES);
    if (at > sizeof next_arena - whole)
        return NULL;
    char *p = (char *)ROUND_UP((u64)next_arena + at + 16, align);
    ((size_t *)p)[-2] = size;
    return p;
}

static bool found;     /* the table holds real functions */
static bool searching; /* by the thread that came first */

#define BOOTSTRAP(serve, real)                                                                     \
    next_resolve();                                                                                \
    return __atomic_load_n(&found, __ATOMIC_ACQUIRE) ? (real) : (serve)

static void *boot_malloc(size_t size)
{
    BOOTSTRAP(arena_alloc(16, size), next.malloc(size));
}
static void *boot_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    BOOTSTRAP(arena_alloc(16, bytes), next.calloc(count, size)); /* the arena is zero */
}
static void *boot_realloc(void *p, size_t size)
{
    next_resolve();
    if (__atomic_load_n(&found, __ATOMIC_ACQUIRE))
        return next.realloc(p, size);
    void *q = arena_alloc(16, size);
    if (p && q)
        memcpy(q, p, size < next_bootstrap_bytes(p) ? size : next_bootstrap_bytes(p));
    return q;
}
static void boot_free(void *p)
{
    next_resolve();
    if (__atomic_load_n(&found, __ATOMIC_ACQUIRE))
        next.free(p);
}
static void *boot_memalign(size_t align, size_t size)
{
    BOOTSTRAP(arena_alloc(align, size), next.memalign(align, size));
}
static void *boot_aligned_alloc(size_t align, size_t size)
{
    BOOTSTRAP(arena_alloc(align, size), next.aligned_alloc(align, size));
}
static int boot_posix_memalign(void **p, size_t align, size_t size)
{
    next_resolve();
    if (__atomic_load_n(&found, __ATOMIC_ACQUIRE))
        return next.posix_memalign(p, align, size);
    *p = arena_alloc(align, size);
    return *p ? 0 : ENOMEM;
}
static void *boot_valloc(size_t size)
{
    BOOTSTRAP(arena_alloc(PAGE_BYTES, size), next.valloc(size));
}
static void *boot_pvalloc(size_t size)
{
    BOOTSTRAP(arena_alloc(PAGE_BYTES, ROUND_UP(size, PAGE_BYTES)), next.pvalloc(size));
}

struct next_table next = {
    boot_malloc,        boot_calloc,         boot_realloc, boot_free,    boot_memalign,
    boot_aligned_alloc, boot_posix_memalign, boot_valloc,  boot_pvalloc,
};

/* --- what a library lacks, made of what it has --------------------------------------------- */

static void *memalign_by_posix(size_t align, size_t size)
{
    void *p = NULL;
    if (align < sizeof(void *))
        align = sizeof(void *);
    int failure = next.posix_memalign(&p, align, size);
    if (failure)
        errno = failure;
    return failure ? NULL : p;
}
static int posix_by_memalign(void **p, size_t align, size_t size)
{
    if (align % sizeof(void *) != 0 || (align & (align - 1)) != 0 || align == 0)
        return EINVAL;
    void *q = next.memalign(align, size);
    if (!q)
        return ENOMEM;
    *p = q;
    return 0;
}
static void *valloc_by_memalign(size_t size)
{
    return next.memalign(PAGE_BYTES, size);
}
static void *pvalloc_by_memalign(size_t size)
{
    return next.memalign(PAGE_BYTES, ROUND_UP(size, PAGE_BYTES));
}

/* --- the search ---------------------------------------------------------------------------- */

static char allocator_file[400];

/* Where the library that holds `f` is mapped. dladdr would say it too, but goes through all of its
 * symbols: a tenth of what a small program needs to start. */
struct extent {
    u64 lo, hi;
    const void *f;
    const char *file;
};

static int is_its_library(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct extent *e = argument;
    u64 lo = UINT64_MAX, hi = 0;
    (void)size;
    for (u32 i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        u64 begin = info->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;
        if (segment->p_type == PT_LOAD) {
            lo = begin < lo ? begin : lo;
            hi = end > hi ? end : hi;
        }
    }
    if ((u64)e->f < lo || (u64)e->f >= hi)
        return 0;
    e->lo = lo;
    e->hi = hi;
    e->file = info->dlpi_name;
    return 1;
}

/* The next definition of `name` after ours, if it lies in that library. */
static void *look_up(const char *name, const struct extent *e)
{
    void *f = dlsym(RTLD_NEXT, name);
    return (u64)f >= e->lo && (u64)f < e->hi ? f : NULL;
}

static bool is_libc(const struct extent *e)
{
    return look_up("gnu_get_libc_version", e) != NULL;
}

#define ADOPT(table, name, otherwise)                                                              \
    do {                                                                                           \
        void *f = look_up(#name, &extent);                                                  \
        if (f)                                                                                     \
            memcpy(&(table).name, &f, sizeof f);                                                   \
        else                                                                                       \
            (table).name = otherwise;                                                              \
    } while (0)

COLD void next_resolve(void)
{
    struct extent extent = {0};
    if (__atomic_load_n(&found, __ATOMIC_ACQUIRE) ||
        __atomic_exchange_n(&searching, true, __ATOMIC_ACQUIRE))
        return;
    extent.f = dlsym(RTLD_NEXT, "malloc");
    struct next_table t = next;
    if (extent.f && dl_iterate_phdr(is_its_library, &extent)) {
        if (!is_libc(&extent))
            text_format(allocator_file, sizeof allocator_file, "%s", extent.file);
        ADOPT(t, malloc, NULL);
        ADOPT(t, calloc, NULL);
        ADOPT(t, realloc, NULL);
        ADOPT(t, free, NULL);
        ADOPT(t, posix_memalign, posix_by_memalign);
        ADOPT(t, memalign, memalign_by_posix);
        ADOPT(t, aligned_alloc, t.memalign);
        ADOPT(t, valloc, valloc_by_memalign);
        ADOPT(t, pvalloc, pvalloc_by_memalign);
    }
    bool whole = t.malloc && t.calloc && t.realloc && t.free && t.malloc != boot_malloc &&
                 !(t.memalign == memalign_by_posix && t.posix_memalign == posix_by_memalign);
    if (whole) {
        next = t;
        __atomic_store_n(&found, true, __ATOMIC_RELEASE);
    } else {
        static const char message[] =
            "moonheap: no allocator with malloc, calloc, realloc, free and an aligned one found "
            "behind the library; the program cannot run with it\n";
        sys_write_all(2, message, sizeof message - 1, 100);
        sys_call(SYS_exit_group, 127, 0, 0);
    }
}

const char *track_allocator(void)
{
    return allocator_file;
}
