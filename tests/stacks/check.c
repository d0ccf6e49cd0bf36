/* SPDX-License-Identifier: MIT
 *
 * check.c - linked over walk_capture (ld's --wrap): after each capture asks libunwind for the same
 * stack, and compares frame by frame. At the end of the process it writes one line to stderr:
 *     stacks N differences M
 * with the first few differences before it.
 *
 * Context: hot, but for a test: it is slow, and libunwind takes the loader's lock.
 */
#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <string.h>

#include "track/trie.h"
#include "track/walk.h"

enum { DEEP = 2048, SHOWN = 3 };

u32 __real_walk_capture(struct thread *t, const struct walk_origin *origin);
u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin);

static u64 stacks, differences;
static int (*reference)(void **, int);
static __thread bool inside;

static COLD void load(void)
{
    void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    void *f = library ? dlsym(library, "unw_backtrace") : NULL;
    memcpy(&reference, &f, sizeof f);
}

static void say(const char *text, size_t bytes)
{
    sys_write_all(2, text, bytes, 1000);
}

static void show(const u64 *ours, u32 n, void **theirs, u32 m)
{
    char line[400];
    for (u32 i = 0; i < n || i < m; i++) {
        Dl_info a = {0}, b = {0};
        if (i < n)
            dladdr((void *)ours[i], &a);
        if (i < m)
            dladdr(theirs[i], &b);
        say(line, text_format(line, sizeof line, "  %lx %s | %lx %s\n", i < n ? ours[i] : 0,
                              a.dli_sname ? a.dli_sname : "", i < m ? (u64)theirs[i] : 0,
                              b.dli_sname ? b.dli_sname : ""));
    }
}

u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin)
{
    u32 node = __real_walk_capture(t, origin);
    if (inside)
        return node;
    inside = true;
    if (!reference)
        load();
    void *theirs[DEEP];
    u64 ours[STACK_LIMIT_MAX];
    u32 all = reference ? (u32)reference(theirs, DEEP) : 0, first = 0, n = 0;
    while (first < all && (u64)theirs[first] != origin->pc)
        first++;
    u32 m = all - first < walk_limit ? all - first : walk_limit;
    for (u32 at = node; at; at = track_node(at).parent)
        ours[n++] = track_node(at).pc;
    bool same = n == m;
    for (u32 i = 0; same && i < n; i++)
        same = ours[i] == ((u64)theirs[first + i] & 0xffffffffffff);
    __atomic_fetch_add(&stacks, 1, __ATOMIC_RELAXED);
    if (!same && __atomic_fetch_add(&differences, 1, __ATOMIC_RELAXED) < SHOWN)
        show(ours, n, theirs + first, m);
    inside = false;
    return node;
}

__attribute__((destructor)) static void report(void)
{
    char line[100];
    say(line, text_format(line, sizeof line, "stacks %lu differences %lu\n", stacks, differences));
}
