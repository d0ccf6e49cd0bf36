/* SPDX-License-Identifier: MIT
 *
 * tool.h - what the subcommands of `moonheap` share: their table's row, how they fail, and what
 * /proc tells about another process.
 *
 * Context: tool.
 * Invariant: exit codes are 0 done, 1 the script failed or its answer did not come, 2 could not be
 * done at all (wrong usage included). Results go to stdout, everything else to stderr, and an error
 * says what to do.
 */
#ifndef MOONHEAP_TOOL_TOOL_H
#define MOONHEAP_TOOL_TOOL_H

#include <stdio.h>

#include "base/base.h"
#include "snapshot/snapshot.h"
#include "symbols/symbols.h"

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_CANNOT = 2 };

/* Every subcommand. X(name, what follows it on the command line, what it does in one line) */
#define TOOL_COMMANDS(X)                                                                           \
    X(run, "[options] [--] COMMAND [ARG...]", "start a program with Moonheap inside it")           \
    X(poke, "[options] PID...", "run the script in a process and show its output here")            \
    X(ps, "", "list the processes that have Moonheap inside")                                      \
    X(script, "SNAPSHOT SCRIPT [ARG...]", "run a script on a saved snapshot")                      \
    X(lookup, "", "answer a process that asks for files and lines")                                \
    X(catalog, "[options] FILE|PID...", "read the types of programs from their debug information")  \
    X(help, "[COMMAND]", "explain a command")

struct tool_command {
    const char *name, *synopsis, *summary;
    const char *details; /* shown by `moonheap help NAME`; whole lines */
    int (*main)(int argc, char **argv); /* argv[0] is the subcommand's name */
};
#define X(command, synopsis, summary)                                                              \
    int tool_##command##_main(int argc, char **argv);                                              \
    extern const char tool_##command##_details[];
TOOL_COMMANDS(X)
#undef X

/* Prints "moonheap COMMAND: ..." on stderr and returns TOOL_CANNOT. */
int tool_cannot(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same with "moonheap help COMMAND" recommended. */
int tool_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
void tool_warn(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* --- where the library is (library.c) ------------------------------------------------------ */

/* Finds libmoonheap.so: MOONHEAP_LIBRARY, else beside this command. */
bool tool_library_find(char *out, size_t size, struct err *e);

/* --- files and lines of a saved snapshot (lines.c) ----------------------------------------- */

struct tool_lines {
    char *names;
    u32 *frame_names, *frame_lines;
    struct snapshot_line *lines;
    u32 line_count;
};

/* Adds to the view what debug information on this machine says of files with the same build-id, when
 * the snapshot has no lines by itself. The view may be used until tool_lines_free. */
void tool_lines_add(struct tool_lines *l, struct snapshot *s);
void tool_lines_free(struct tool_lines *l);

/* --- what a program file is (target.c) ------------------------------------------------------ */

/* Can the loader put a library into what `command` names (looked up in PATH)? When not, *e says
 * why. A command that cannot be found is an error too. */
bool tool_target_check(const char *command, struct err *e);

/* --- another process (process.c) ----------------------------------------------------------- */

struct tool_process {
    int pid, inner_pid;    /* as we, and as it itself numbers it (pid namespaces) */
    bool stopped;          /* by a signal or a debugger */
    bool has_library;      /* libmoonheap.so is mapped */
    u64 caught, blocked;   /* signals with a handler; blocked in the main thread. Bit n-1: signal n */
    int agent_tid;         /* Moonheap's own thread; 0 = none yet */
    struct sign sign;      /* its settings */
    char *command;         /* command line, arguments separated by spaces */
};

/* Fills *p; tool_process_free gives it back. NOT_FOUND: there is no such process; DENIED: it
 * belongs to someone else. */
bool tool_process_read(struct tool_process *p, int pid, struct err *e);
void tool_process_free(struct tool_process *p);
/* Reads a whole file that need not tell its size; NUL-terminated, *bytes without the NUL (may be
 * NULL). The caller frees it. NULL with errno set on failure. */
char *tool_read_file(const char *path, size_t *bytes);

/* --- pictures (render.c) ------------------------------------------------------------------- */

/* Makes a picture of a DOT file with Graphviz's `dot`, when it is there. */
bool tool_render(const char *dot, const char *picture, const char *format, struct err *e);

/* This process is a helper that an agent has started: it takes little and gives way (modest.c). */
void tool_be_modest(void);

/* --- type catalogues (catalogs.c) ------------------------------------------------------------ */

struct tool_catalogs {
    char *const *environment; /* says where catalogues are kept */
    u64 time_ns;              /* that a file may take */
    u64 deadline_ns;          /* when no further file is begun; 0 = none */
    bool again;               /* make those that are there, or that failed, too */
    bool own_environment;     /* for processes too; else the process's own says where */
    /* Called for each that is made; of those that fail made is NULL, and the text says why. NULL:
     * silence. */
    void (*said)(const char *file, const struct symbols_catalog *made, const char *text);
    u32 made, failed;
    const char *file; /* inside: what progress is shown of */
    u64 began_ns;
    bool progress_shown;
};

/* Makes the catalogue of a file, with progress on a terminal; symbols_catalog_free gives it back. */
bool tool_catalogs_make(struct tool_catalogs *t, const char *file, struct symbols_catalog *out,
                        struct err *e);
/* Where the catalogue of a build-id is kept. */
bool tool_catalogs_place(const struct tool_catalogs *t, const char *file, const u8 *build_id,
                         u32 build_id_bytes, char *out, size_t size, struct err *e);
/* Makes those of all files that a process has code of and that have debug information, where the
 * process looks for them. Fails only when the process cannot be looked at. */
bool tool_catalogs_process(struct tool_catalogs *t, int pid, struct err *e);

#endif
