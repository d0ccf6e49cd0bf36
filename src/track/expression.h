/* SPDX-License-Identifier: MIT
 *
 * expression.h - DWARF expressions, as unwind tables use them.
 *
 * Context: hot (cold path of it).
 * Source: DWARF 4, section 2.5.
 */
#ifndef MOONHEAP_TRACK_EXPRESSION_H
#define MOONHEAP_TRACK_EXPRESSION_H

#include "cfi.h"

/* Memory of the program as an expression may read it; false when it is not there. */
struct expression_memory {
    void *context;
    bool (*read)(void *context, u64 address, u64 *value);
};
/* Value of the DWARF expression at an address, its length before it. The machine's stack starts
 * with *initial unless that is NULL. false when it cannot be computed. */
bool expression_evaluate(u64 expression, const u64 registers[CFI_REGISTERS], const u64 *initial,
                         const struct expression_memory *memory, u64 *result);

/* An expression that only reads one word, at register + offset: `register` and `offset` of it. */
bool expression_is_load(u64 expression, u32 *reg, i64 *offset);
/* An expression that is just register + offset. */
bool expression_is_sum(u64 expression, u32 *reg, i64 *offset);

#endif
