/* SPDX-License-Identifier: MIT
 *
 * helper.h - asks a process of the `moonheap` command for what must not be read in the program's:
 * debug information.
 *
 * Context: agent; inside the room only.
 * Invariant: the program gets no descriptor, no SIGCHLD and no child that its wait() would find,
 * and when agent_helper_ask has returned there is neither process nor descriptor left.
 */
#ifndef MOONHEAP_AGENT_HELPER_H
#define MOONHEAP_AGENT_HELPER_H

#include "base/base.h"

enum agent_helper_end {
    HELPER_DONE,   /* it has ended by itself; whether it has answered, the answer tells */
    HELPER_ABSENT, /* there is no such command beside the library */
    HELPER_FAILED, /* no process could be made */
    HELPER_LATE,   /* it took too long and was ended */
};

/* Starts the command, gives it the question and collects what it writes: at most `room` bytes,
 * *answer_bytes of them, which may be some even when it failed. `arguments` begin with its name; the
 * program's environment is not meant for it, and may hold what would load libraries into it, so
 * `environment` is all that it gets. Both end with NULL and last as long as the process. Returns
 * within `patience_ns` and a second. */
enum agent_helper_end agent_helper_ask(char *const *arguments, char *const *environment,
                                       const void *question, size_t question_bytes, void *answer,
                                       size_t room, size_t *answer_bytes, u64 patience_ns);

#endif
