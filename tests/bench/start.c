/* SPDX-License-Identifier: MIT
 *
 * start.c - starts a small program again and again, as a shell script or a build does.
 *
 * Context: benchmark. Usage: start COUNT [PROGRAM [ARGUMENT...]], of /bin/true if none is named.
 * What it is hard on: whatever is done before main, since each of the programs pays for it.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "measure.h"

extern char **environ;

int main(int argc, char **argv)
{
    char *const plain[] = {"/bin/true", NULL}, *const *command = argc > 2 ? argv + 2 : plain;
    int count = argc > 1 ? atoi(argv[1]) : 300, failed = 0, status;
    pid_t pid;
    double began = measure_now();
    for (int i = 0; i < count; i++)
        if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) ||
            waitpid(pid, &status, 0) != pid || status)
            failed++;
    measure_report(measure_now() - began, (unsigned long)failed);
    return failed != 0;
}
