/* SPDX-License-Identifier: MIT
 *
 * text.h - formatting without stdio: bounded, allocation-free, usable in a signal handler.
 *
 * Context: hot and any other.
 * Invariant: output is always NUL-terminated when size > 0, and never longer than size - 1 bytes.
 */
#ifndef MOONHEAP_BASE_TEXT_H
#define MOONHEAP_BASE_TEXT_H

#include <stdarg.h>

#include "attr.h"

/* A subset of snprintf: %% %c %s %.*s %d %i %u %x %p with h, l, ll, z, j modifiers, a width, '-'
 * and '0' flags. No floating point. Returns the bytes written, without the NUL. */
size_t text_format(char *out, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
size_t text_format_va(char *out, size_t size, const char *format, va_list args);

/* "18099" -> "18 099": digits in groups of three. Returns the bytes written. */
size_t text_count(char *out, size_t size, u64 n);

/* A byte count for people, three significant digits: "512 B", "2.2 MiB", "44.7 GiB". */
size_t text_bytes(char *out, size_t size, u64 bytes);

/* Reads a byte count: digits with an optional K, M, G (powers of 1024), "iB" or "B" after it.
 * The whole text must be used. */
bool text_parse_bytes(const char *text, u64 *bytes);

/* Reads an unsigned number, decimal or 0x; the whole text must be used. */
bool text_parse_u64(const char *text, u64 *n);

/* Reads a span of time in seconds: "30", "1.5", "250ms", "30s", "10m", "2h". Gives nanoseconds. */
bool text_parse_span(const char *text, u64 *ns);

/* Reads leading hexadecimal digits and moves *at past them. */
u64 text_hex(const char **at);

#endif
