/* SPDX-License-Identifier: MIT
 *
 * places.h - the places of frames, for those in the room who make them.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_TYPES_PLACES_H
#define MOONHEAP_TYPES_PLACES_H

#include "types.h"

/* Fills t->functions, places, place_row and place_count. O(places). */
void types_places_build(struct types *t, const struct types_memory *m);

#endif
