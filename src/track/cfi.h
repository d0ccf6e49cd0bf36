/* SPDX-License-Identifier: MIT
 *
 * cfi.h - call frame information: how to get from a code address to its caller's frame.
 *
 * Context: hot (cold path of it). Reads the unwind tables of a mapped module in place.
 * Invariant: nothing outside the module's span is read, whatever the tables say.
 * Source: DWARF 4, section 6.4; Linux Standard Base Core, "Exception Frames" (.eh_frame and
 * .eh_frame_hdr); System V ABI for AMD64, figure 3.36 (register numbers).
 */
#ifndef MOONHEAP_TRACK_CFI_H
#define MOONHEAP_TRACK_CFI_H

#include "track.h"

enum { CFI_RBX = 3, CFI_RBP = 6, CFI_RSP = 7, CFI_RA = 16, CFI_REGISTERS = 17 };

enum cfi_how {
    CFI_SAME = 0,   /* the caller's value is in the register still */
    CFI_UNDEFINED,  /* there is none; for the return address: this is the outermost frame */
    CFI_OFFSET,     /* saved at CFA + value */
    CFI_VAL_OFFSET, /* is CFA + value */
    CFI_EXPRESSION, /* saved where the expression at address `value` says */
    CFI_VAL_EXPRESSION,
    CFI_REGISTER, /* in register number `value` */
};

struct cfi_rule {
    u8 how;
    i64 value;
};

/* How to leave one frame. The CFA (canonical frame address) is the caller's stack pointer. */
struct cfi_row {
    bool cfa_is_expression;
    u8 cfa_register;
    bool signal_frame; /* `pc` is the interrupted instruction, not a return address */
    i64 cfa_offset;
    u64 cfa_expression;
    struct cfi_rule rules[CFI_REGISTERS];
    u64 function_start, function_end;
};

/* The row for the instruction at `pc` of module `m`. When `pc` is a return address, give pc - 1:
 * a call may be the last instruction of its function. false when the tables say nothing. */
bool cfi_find(const struct track_module *m, u64 pc, struct cfi_row *row);

/* Is `pc` the first instruction of a function? As a return address, with no function before it, it
 * was put on a new stack by hand (makecontext does): nobody called from there. */
bool cfi_is_entry(const struct track_module *m, u64 pc);

#endif
