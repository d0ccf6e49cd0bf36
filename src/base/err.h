/* SPDX-License-Identifier: MIT
 *
 * err.h - how agent, pure and tool code reports failure: a caller-owned struct with a status and
 * one sentence that says what went wrong and what to do.
 *
 * Context: any but hot (hot code counts and returns 0).
 */
#ifndef MOONHEAP_BASE_ERR_H
#define MOONHEAP_BASE_ERR_H

#include "attr.h"

/* The closed set of what can go wrong, with the word that stands for it in messages. */
#define STATUS_TABLE(X)                                                                            \
    X(OK, "ok")                                                                                    \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(NOT_FOUND, "not found")                                                                      \
    X(DENIED, "not permitted")                                                                     \
    X(UNSAFE, "unsafe file")                                                                       \
    X(MALFORMED, "malformed")                                                                      \
    X(UNSUPPORTED, "not supported")                                                                \
    X(LIMIT, "limit reached")                                                                      \
    X(CLOSED, "closed")                                                                            \
    X(SCRIPT, "script error")                                                                      \
    X(TIMEOUT, "timed out")                                                                        \
    X(IO, "input/output")                                                                          \
    X(USAGE, "usage")

enum status {
#define X(name, word) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};

struct err {
    enum status status;
    char text[500]; /* one sentence, no newline at its end; a traceback may add lines */
};

/* Fills *e (may be NULL) and returns false, so that a function can `return err_set(...)`. */
bool err_set(struct err *e, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same for what was tried with a file and failed with errno: "cannot open /x: No such file". */
bool err_set_errno(struct err *e, const char *what, const char *path);

/* The word for a status, e.g. "not permitted". Static storage. */
const char *err_word(enum status status);

#endif
