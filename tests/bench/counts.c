/* SPDX-License-Identifier: MIT
 *
 * counts.c - linked over walk_capture (ld's --wrap): counts the distinct stacks that blocks were
 * given, and says at the end of the process what they take:
 *     distinct=N bytes=B
 *
 * Context: hot, but for a benchmark.
 * Why not of heap.stats(): a stack of which only longer ones are recorded is in the trie too, and
 * a recorded one may have no block any more.
 */
#include "base/base.h"

#include "track/frames.h"
#include "track/trie.h"
#include "track/walk.h"

u32 __real_walk_capture(struct thread *t, const struct walk_origin *origin);
u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin);

static u64 met[(TRIE_NUMBER_MAX + 1ul) / 64], distinct;

u32 __wrap_walk_capture(struct thread *t, const struct walk_origin *origin)
{
    u32 node = __real_walk_capture(t, origin);
    u64 bit = 1ul << node % 64;
    if (node && !(__atomic_fetch_or(&met[node / 64], bit, __ATOMIC_RELAXED) & bit))
        __atomic_fetch_add(&distinct, 1, __ATOMIC_RELAXED);
    return node;
}

__attribute__((destructor)) static void report(void)
{
    char line[200];
    sys_write_all(2, line,
                  text_format(line, sizeof line, "distinct=%lu\nbytes=%lu\n", distinct,
                              trie_own_bytes() + frames_own_bytes()),
                  1000);
}
