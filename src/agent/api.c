/* SPDX-License-Identifier: MIT
 *
 * api.c - the functions of include/moonheap.h.
 *
 * Context: agent's door for the program: they run on its threads, in ordinary code.
 * Invariant: a caller of moonheap_run waits as long as the script may take, and gets a verdict in
 * any case: 1 when it could not be run.
 */
#include "agent.h"

EXPORT int moonheap_active(void);
EXPORT int moonheap_run(const char *script);

int moonheap_active(void)
{
    return 1;
}

static void submit(struct agent_checkpoint *c)
{
    c->next = ACQUIRE(&agent.checkpoints);
    while (!__atomic_compare_exchange_n(&agent.checkpoints, &c->next, c, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
    }
    agent_nudge();
}

int moonheap_run(const char *script)
{
    struct agent_checkpoint c = {.script = script, .verdict = 1};
    if (!script || !agent_ensure())
        return c.verdict;
    submit(&c);
    while (!ACQUIRE(&c.done))
        sys_futex_wait(&c.done, 0, 0);
    return c.verdict;
}
