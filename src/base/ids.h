/* SPDX-License-Identifier: MIT
 *
 * ids.h - indices are the currency: what one room hands to another is a number, never a pointer.
 *
 * Context: any.
 * Invariant: 0 means none. Ids count from 1 and are dense within one snapshot. The one-field
 * structs keep a stack from being passed where a block is meant; they cost nothing. An address in
 * the observed program is a plain u64, never a C pointer, since it may not be ours to follow.
 */
#ifndef MOONHEAP_BASE_IDS_H
#define MOONHEAP_BASE_IDS_H

#include "attr.h"

typedef struct block_id {
    u32 v;
} block_id;
typedef struct stack_id {
    u32 v;
} stack_id;
typedef struct frame_id {
    u32 v;
} frame_id;
typedef struct module_id {
    u32 v;
} module_id;
typedef struct type_id {
    u32 v;
} type_id;
typedef struct site_id {
    u32 v;
} site_id;

#endif
