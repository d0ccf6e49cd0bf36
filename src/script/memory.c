/* SPDX-License-Identifier: MIT
 *
 * memory.c - Lua's allocator: a count and a cap.
 *
 * Context: pure. Inside the program, malloc on the agent's thread is the private heap.
 * Invariant: used_bytes is what Lua holds; it never exceeds cap_bytes; shrinking never fails, as the
 * manual (lua_Alloc) demands. The cap is MOONHEAP_LUA_MEMORY, and a little more for a run that
 * begins with `data` at it: a short script must still be able to let go of what fills it.
 */
#include <stdlib.h>

#include "state.h"

static bool refuses(struct script *s, u64 more_bytes)
{
    s->allocations++;
    if (s->refuse_at && s->allocations >= s->refuse_at && s->allocations < s->refuse_at + 2)
        return true; /* Lua tries again after a full collection: refuse that too */
    return s->used_bytes + more_bytes > s->cap_bytes;
}

void script_memory_begin(struct script *s)
{
    enum { RUN_ROOM_BYTES = 256 << 10, EXCESS_BYTES = 1 << 20 };
    u64 limit = s->limits.memory_bytes;
    s->cap_bytes = limit;
    if (s->used_bytes + RUN_ROOM_BYTES <= limit)
        return;
    lua_gc(s->L, LUA_GCCOLLECT);
    u64 wanted = s->used_bytes + RUN_ROOM_BYTES;
    if (wanted > limit)
        s->cap_bytes = wanted < limit + EXCESS_BYTES ? wanted : limit + EXCESS_BYTES;
}

void *script_allocate(void *context, void *p, size_t old_bytes, size_t bytes)
{
    struct script *s = context;
    if (!p)
        old_bytes = 0; /* it said what kind of object comes */
    if (!bytes) {
        free(p);
        s->used_bytes -= old_bytes;
        return NULL;
    }
    if (bytes > old_bytes && refuses(s, bytes - old_bytes)) {
        s->memory_refused = true;
        return NULL;
    }
    void *q = realloc(p, bytes);
    if (!q) {
        s->memory_refused = true;
        return bytes <= old_bytes ? p : NULL;
    }
    s->used_bytes = s->used_bytes - old_bytes + bytes;
    return q;
}
