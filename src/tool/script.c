/* SPDX-License-Identifier: MIT
 *
 * script.c - `moonheap script`: the second wiring of the pipeline, a saved snapshot in place of the
 * live process.
 *
 * Context: tool.
 * Invariant: what the script prints is all that goes to stdout, so that it can be compared byte by
 * byte with what the same script printed in the process; remarks go to stderr.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "query/query.h"
#include "script/script.h"
#include "snapshot/snapshot.h"
#include "tool.h"

const char tool_script_details[] =
    "The script is the one that would run in the process. heap.snapshot() gives the saved snapshot,\n"
    "however often it is called, and heap.stats() its figures; what needs the live process (reading\n"
    "memory, starting and stopping) answers 'not available offline'. The limits on scripts and their\n"
    "variables are the same (MOONHEAP_SCRIPT_TIMEOUT, MOONHEAP_LUA_MEMORY). A snapshot without files\n"
    "and lines gets those that debug information on this machine has (MOONHEAP_LINES=0: does not).\n"
    "Exit status: 0, 1 when the script failed, 2 when the snapshot cannot be read.\n";

/* Closing a view must leave the file open for the next one. */
static void keep(struct snapshot *s)
{
    (void)s;
}

/* What the script runs on. */
struct saved {
    struct snapshot file;
    struct catalog_shelf *catalogs;
};

static const struct snapshot *file_of(const void *context)
{
    return &((const struct saved *)context)->file;
}

static bool give_view(void *context, bool graph, struct snapshot *s, struct host_held **held,
                      struct err *e)
{
    const struct snapshot *file = file_of(context);
    if (graph && !(file->meta->flags & SNAPSHOT_FLAG_GRAPH))
        return err_set(e, STATUS_UNSUPPORTED,
                       "this snapshot was saved without references; say heap.snapshot{graph=false}");
    if (held)
        *held = NULL;
    *s = *file;
    s->release = keep;
    return true;
}

static bool give_stats(void *context, struct host_stats *stats, struct err *e)
{
    (void)e;
    const struct snapshot_meta *meta = file_of(context)->meta;
    const struct snapshot_custom *custom = file_of(context)->custom;
    *stats = (struct host_stats){
#define X(name) .name = meta->name,
        HOST_STATS(X)
#undef X
#define X(name, in_file) .name = custom ? custom->in_file : 0,
        HOST_CUSTOM_STATS(X)
#undef X
    };
    stats->sample_bytes = meta->flags & SNAPSHOT_FLAG_SAMPLED ? meta->sample_bytes : 0;
    if (stats->sample_bytes) {
        struct query_sum sum = query_blocks_sum(file_of(context));
        stats->live_blocks_error = sum.count_error;
        stats->live_bytes_error = sum.bytes_error;
    }
    return true;
}

static bool give_threads(void *context, struct snapshot *s, struct err *e)
{
    return give_view(context, false, s, NULL, e);
}

static struct option_track give_recording(void *context)
{
    const struct snapshot_meta *meta = file_of(context)->meta;
    bool sampled = meta->flags & SNAPSHOT_FLAG_SAMPLED;
    return (struct option_track){sampled ? TRACK_SAMPLE : TRACK_FULL, meta->sample_bytes};
}

/* There is no timer offline; a script that asks for one runs once all the same. */
static void ignore_timer(void *context, u64 ns)
{
    (void)context;
    (void)ns;
}

static void print_out(void *context, const char *text, size_t bytes)
{
    (void)context;
    fwrite(text, 1, bytes, stdout);
}

static const struct catalog *give_catalog(void *context, const u8 *build_id, u32 build_id_bytes)
{
    struct saved *saved = context;
    return saved->catalogs ? catalog_shelf_find(saved->catalogs, build_id, build_id_bytes) : NULL;
}

static bool render(void *context, const char *dot, const char *picture, const char *format,
                   struct err *e)
{
    (void)context;
    return tool_render(dot, picture, format, e);
}

static char *join(char **words, int count)
{
    size_t bytes = 1;
    for (int i = 0; i < count; i++)
        bytes += strlen(words[i]) + 1;
    char *line = calloc(1, bytes);
    for (int i = 0; line && i < count; i++) {
        strcat(line, i ? " " : "");
        strcat(line, words[i]);
    }
    return line;
}

static void complain(const char *text)
{
    tool_warn("script", "%s", text);
}

int tool_script_main(int argc, char **argv)
{
    if (argc < 3)
        return tool_usage("script", "which snapshot, and which script?");
    struct err e = {0};
    struct saved saved = {0};
    if (!snapshot_open_file(&saved.file, argv[1], &e))
        return tool_cannot("script", "%s", e.text);
    saved.catalogs = catalog_shelf_create(environ);

    struct options options;
    options_read(&options, environ, complain);
    struct tool_lines lines = {0};
    if (options.lines)
        tool_lines_add(&lines, &saved.file);
    struct script_limits limits = {
        .timeout_ns = options.script_timeout_ns,
        .memory_bytes = options.lua_memory,
    };
    struct host host = {
        .context = &saved,
        .snapshot = give_view,
        .stats = give_stats,
        .stand = give_threads,
        .recording = give_recording,
        .every = ignore_timer,
        .print = print_out,
        .catalog = give_catalog,
        .render = render,
    };
    int status = TOOL_CANNOT;
    char *args = join(argv + 3, argc - 3);
    struct script *script = args ? script_create(&host, &limits, &e) : NULL;
    if (script) {
        struct script_run run = {
            .path = argv[2],
            .cause = "request",
            .args = args,
            .pid = (int)saved.file.meta->pid,
            .n = 1,
        };
        struct script_outcome outcome = script_run(script, &run);
        status = outcome.ok ? TOOL_OK : TOOL_FAILED;
        if (outcome.ok && outcome.waiting)
            tool_warn("script", "the script waits for another trigger, and offline there is none");
        script_destroy(script);
    } else {
        tool_cannot("script", "%s", args ? e.text : "out of memory");
    }
    free(args);
    catalog_shelf_destroy(saved.catalogs);
    snapshot_close(&saved.file);
    tool_lines_free(&lines);
    return status;
}
