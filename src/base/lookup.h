/* SPDX-License-Identifier: MIT
 *
 * lookup.h - what the agent asks its helper process, and what that answers: where in the source
 * code addresses are.
 *
 * Context: agent and tool.
 * Invariant: both run on one machine and come from one build, so records go as they lie in memory;
 * but neither trusts the other's counts: debug information is parsed on one side, and the program's
 * life is on the other.
 *
 *   agent   struct lookup_question, its addresses, its modules, its strings; then no more
 *   helper  struct lookup_line with its two texts, any number of times: those of one address one
 *           behind the other, the innermost inlined function first; addresses in any order;
 *           then one with address LOOKUP_END
 */
#ifndef MOONHEAP_BASE_LOOKUP_H
#define MOONHEAP_BASE_LOOKUP_H

#include "attr.h"

#define LOOKUP_VERSION 1u
#define LOOKUP_LINE    0x4d4f4f4eu
#define LOOKUP_END     UINT32_MAX

enum {
    LOOKUP_TEXT_MAX = 4095, /* bytes of a function or a file; longer ones are cut */
    LOOKUP_DEPTH_MAX = 64,  /* lines of an address */
};

struct lookup_question {
    u32 version; /* LOOKUP_VERSION */
    u32 modules, addresses, string_bytes;
};

struct lookup_module {
    u32 path;           /* offset in the strings, which are NUL-terminated */
    u32 build_id_bytes; /* 0: unknown */
    u8 build_id[32];
};

struct lookup_address {
    u64 address; /* a virtual address of the file, in the instruction that is meant */
    u32 module;  /* from 0 */
    u32 reserved;
};

struct lookup_line {
    u32 mark;                       /* LOOKUP_LINE: what says anything else is no helper */
    u32 address;                    /* which of the question, from 0; or LOOKUP_END */
    u32 line;                       /* 0: unknown */
    u32 function_bytes, file_bytes; /* of the texts that follow, without NUL; 0: unknown */
};

#endif
