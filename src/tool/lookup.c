/* SPDX-License-Identifier: MIT
 *
 * lookup.c - `moonheap lookup`: the helper process that the agent starts for files and lines.
 *
 * Context: tool.
 * Invariant: it is the first to go when memory is short, takes no more than ADDRESS_SPACE, gives
 * way to everybody, and leaves no core: debug information that breaks it harms nobody.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "symbols/symbols.h"
#include "tool.h"

#define ADDRESS_SPACE (4ul << 30) /* files are mapped whole: the largest debug files fit */
enum { CPU_SECONDS = 60, NICE = 5 };

const char tool_lookup_details[] =
    "For Moonheap itself: a process that is asked for files and lines starts this, asks on its\n"
    "standard input and reads the answer from its standard output, in a form of their own. The\n"
    "debug information is read here, so that it cannot harm the process. MOONHEAP_LINES=0 in the\n"
    "process does without.\n";

#if defined __SANITIZE_ADDRESS__
static const bool sanitized = true; /* which sets terabytes of addresses aside */
#elif defined __has_feature
#if __has_feature(address_sanitizer)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif
#else
static const bool sanitized = false;
#endif

static void be_modest(void)
{
    struct rlimit space = {ADDRESS_SPACE, ADDRESS_SPACE}, cpu = {CPU_SECONDS, CPU_SECONDS};
    struct rlimit no_core = {1, 1}; /* 0 is no limit where cores are piped (core(5)) */
    if (!sanitized)
        setrlimit(RLIMIT_AS, &space);
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &no_core);
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE);
    FILE *f = fopen("/proc/self/oom_score_adj", "w");
    if (f) {
        fputs("1000", f);
        fclose(f);
    }
}

int tool_lookup_main(int argc, char **argv)
{
    struct err e = {0};
    (void)argv;
    if (argc > 1)
        return tool_usage("lookup", "it takes no arguments");
    if (isatty(STDIN_FILENO))
        return tool_usage("lookup", "it is for Moonheap itself");
    be_modest();
    return symbols_serve(STDIN_FILENO, STDOUT_FILENO, &e) ? TOOL_OK
                                                          : tool_cannot("lookup", "%s", e.text);
}
