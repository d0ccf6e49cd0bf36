/* SPDX-License-Identifier: MIT
 *
 * sign.h - what a process that has Moonheap inside lets others see: its signal and its settings.
 *
 * Context: hot (its cold path); the tool reads.
 * Invariant: the sign is the name of a mapping without access and without memory, seen in
 * /proc/PID/maps; it costs nothing, no descriptor stays, and forked children inherit it.
 * Why not the environment: redis, nginx and many servers write their title over it. Why not our
 * variables: Yama lets no sibling read another process's memory, while maps may be read.
 */
#ifndef MOONHEAP_BASE_SIGN_H
#define MOONHEAP_BASE_SIGN_H

#include "options.h"

struct sign {
    int signal;
    struct option_track track; /* as the program was started */
    u64 script_timeout_ns;
    char script[192]; /* cut when longer */
};

/* Puts the sign up; `script` is the path as it was meant when the program began. Without it (the
 * kernel may refuse) others take the defaults. */
void sign_post(const struct options *o, const char *script);

/* Finds the sign in the text of /proc/PID/maps; false when there is none. */
bool sign_read(const char *maps, struct sign *sign);

#endif
