/* SPDX-License-Identifier: MIT
 *
 * names.h - what the agent knows of code addresses, and how it asks for what it does not know.
 *
 * Context: agent; inside the room only.
 * Invariant: what is known of an address does not change as long as the process lives: two
 * snapshots that are compared call the same place the same.
 */
#ifndef MOONHEAP_AGENT_NAMES_H
#define MOONHEAP_AGENT_NAMES_H

#include "agent.h"

#include <uthash.h>

/* A string, there once. */
struct agent_text {
    UT_hash_handle hh;
    u64 stamp;  /* snapshot that it was last written to */
    u32 offset; /* in NAMES there */
    u32 bytes;  /* without NUL */
    char text[];
};

struct agent_line {
    struct agent_text *function, *file; /* NULL: unknown */
    u32 line;
};

/* One address of one module. */
struct agent_place {
    UT_hash_handle hh;
    struct {
        const struct agent_text *module; /* path, NUL, build-id */
        u64 address;
    } key;
    struct agent_text *function; /* that the machine code is of; NULL: unknown */
    struct agent_line *lines;    /* innermost first */
    u32 depth;                   /* 0: no lines known */
    bool settled;
};

struct agent_names {
    struct agent_text *texts;
    struct agent_place *places;
    struct elf_names *elf;
    u64 stamp;
    u32 failures; /* of the helper, one after another */
};

/* NULL when memory is out. */
struct agent_text *agent_names_text(struct agent_names *n, const char *text, size_t bytes);

/* Asks the helper about places that are not settled, and settles those that it knows. What went
 * wrong, if anything, is written to `note` ("" otherwise). */
void agent_lookup(struct agent_names *n, struct agent_place *const *places, u32 count,
                  char note[AGENT_NOTE_BYTES]);

#endif
