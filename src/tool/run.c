/* SPDX-License-Identifier: MIT
 *
 * run.c - `moonheap run`: sets LD_PRELOAD and the settings, then becomes the command.
 *
 * Context: tool.
 * Invariant: the pid, the parent, the descriptors and the arguments of the command are those it
 * would have had without us; nothing of this process stays.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

const char tool_run_details[] =
    "  --script F   the script that the signal runs (./debug_script.lua)\n"
    "  --signal S   the signal that runs it (USR1)\n"
    "  --out F      where its output goes: stderr, or a file; %p is the pid (stderr)\n"
    "  --idle       record nothing until a script calls heap.start()\n"
    "  --sample N   record one block per N bytes on average, e.g. 512K\n"
    "\n"
    "The command keeps this process's pid. Relative paths are those of the directory in which\n"
    "'moonheap run' was started, also when the program changes its own. What is not given here is\n"
    "taken from the environment (MOONHEAP_SCRIPT and so on, see moonheap(1)).\n";

/* The agent opens paths after the program may have changed its directory. */
static bool make_absolute(const char *path, char *out, size_t size, struct err *e)
{
    char here[PATH_MAX];
    int length;
    if (path[0] == '/')
        length = snprintf(out, size, "%s", path);
    else if (!getcwd(here, sizeof here))
        return err_set(e, STATUS_IO, "the current directory is not known (%s); give '%s' as an "
                                     "absolute path", strerror(errno), path);
    else
        length = snprintf(out, size, "%s/%s", here, path + (strncmp(path, "./", 2) ? 0 : 2));
    return (length >= 0 && (size_t)length < size) ||
           err_set(e, STATUS_LIMIT, "the path '%s' is too long", path);
}

/* A canned script goes by its bare name, which must stay bare. */
static bool is_bare_name(const char *script)
{
    return !strchr(script, '/') && !strchr(script, '.') && access(script, F_OK);
}

static bool set_path(const char *variable, const char *value, struct err *e)
{
    char absolute[PATH_MAX];
    if (!make_absolute(value, absolute, sizeof absolute, e))
        return false;
    setenv(variable, absolute, 1);
    return true;
}

static bool set_preload(struct err *e)
{
    char library[PATH_MAX];
    if (!tool_library_find(library, sizeof library, e))
        return false;
    const char *before = getenv("LD_PRELOAD");
    char *both = NULL;
    if (asprintf(&both, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0)
        return err_set(e, STATUS_NO_MEMORY, "out of memory");
    setenv("LD_PRELOAD", both, 1);
    free(both);
    unsetenv("MOONHEAP_LIBRARY"); /* ours to read; the library would call it unknown */
    return true;
}

static bool set_option(int option, const char *value, struct err *e)
{
    u64 bytes;
    char track[64];
    switch (option) {
    case 'i':
        setenv("MOONHEAP_TRACK", "off", 1);
        return true;
    case 'n':
        if (!text_parse_bytes(value, &bytes) || !bytes)
            return err_set(e, STATUS_USAGE, "--sample takes a number of bytes, e.g. 512K; not '%s'",
                           value);
        text_format(track, sizeof track, "sample:%llu", (unsigned long long)bytes);
        setenv("MOONHEAP_TRACK", track, 1);
        return true;
    case 's':
        if (!options_signal_number(value))
            return err_set(e, STATUS_USAGE,
                           "there is no signal '%s'; say USR1, USR2, RTMIN+3 or a number", value);
        setenv("MOONHEAP_SIGNAL", value, 1);
        return true;
    case 'f':
        setenv("MOONHEAP_SCRIPT", value, 1);
        return true;
    default:
        if (!strcmp(value, "stderr")) {
            setenv("MOONHEAP_OUT", value, 1);
            return true;
        }
        return set_path("MOONHEAP_OUT", value, e);
    }
}

int tool_run_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"idle", no_argument, NULL, 'i'},         {"sample", required_argument, NULL, 'n'},
        {"signal", required_argument, NULL, 's'}, {"script", required_argument, NULL, 'f'},
        {"out", required_argument, NULL, 'o'},    {NULL, 0, NULL, 0},
    };
    struct err e = {0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+:", options, NULL)) >= 0;) {
        if (option == ':')
            return tool_usage("run", "%s needs a value", argv[optind - 1]);
        if (option == '?')
            return tool_usage("run", "there is no option '%s'", argv[optind - 1]);
        if (!set_option(option, optarg, &e))
            return tool_usage("run", "%s", e.text);
    }
    if (optind == argc)
        return tool_usage("run", "which program? e.g. moonheap run ./server");

    const char *script = getenv("MOONHEAP_SCRIPT");
    if (!script || !*script)
        script = "debug_script.lua";
    if (!is_bare_name(script) && !set_path("MOONHEAP_SCRIPT", script, &e))
        return tool_cannot("run", "%s", e.text);
    if (!tool_target_check(argv[optind], &e) || !set_preload(&e))
        return tool_cannot("run", "%s", e.text);

    execvp(argv[optind], &argv[optind]);
    return tool_cannot("run", "cannot run '%s': %s", argv[optind], strerror(errno));
}
