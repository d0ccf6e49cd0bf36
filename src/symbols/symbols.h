/* SPDX-License-Identifier: MIT
 *
 * symbols.h - the door of symbols: where in the source code an address is, by the debug information
 * of its file.
 *
 * Context: tool: it maps files, allocates, and trusts libdw with what may be a hostile file. It
 * never runs in the program's process.
 * Invariant: an answer comes only from a file whose build-id is the one that was asked for (when
 * one was); nothing is kept between two calls.
 */
#ifndef MOONHEAP_SYMBOLS_SYMBOLS_H
#define MOONHEAP_SYMBOLS_SYMBOLS_H

#include "base/base.h"

/* An address in a file, in the instruction that is meant: for a return address one less. */
struct symbols_question {
    const char *path;
    const u8 *build_id;
    u32 build_id_bytes; /* 0: any file at that path will do */
    u64 address;        /* a virtual address of the file */
};

struct symbols_line {
    const char *function; /* demangled, without parameters; "" when unknown */
    const char *file;     /* path as the compiler has it; "" when unknown */
    u32 line;             /* from 1; 0 when unknown */
};

/* What is found of question number `question`: 1 to LOOKUP_DEPTH_MAX lines, innermost inlined
 * function first. The texts are gone after the call. */
typedef void symbols_found(void *context, u32 question, const struct symbols_line *lines,
                           u32 depth);

/* Where files are looked for besides their path. */
struct symbols_where {
    const char *debug_path; /* folders of debug files as gdb and elfutils take them
                             * ("+:.debug:/usr/lib/debug"); NULL: the usual ones */
    const char *spare; /* file that may be the one that was asked for, by its build-id, when the
                        * one at its path is another by now; NULL: none */
};

/* Looks all of them up and calls found() for those of which anything is known, in no order, each
 * once. `where` may be NULL. Each file is opened once and closed again. When memory is out, fewer
 * are found. */
void symbols_lookup(const struct symbols_question *questions, u32 count,
                    const struct symbols_where *where, symbols_found *found, void *context);

/* Reads one struct lookup_question (base/lookup.h) from `in`, answers on `out`. */
bool symbols_serve(int in, int out, struct err *e);

/* --- type catalogues --------------------------------------------------------------------------- */

struct symbols_catalog_limits {
    u64 time_ns, memory_bytes; /* address space of the process that reads */
    void (*progress)(void *context, u32 per_mille); /* may be NULL */
    void *context;
};

struct symbols_catalog {
    void *bytes; /* a whole catalogue, see catalog/catalog.h */
    u64 size;
    u64 debug_bytes; /* of the debug information that it was made from, as it lies in the file */
    u64 peak_bytes;  /* memory of the process that read it */
    double seconds;
};

/* Reads the debug information of an ELF file, in a process of its own. The bytes are the caller's:
 * symbols_catalog_free. Fails, with *e saying why: no such file, no debug information (NOT_FOUND),
 * damaged, limits reached. */
bool symbols_catalog_make(struct symbols_catalog *out, const char *path,
                          const struct symbols_catalog_limits *limits, struct err *e);
void symbols_catalog_free(struct symbols_catalog *c);

#endif
