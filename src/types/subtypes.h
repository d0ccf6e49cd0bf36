/* SPDX-License-Identifier: MIT
 *
 * subtypes.h - objects of one C type told apart by what a field points to.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_TYPES_SUBTYPES_H
#define MOONHEAP_TYPES_SUBTYPES_H

#include "fields.h"

/* Reads a rule's field of every block whose shape is the rule's type, or begins with it, and calls
 * found(block, name) for those with a name: "PyObject<dict>". `shapes_of` is by block id, 0 for
 * blocks without; names live in the shapes' memory, equal ones are the same pointer. */
void subtypes_find(struct shapes *x, const struct types_ask *ask, const struct types_sub *rule,
                   const u32 *shape_of, void (*found)(void *context, u32 block, const char *name),
                   void *context);

#endif
