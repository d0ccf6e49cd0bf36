/* SPDX-License-Identifier: MIT
 *
 * modules.h - our own map of the files that code was loaded from.
 *
 * Context: hot (cold path of it).
 * Invariant: at any moment at most one module that is not gone covers an address; entries are
 * appended and never move, so an index stays good for the life of the process.
 * Why not dl_iterate_phdr: it takes the loader's lock, and an allocation may come from a thread
 * that holds it or wants it (gperftools issues 1210 and 1583, jemalloc issue 2282). A module is
 * found instead by reading /proc/self/maps, with system calls only, when a stack first meets it.
 */
#ifndef MOONHEAP_TRACK_MODULES_H
#define MOONHEAP_TRACK_MODULES_H

#include "track.h"

struct thread;

/* The module that holds `pc`, looked for in the mappings when it is new; NULL when no file does.
 * A module that was unloaded without our notice is found out here and marked gone. */
const struct track_module *modules_find(struct thread *t, u64 pc);

/* The same among those that are known already, without a look at the mappings. */
const struct track_module *modules_known(u64 pc);

/* A module may just have been unloaded: marks those that are not there any more as gone, and
 * makes the rule cache forget them. */
void modules_check(void);

/* The mapping that holds `address`. */
bool modules_mapping(struct thread *t, u64 address, u64 *lo, u64 *hi);

#endif
