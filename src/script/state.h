/* SPDX-License-Identifier: MIT
 *
 * state.h - what the files of script share: the state, its limits, and how chunks come in.
 *
 * Context: pure.
 * Invariant: Lua code runs only between script_limits_begin and script_limits_end, inside a
 * protected call, on a thread that carries the hook.
 */
#ifndef MOONHEAP_SCRIPT_STATE_H
#define MOONHEAP_SCRIPT_STATE_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script.h"

enum { SCRIPT_MARKS_MAX = 32, SCRIPT_MARK_BYTES = 48, SCRIPT_STAMP_BYTES = 100 };

struct script_mark {
    char name[SCRIPT_MARK_BYTES];
    u64 monotonic_ns;
};

struct script_timer {
    u64 every_ns, due_ns;                    /* heap.every or MOONHEAP_EVERY; monotonic */
    u64 live_bytes, rss_bytes, growth_bytes; /* heap.pressure; 0 = not asked for */
    u64 growth_from;            /* live bytes when growth was last reported or asked for */
    bool live_above, rss_above; /* crossed already, and not fallen below since */
};

struct script {
    struct host host;
    struct script_limits limits;
    lua_State *L; /* the main thread; scripts run in coroutines of it */

    u64 used_bytes;      /* by Lua */
    u64 cap_bytes;       /* of this run */
    u64 allocations;     /* ever */
    u64 refuse_at;       /* torture: the allocation of that number fails; 0 = none does */
    bool memory_refused; /* since the run began */

    u64 deadline_ns;
    bool expired;

    const struct script_run *run; /* NULL between runs */
    lua_State *coroutine;         /* of the run */
    bool waits;                   /* heap.wait was called */
    bool failed;                  /* it ended in an error, which is on its stack */
    u64 wait_ns, pause_ns;
    u64 snapshot_bytes; /* of the snapshots that are open */
    u32 held_count;     /* snapshots whose contents are kept */
    struct script_timer timer;
    struct script_mark marks[SCRIPT_MARKS_MAX]; /* oldest first */
    u32 mark_count;
};

static inline struct script *script_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

/* Names in Lua's registry. */
#define SCRIPT_SLOT_MASTER  "moonheap.master"  /* the globals that each run gets a copy of */
#define SCRIPT_SLOT_STRINGS "moonheap.strings" /* the metatable of strings, as Lua made it */
#define SCRIPT_SLOT_DATA    "moonheap.data"    /* what scripts see as `data` */
#define SCRIPT_SLOT_WAITING "moonheap.waiting" /* path -> {coroutine, environment, stamp} */
#define SCRIPT_SLOT_FIND    "moonheap.find"    /* string.find */
#define SCRIPT_SLOT_FORMAT  "moonheap.format"  /* string.format */
#define SCRIPT_SLOT_TOLD     "moonheap.told"     /* what heap.istype said */
#define SCRIPT_SLOT_SUBTYPES "moonheap.subtypes" /* what heap.subtype said */

/* --- memory.c, limits.c -------------------------------------------------------------------- */

void *script_allocate(void *context, void *p, size_t old_bytes, size_t bytes);
/* Before a run: sets its cap. */
void script_memory_begin(struct script *s);
/* A run's time starts now; `co` and every coroutine made in it stop when it is over. */
void script_limits_begin(struct script *s, lua_State *co);
void script_limits_end(struct script *s, lua_State *co);

/* --- guard.c, source.c, embedded.c --------------------------------------------------------- */

/* Opens a file that only we (and root) can have written: *fd to be closed by the caller, and a
 * stamp that changes with the file. */
bool script_guard_open(const char *path, int *fd, char stamp[SCRIPT_STAMP_BYTES], struct err *e);
/* The stamp alone; "" when there is no such file. */
void script_guard_stamp(const char *path, char stamp[SCRIPT_STAMP_BYTES]);

/* [-0, +1 function] on success; [-0, +0] and *e on failure. Text only. */
bool script_load_file(lua_State *L, const char *path, const char *chunk_name,
                      char stamp[SCRIPT_STAMP_BYTES], struct err *e);
bool script_load_embedded(lua_State *L, const char *name, struct err *e);
bool script_load_text(lua_State *L, const char *text, size_t bytes, const char *chunk_name,
                      struct err *e);
#define SCRIPT_BYTECODE "it is compiled Lua (bytecode); Moonheap runs source text only"

/* Is there a built-in module of that name? a canned script? */
bool script_is_embedded(const char *name);
bool script_is_canned(const char *name);

/* --- sandbox.c, modules.c ------------------------------------------------------------------ */

/* Makes the master globals; once. Throws. */
void script_sandbox_open(lua_State *L);
/* [-0, +1] a fresh environment for a run; it becomes what load, require and strings use. */
void script_sandbox_fresh(lua_State *L);
/* [-0, +0] makes the environment at `index` the current one again. */
void script_sandbox_enter(lua_State *L, int index);
/* [-0, +1] how modules are found: require and package.searchpath. */
void script_modules_open(lua_State *L);
/* The folder of a script: "." for a bare name. */
void script_folder(const char *path, char *out, size_t size);

/* --- timer.c ------------------------------------------------------------------------------- */

void script_timer_every(struct script *s, u64 ns);
bool script_timer_pressure(struct script *s, u64 live_bytes, u64 rss_bytes, u64 growth_bytes,
                           struct err *e);

/* Sends text to the run's output. */
void script_print(struct script *s, const char *text, size_t bytes);

#endif
