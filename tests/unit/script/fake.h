/* SPDX-License-Identifier: MIT
 *
 * fake.h - a host without a program behind it: a made-up world, a folder for scripts, an output
 * that is kept.
 */
#ifndef TESTS_UNIT_SCRIPT_FAKE_H
#define TESTS_UNIT_SCRIPT_FAKE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../types/world.h"
#include "query/query.h"
#include "script/script.h"
#include "script/state.h"

struct fake {
    struct world world;
    struct host host;
    struct host_stats stats;
    struct script_limits limits;
    struct script *script;
    struct script_outcome outcome;
    char folder[64], path[128];
    const char *cause, *args;
    char *output;
    size_t used, room;
    u64 n;
    u64 every_ns; /* as the script set it */
    struct option_track recording;
    u32 stack_limit, snapshots, peaks_reset;
    bool peak_kept;
    bool refuse;      /* snapshots fail */
    bool refuse_held; /* contents are not kept */
    bool held_ended;  /* those that were kept are gone */
    u32 held;         /* contents that are kept now */
};

static inline bool fake_snapshot(void *context, bool graph, struct snapshot *s,
                                 struct host_held **held, struct err *e)
{
    struct fake *f = context;
    if (f->refuse)
        return err_set(e, STATUS_NO_MEMORY, "no address space");
    if (graph && !(f->world.flags & SNAPSHOT_FLAG_GRAPH))
        return err_set(e, STATUS_UNSUPPORTED, "no references here");
    f->snapshots++;
    world_open(&f->world, s);
    if (held) {
        f->held += !f->refuse_held;
        *held = f->refuse_held ? NULL : (struct host_held *)f;
    }
    return true;
}

static inline bool fake_stats(void *context, struct host_stats *stats, struct err *e)
{
    (void)e;
    *stats = ((struct fake *)context)->stats;
    return true;
}

static inline bool fake_stand(void *context, struct snapshot *s, struct err *e)
{
    struct fake *f = context;
    if (f->refuse)
        return err_set(e, STATUS_NO_MEMORY, "no address space");
    world_open(&f->world, s);
    return true;
}

static inline bool fake_peak(void *context, struct snapshot *s, struct err *e)
{
    struct fake *f = context;
    if (!f->peak_kept)
        return err_set(e, STATUS_UNSUPPORTED, "the peak is not kept");
    u64 flags = f->world.flags;
    f->world.flags |= SNAPSHOT_FLAG_PEAK;
    world_open(&f->world, s);
    f->world.flags = flags;
    return true;
}

static inline bool fake_reset_peak(void *context, struct err *e)
{
    (void)e;
    ((struct fake *)context)->peaks_reset++;
    return true;
}

static inline bool fake_record(void *context, const struct option_track *how, u32 stack_limit,
                               bool keep_peak, struct err *e)
{
    struct fake *f = context;
    (void)e;
    f->peak_kept = keep_peak;
    f->recording = *how;
    f->stack_limit = stack_limit;
    return true;
}

static inline struct option_track fake_recording(void *context)
{
    return ((struct fake *)context)->recording;
}

/* Memory holds its own addresses' low bytes; above 0x100000 there is none. */
static inline size_t fake_read(void *context, u64 address, void *out, size_t bytes)
{
    (void)context;
    size_t n = 0;
    for (; n < bytes && address + n < 0x100000; n++)
        ((u8 *)out)[n] = (u8)(address + n);
    return n;
}

/* Then, it held the complements. */
static inline bool fake_read_held(void *context, struct host_held *held, u64 address, void *out,
                                  size_t bytes, struct err *e)
{
    struct fake *f = context;
    assert_ptr_equal(held, f);
    assert_true(f->held > 0);
    if (f->held_ended)
        return err_set(e, STATUS_IO, "it was killed");
    for (size_t n = 0; n < bytes; n++)
        ((u8 *)out)[n] = (u8)~(address + n);
    return true;
}

static inline void fake_drop_held(void *context, struct host_held *held)
{
    struct fake *f = context;
    assert_ptr_equal(held, f);
    assert_true(f->held > 0);
    f->held--;
}

static inline void fake_every(void *context, u64 ns)
{
    ((struct fake *)context)->every_ns = ns;
}

static inline void fake_print(void *context, const char *text, size_t bytes)
{
    struct fake *f = context;
    if (f->used + bytes + 1 > f->room) {
        f->room = 2 * (f->used + bytes + 1);
        f->output = realloc(f->output, f->room);
        assert_non_null(f->output);
    }
    memcpy(f->output + f->used, text, bytes);
    f->used += bytes;
    f->output[f->used] = 0;
}

static inline bool fake_alive(void *context, u64 address, u32 birth)
{
    struct fake *f = context;
    for (u32 i = 0; i < f->world.block_count; i++)
        if (f->world.blocks[i].addr == address && f->world.blocks[i].birth == birth)
            return true;
    return false;
}

/* A host of a live process; `fake_offline` makes it one of a file. */
static inline void fake_begin(struct fake *f)
{
    memset(f, 0, sizeof *f);
    world_begin(&f->world);
    f->host = (struct host){f,
                            true,
                            fake_snapshot,
                            fake_stats,
                            fake_stand,
                            fake_peak,
                            fake_reset_peak,
                            fake_record,
                            fake_recording,
                            fake_read,
                            fake_read_held,
                            fake_drop_held,
                            fake_every,
                            fake_print,
                            fake_alive,
                            NULL,
                            NULL};
    f->limits = (struct script_limits){.timeout_ns = 20000000000, .memory_bytes = 64 << 20};
    f->cause = "signal";
    f->args = "";
    strcpy(f->folder, "/tmp/moonheap-script.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/debug_script.lua", f->folder);
    fake_print(f, "", 0);
}

static inline void fake_offline(struct fake *f)
{
    f->host = (struct host){
        .context = f, .snapshot = fake_snapshot, .stats = fake_stats, .print = fake_print};
}

static inline void fake_remove_folder(const char *folder)
{
    char path[400];
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        text_format(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        if (unlink(path) != 0)
            fake_remove_folder(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

static inline void fake_end(struct fake *f)
{
    script_destroy(f->script);
    world_end(&f->world);
    free(f->output);
    fake_remove_folder(f->folder);
}

static inline void fake_create(struct fake *f)
{
    struct err e = {0};
    f->script = script_create(&f->host, &f->limits, &e);
    if (!f->script)
        fail_msg("%s", e.text);
}

/* Writes a file into the folder; each time it is another file to `stat`. */
static inline void fake_write(struct fake *f, const char *name, const char *text)
{
    char path[200], fresh[220];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(rename(fresh, path), 0);
}

/* Runs a path and returns what it printed. */
static inline const char *fake_run_path(struct fake *f, const char *path)
{
    if (!f->script)
        fake_create(f);
    struct script_run run = {.path = path,
                             .cause = f->cause,
                             .args = f->args,
                             .pid = WORLD_PID,
                             .n = ++f->n,
                             .elapsed_ns = 1500000000};
    f->used = 0;
    f->output[0] = 0;
    f->outcome = script_run(f->script, &run);
    assert_int_equal(lua_gettop(f->script->L), 0);
    return f->output;
}

/* The script as it is, once more. */
static inline const char *fake_again(struct fake *f)
{
    return fake_run_path(f, f->path);
}

static inline const char *fake_run(struct fake *f, const char *text)
{
    fake_write(f, "debug_script.lua", text);
    return fake_again(f);
}

/* The script succeeds and prints exactly that. */
static inline void fake_prints(struct fake *f, const char *text, const char *output)
{
    assert_string_equal(fake_run(f, text), output);
    if (!f->outcome.ok)
        fail_msg("failed: %s", text);
}

/* The script fails and its message has that in it. */
static inline void fake_fails(struct fake *f, const char *text, const char *message)
{
    const char *output = fake_run(f, text);
    if (!strstr(output, message) || f->outcome.ok)
        fail_msg("'%s' is not in '%s', printed by: %s", message, output, text);
}

/* The host of a test file, new for each test. */
static struct fake f;

static inline int fake_setup(void **state)
{
    (void)state;
    fake_begin(&f);
    return 0;
}

static inline int fake_teardown(void **state)
{
    (void)state;
    fake_end(&f);
    return 0;
}

#define fake_test(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)

#endif
