/* SPDX-License-Identifier: MIT
 *
 * standing.h - the sections STANDING and CALLS: where each stopped thread stands.
 *
 * Context: frozen, in the clone; inside the room only.
 */
#ifndef MOONHEAP_FREEZE_STANDING_H
#define MOONHEAP_FREEZE_STANDING_H

#include "regions.h"
#include "stop.h"

/* Walks the stacks of all threads that stand, and writes both sections but for the frames of
 * CALLS, which freeze_stacks fills in. false when there is no memory. */
bool standing_walk(struct freeze_job *j, struct regions *regions, const struct stop *stop);

#endif
