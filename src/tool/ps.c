/* SPDX-License-Identifier: MIT
 *
 * ps.c - `moonheap ps`: the processes that have Moonheap inside, and how each is set up.
 *
 * Context: tool.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

const char tool_ps_details[] =
    "One line a process: its pid, what is recorded (full, off or sample:BYTES, as it was started),\n"
    "the signal, the script, the command. Processes of other users are seen by root only.\n";

static void print_row(const struct tool_process *p)
{
    char signal[16], track[40] = "full";
    const struct option_track *how = &p->sign.track;
    if (how->mode == TRACK_OFF)
        text_format(track, sizeof track, "off");
    else if (how->mode == TRACK_SAMPLE)
        text_format(track, sizeof track, "sample:%llu", (unsigned long long)how->sample_bytes);
    printf("%7d %-13s %-8s %-32s %s\n", p->pid, track,
           options_signal_name(p->sign.signal, signal, sizeof signal), p->sign.script, p->command);
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    long left = atol((*a)->d_name), right = atol((*b)->d_name);
    return (left > right) - (left < right);
}

static int is_number(const struct dirent *entry)
{
    return isdigit((unsigned char)entry->d_name[0]);
}

int tool_ps_main(int argc, char **argv)
{
    if (argc > 1)
        return tool_usage("ps", "'%s' is not understood; ps takes no arguments", argv[1]);
    struct dirent **found;
    int count = scandir("/proc", &found, is_number, by_number);
    if (count < 0)
        return tool_cannot("ps", "cannot list /proc: %m");
    u32 denied = 0, shown = 0;
    for (int i = 0; i < count; i++) {
        struct tool_process p;
        struct err e = {0};
        int pid = atoi(found[i]->d_name);
        if (pid != getpid() && tool_process_read(&p, pid, &e)) {
            if (p.has_library && !shown++)
                printf("%7s %-13s %-8s %-32s %s\n", "PID", "TRACK", "SIGNAL", "SCRIPT", "COMMAND");
            if (p.has_library)
                print_row(&p);
            tool_process_free(&p);
        } else if (e.status == STATUS_DENIED) {
            denied++;
        }
        free(found[i]);
    }
    free(found);
    if (!shown)
        tool_warn("ps", "no process has Moonheap inside%s; 'moonheap run COMMAND' starts one",
                  denied ? " among those that may be looked at" : "");
    return TOOL_OK;
}
