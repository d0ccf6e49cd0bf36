/* SPDX-License-Identifier: MIT
 *
 * modest.c - how the helper processes that an agent starts behave beside the program.
 *
 * Context: tool.
 * Invariant: such a process is the first to go when memory is short, takes no more than
 * ADDRESS_SPACE, gives way to everybody, and leaves no core.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "tool.h"

#define ADDRESS_SPACE (4ul << 30) /* files are mapped whole: the largest debug files fit */
enum { CPU_SECONDS = 60, NICE = 5 };

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

void tool_be_modest(void)
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
