/* SPDX-License-Identifier: MIT
 *
 * options.h - every MOONHEAP_* variable, in one table.
 *
 * Context: hot. Parsing allocates nothing; the result points into the environment's strings.
 * Invariant: a field holds its default until a well-formed value replaces it; a bad value or an
 * unknown name leaves a complaint and changes nothing.
 */
#ifndef MOONHEAP_BASE_OPTIONS_H
#define MOONHEAP_BASE_OPTIONS_H

#include "attr.h"

/* X(VARIABLE, field, reader, default as text, what it means and takes) */
#define OPTIONS_TABLE(X)                                                                           \
    X(SCRIPT, script, text, "./debug_script.lua", "script that a signal runs")                     \
    X(SIGNAL, signal, signal, "USR1", "signal that runs it: a name (USR1, RTMIN+3) or a number")   \
    X(OUT, out, text, "stderr", "where output goes: stderr, or a path where %p is the pid")        \
    X(TRACK, track, track, "full", "what is recorded: full, off or sample:BYTES")                  \
    X(PEAK, peak, flag, "0", "1 keeps what the heap was made of at its peak, for heap.peak()")     \
    X(STACK, stack, stack, "64", "frames of a call stack that are kept, 1 to 256")                 \
    X(EVERY, every_ns, span, "0", "also run the script by timer, in seconds; 0 for never")         \
    X(SCRIPT_TIMEOUT, script_timeout_ns, span, "30", "most seconds that a run may take")           \
    X(LUA_MEMORY, lua_memory, bytes, "256M", "most memory that scripts may hold, in bytes")        \
    X(CONTENTS_TIME, contents_ns, span, "600",                                                     \
      "seconds after its last use that contents=true keeps memory; 0 for no limit")                \
    X(CONTENTS_MEMORY, contents_bytes, bytes, "0",                                                 \
      "most bytes that keeping it may cost; 0 for half of what is free")                           \
    X(LINES, lines, flag, "1", "files, lines and types read from debug information; 0 for none")        \
    X(ARGS, args, text, "", "arguments of the script, separated by spaces")                        \
    X(CATALOG, catalog, text, "", "folder of type catalogues, else below XDG_CACHE_HOME or HOME")  \
    X(QUIET, quiet, flag, "0", "1 silences warnings about settings at the start")

enum track_mode { TRACK_FULL, TRACK_OFF, TRACK_SAMPLE };

struct option_track {
    enum track_mode mode;
    u64 sample_bytes; /* with TRACK_SAMPLE */
};

typedef const char *option_text;
typedef int option_signal;
typedef struct option_track option_track;
typedef u32 option_stack;
typedef u64 option_span;
typedef u64 option_bytes;
typedef bool option_flag;

struct options {
#define X(variable, field, reader, fallback, help) option_##reader field;
    OPTIONS_TABLE(X)
#undef X
};

/* Sets every default, then reads `environment` (NULL-terminated "NAME=value" strings). Calls
 * complain(text) once for each bad value and unknown MOONHEAP_ name; complain may be NULL. */
void options_read(struct options *o, char *const *environment, void (*complain)(const char *text));

/* Signal number of "USR1", "SIGUSR1", "10", "RTMIN+1"; 0 when there is none of that name. */
int options_signal_number(const char *text);
/* "USR1"; or the number as text in `buffer`. */
const char *options_signal_name(int number, char *buffer, size_t size);

#endif
