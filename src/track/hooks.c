/* SPDX-License-Identifier: MIT
 *
 * hooks.c - the interposed functions: they say who called, ask the allocator underneath, and tell
 * the recorder. No logic lives here.
 *
 * Context: hot.
 * Invariant: a block is erased before it is given back and recorded after it was handed out;
 * between the two another thread may own its address (heaptrack and memray record a realloc after
 * the fact, and mistake such a block).
 * Each function is two. The one that programs call does without a frame of its own; it jumps on to
 * the allocator where nothing is recorded, else to the one that records. A jump leaves the return
 * address into the program where it was, so either of them finds the caller (WALK_ORIGIN).
 * C++'s operators are here too: jemalloc, tcmalloc and mimalloc bring their own, which would reach
 * their allocator without passing malloc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enter.h"
#include "modules.h"
#include "next.h"

static ALWAYS_INLINE bool is_agent(void)
{
    return UNLIKELY(thread_self->mode == THREAD_AGENT);
}

/* --- giving back --------------------------------------------------------------------------- */

/* Blocks that never came from the allocator underneath; true when `p` was one, and is dealt with.
 */
static NOINLINE bool free_own(void *p)
{
    if (next_is_bootstrap(p))
        return true;
    struct heap *h = thread_private_heap(p);
    if (h)
        heap_free(h, p);
    return h != NULL;
}

static void forget_unentered(void *p)
{
    struct index_record r;
    struct thread *t = thread_self;
    if (record_state >= RECORD_ON && t->mode != THREAD_UNBORN)
        record_special_death(t, p, &r);
}

static void count_untracked(struct thread *t)
{
    POKE(&t->untracked_frees, t->untracked_frees + (record_sample_bytes == 0));
}

/* Where something is out of the ordinary: a thread that is inside or ours, a first call, a block of
 * ours, or maybe one of the sample. */
static NOINLINE void free_otherwise(void *p)
{
    struct index_record r;
    struct thread *t = enter_otherwise_to_free(p);
    if (!t) {
        if (free_own(p))
            return;
        forget_unentered(p);
        next.free(p);
        return;
    }
    if (record_special_death(t, p, &r)) {
        next.free(p);
    } else if (!free_own(p)) {
        count_untracked(t);
        next.free(p);
    }
    thread_leave(t);
}

static NOINLINE void free_recorded(void *p, struct thread *t)
{
    struct index_record r;
    thread_enter(t);
    if (LIKELY(record_death(t, p, &r))) {
        next.free(p);
    } else if (!free_own(p)) {
        count_untracked(t);
        next.free(p);
    }
    thread_leave(t);
}

EXPORT void free(void *p)
{
    u8 alone = PEEK(&next_alone);
    if (alone == NEXT_ALONE) {
        next.free(p);
        return;
    }
    if (alone > NEXT_ALONE && LIKELY(next_has(p))) {
        next.free(p);
        return;
    }
    struct thread *t = thread_self;
    if (!p)
        return;
    if (LIKELY(enter_at_once(t)))
        free_recorded(p, t);
    else if (LIKELY(enter_never_to_free(t, p)))
        next.free(p);
    else
        free_otherwise(p);
}

EXPORT void free_sized(void *p, size_t size)
{
    (void)size;
    free(p);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
    (void)align;
    (void)size;
    free(p);
}

/* --- handing out --------------------------------------------------------------------------- */

static void *zero(void *p, size_t bytes)
{
    return p ? memset(p, 0, bytes) : NULL;
}

#define OURS(align, bytes) heap_alloc_aligned(thread_serving_heap(), align, bytes)
#define LIST(...)          __VA_ARGS__

/* make_NAME(parameters), which hands out `size` bytes: by `ours` on the agent's thread, else by
 * `theirs`. `arguments` are the parameters' names, `size` among them. */
#define MAKER(name, parameters, arguments, ours, theirs)                                           \
    static NOINLINE void *name##_recorded(LIST parameters, struct thread *t)                       \
    {                                                                                              \
        thread_enter(t);                                                                           \
        void *p = (theirs);                                                                        \
        record_birth(t, p, size, WALK_ORIGIN());                                                   \
        thread_leave(t);                                                                           \
        return p;                                                                                  \
    }                                                                                              \
    static NOINLINE void *name##_otherwise parameters                                              \
    {                                                                                              \
        struct thread *t = enter_otherwise_to_make(size);                                          \
        if (!t)                                                                                    \
            return is_agent() ? (ours) : (theirs);                                                 \
        return name##_recorded(LIST arguments, t);                                                 \
    }                                                                                              \
    static ALWAYS_INLINE void *make_##name parameters                                              \
    {                                                                                              \
        u8 alone = PEEK(&next_alone);                                                              \
        if (alone == NEXT_ALONE)                                                                   \
            return theirs;                                                                         \
        if (alone > NEXT_ALONE && !is_agent())                                                     \
            return theirs;                                                                         \
        struct thread *t = thread_self;                                                            \
        if (LIKELY(enter_at_once(t)))                                                              \
            return name##_recorded(LIST arguments, t);                                             \
        if (LIKELY(enter_never_to_make(t, size)))                                                  \
            return theirs;                                                                         \
        return name##_otherwise arguments;                                                         \
    }

MAKER(plain, (size_t size), (size), OURS(16, size), next.malloc(size))
MAKER(zeroed, (size_t size), (size), zero(OURS(16, size), size), next.calloc(1, size))
MAKER(memaligned, (size_t align, size_t size), (align, size), OURS(align, size),
      next.memalign(align, size))
MAKER(aligned, (size_t align, size_t size), (align, size), OURS(align, size),
      next.aligned_alloc(align, size))
MAKER(paged, (size_t size), (size), OURS(PAGE_BYTES, size), next.valloc(size))
MAKER(pages, (size_t size), (size), OURS(PAGE_BYTES, ROUND_UP(size, PAGE_BYTES)),
      next.pvalloc(size))

EXPORT void *malloc(size_t size)
{
    return make_plain(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return make_zeroed(bytes);
}

EXPORT void *memalign(size_t align, size_t size)
{
    return make_memaligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return make_aligned(align, size);
}

EXPORT void *valloc(size_t size)
{
    return make_paged(size);
}

EXPORT void *pvalloc(size_t size)
{
    return make_pages(size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
    struct thread *t = enter_to_make(size);
    if (UNLIKELY(!t)) {
        if (!is_agent())
            return next.posix_memalign(out, align, size);
        void *p = OURS(align, size);
        if (p)
            *out = p;
        return p ? 0 : ENOMEM;
    }
    int failure = next.posix_memalign(out, align, size);
    if (!failure)
        record_birth(t, *out, size, WALK_ORIGIN());
    thread_leave(t);
    return failure;
}

/* --- realloc ------------------------------------------------------------------------------- */

/* A block that is not the allocator's moves to one that is (or back, for the agent). */
static COLD void *move_own(void *old, size_t old_bytes, size_t size)
{
    void *p = is_agent() ? OURS(16, size) : next.malloc(size);
    if (p)
        memcpy(p, old, old_bytes < size ? old_bytes : size);
    if (p)
        free_own(old);
    return p;
}

static COLD void *realloc_unentered(void *old, size_t size)
{
    struct heap *h = old ? thread_private_heap(old) : NULL;
    if (is_agent() && (!old || h == thread_serving_heap()))
        return heap_realloc(thread_serving_heap(), old, size);
    if (old && next_is_bootstrap(old))
        return move_own(old, next_bootstrap_bytes(old), size);
    if (h)
        return move_own(old, heap_block_bytes(h, old), size);
    if (old)
        forget_unentered(old);
    return next.realloc(old, size);
}

static ALWAYS_INLINE void *reallocate(struct thread *t, void *old, size_t size,
                                      const struct walk_origin *origin)
{
    struct index_record r;
    POKE(&t->moving_bytes, 0);
    POKE(&t->moving, (u64)old);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    bool had = old && (LIKELY(!record_special) ? record_death(t, old, &r)
                                               : record_special_death(t, old, &r));
    POKE(&t->moving_bytes, had ? r.size : 0);
    void *p;
    if (old && UNLIKELY(!had)) {
        if (next_is_bootstrap(old) || thread_private_heap(old)) {
            p = realloc_unentered(old, size);
        } else {
            count_untracked(t);
            p = next.realloc(old, size);
        }
    } else {
        p = next.realloc(old, size);
        if (UNLIKELY(!p && had && size != 0)) {
            record_undo_death(t, old, r);
            POKE(&t->moving, 0);
            return NULL;
        }
    }
    if (LIKELY(!record_special) || !p || !record_sample_bytes || sample_takes(t, size))
        record_birth(t, p, size, origin);
    else
        POKE(&t->allocations, t->allocations + 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    POKE(&t->moving, 0);
    return p;
}

static NOINLINE void *realloc_recorded(void *old, size_t size, struct thread *t)
{
    thread_enter(t);
    void *p = reallocate(t, old, size, WALK_ORIGIN());
    thread_leave(t);
    return p;
}

static NOINLINE void *realloc_otherwise(void *old, size_t size)
{
    struct thread *t = enter();
    return t ? realloc_recorded(old, size, t) : realloc_unentered(old, size);
}

static ALWAYS_INLINE void *remake(void *old, size_t size)
{
    u8 alone = PEEK(&next_alone);
    if (alone == NEXT_ALONE)
        return next.realloc(old, size);
    if (alone > NEXT_ALONE && next_has(old) && !is_agent())
        return next.realloc(old, size);
    struct thread *t = thread_self;
    if (LIKELY(enter_at_once(t)))
        return realloc_recorded(old, size, t);
    if (LIKELY(enter_never_to_move(t, old, size)))
        return next.realloc(old, size);
    return realloc_otherwise(old, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return remake(old, size);
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return remake(old, bytes);
}

/* --- C++ ----------------------------------------------------------------------------------- */

typedef void *new_operator(size_t size, size_t second, size_t third);

/* What new does when memory is out (call the handler, try again, throw) is the C++ library's
 * business: its own operator is called, and comes back to malloc. */
static COLD new_operator *cxx_operator(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    new_operator *operator;
    if (!f) {
        static const char message[] = "moonheap: operator new: out of memory, and no C++ library "
                                      "to throw std::bad_alloc\n";
        sys_write_all(2, message, sizeof message - 1, 100);
        abort();
    }
    memcpy(&operator, & f, sizeof f);
    return operator;
}

/* operator new as `symbol`: 0 bytes are a block of their own, too. `second` and `third` are its
 * arguments behind the size, or 0. */
#define NEW(symbol, parameters, arguments, align, theirs, second, third)                           \
    static NOINLINE void *symbol##_recorded(LIST parameters, struct thread *t)                     \
    {                                                                                              \
        thread_enter(t);                                                                           \
        void *p = (theirs);                                                                        \
        record_birth(t, p, size, WALK_ORIGIN());                                                   \
        thread_leave(t);                                                                           \
        return LIKELY(p) ? p : cxx_operator(#symbol)(size, second, third);                         \
    }                                                                                              \
    static NOINLINE void *symbol##_otherwise parameters                                            \
    {                                                                                              \
        struct thread *t = enter_otherwise_to_make(size);                                          \
        if (t)                                                                                     \
            return symbol##_recorded(LIST arguments, t);                                           \
        void *p = is_agent() ? OURS(align, size) : (theirs);                                       \
        return LIKELY(p) ? p : cxx_operator(#symbol)(size, second, third);                         \
    }                                                                                              \
    EXPORT void *symbol parameters;                                                                \
    void *symbol parameters                                                                        \
    {                                                                                              \
        struct thread *t = thread_self;                                                            \
        if (LIKELY(enter_at_once(t)))                                                              \
            return symbol##_recorded(LIST arguments, t);                                           \
        if (LIKELY(enter_never_to_make(t, size))) {                                                \
            void *p = (theirs);                                                                    \
            return LIKELY(p) ? p : cxx_operator(#symbol)(size, second, third);                     \
        }                                                                                          \
        return symbol##_otherwise arguments;                                                       \
    }

NEW(_Znwm, (size_t size), (size), 16, next.malloc(size + !size), 0, 0)
NEW(_ZnwmRKSt9nothrow_t, (size_t size, size_t tag), (size, tag), 16, next.malloc(size + !size),
    tag, 0)
NEW(_ZnwmSt11align_val_t, (size_t size, size_t align), (size, align), align,
    next.memalign(align, size + !size), align, 0)
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, size_t tag),
    (size, align, tag), align, next.memalign(align, size + !size), align, tag)

/* The array forms do the same, and every delete is free: sizes and alignments are hints. */
#define ALIAS_TABLE(X)                                                                             \
    X(_Znam, _Znwm)                                                                                \
    X(_ZnamRKSt9nothrow_t, _ZnwmRKSt9nothrow_t)                                                    \
    X(_ZnamSt11align_val_t, _ZnwmSt11align_val_t)                                                  \
    X(_ZnamSt11align_val_tRKSt9nothrow_t, _ZnwmSt11align_val_tRKSt9nothrow_t)                      \
    X(_ZdlPv, free)                                                                                \
    X(_ZdaPv, free)                                                                                \
    X(_ZdlPvm, free)                                                                               \
    X(_ZdaPvm, free)                                                                               \
    X(_ZdlPvRKSt9nothrow_t, free)                                                                  \
    X(_ZdaPvRKSt9nothrow_t, free)                                                                  \
    X(_ZdlPvSt11align_val_t, free)                                                                 \
    X(_ZdaPvSt11align_val_t, free)                                                                 \
    X(_ZdlPvmSt11align_val_t, free)                                                                \
    X(_ZdaPvmSt11align_val_t, free)                                                                \
    X(_ZdlPvSt11align_val_tRKSt9nothrow_t, free)                                                   \
    X(_ZdaPvSt11align_val_tRKSt9nothrow_t, free)

#define X(name, target)                                                                            \
    __asm__(".globl " #name "\n.type " #name ", @function\n.set " #name ", " #target);
ALIAS_TABLE(X)
#undef X

/* --- unloading ----------------------------------------------------------------------------- */

/* dlclose may be interposed, unlike dlopen, where the loader looks at who calls. */
EXPORT int dlclose(void *handle)
{
    static int (*next_dlclose)(void *);
    int (*f)(void *) = ACQUIRE(&next_dlclose);
    if (!f) {
        void *found = dlsym(RTLD_NEXT, "dlclose");
        memcpy(&f, &found, sizeof f);
        RELEASE(&next_dlclose, f);
    }
    int result = f(handle);
    modules_check();
    return result;
}
