/* SPDX-License-Identifier: MIT
 *
 * held.c - the memory of moments that scripts keep (contents=true): how many there are, what they
 * cost, and that those which ended by themselves are collected.
 *
 * Context: agent.
 * Invariant: what is listed is a process of this process; a forked child has none.
 */
#include "agent.h"

enum { HELD_MAX = 8 };

static struct freeze_held *held[HELD_MAX];

static struct freeze_held **find(const struct freeze_held *h)
{
    for (u32 i = 0; i < HELD_MAX; i++)
        if (held[i] == h)
            return &held[i];
    return NULL;
}

bool agent_held_room(struct err *e)
{
    return find(NULL) || err_set(e, STATUS_LIMIT, "there are %d of them already", (int)HELD_MAX);
}

void agent_held_keep(struct freeze_held *h)
{
    *find(NULL) = h;
}

void agent_held_drop(struct freeze_held *h)
{
    *find(h) = NULL;
    freeze_held_end(h);
}

bool agent_held_look(u64 *cost_bytes)
{
    bool any = false;
    *cost_bytes = 0;
    for (u32 i = 0; i < HELD_MAX; i++) {
        u64 cost = 0;
        any |= held[i] && freeze_held_alive(held[i], &cost);
        *cost_bytes += cost;
    }
    return any;
}

void agent_held_forget(void)
{
    for (u32 i = 0; i < HELD_MAX; i++)
        held[i] = NULL;
}
