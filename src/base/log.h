/* SPDX-License-Identifier: MIT
 *
 * log.h - a small ring of notes that hot code leaves and the agent prints.
 *
 * Context: hot. Lock-free; the newest notes win, none is ever waited for.
 */
#ifndef MOONHEAP_BASE_LOG_H
#define MOONHEAP_BASE_LOG_H

#include "attr.h"

/* Leaves a note (cut at 160 bytes). */
void log_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* Takes the oldest note not yet taken; false when there is none. One taker at a time. */
bool log_take(char *out, size_t size);

#endif
