/* SPDX-License-Identifier: MIT
 *
 * main.c - the `moonheap` command: finds the subcommand in one table and hands over.
 *
 * Context: tool.
 * Invariant: TOOL_COMMANDS is the only list of subcommands; the usage text, the help and the
 * dispatch are made from it, so none can be forgotten.
 */
#include <stdarg.h>
#include <string.h>

#include "tool.h"

static const struct tool_command commands[] = {
#define X(command, synopsis, summary)                                                              \
    {#command, synopsis, summary, tool_##command##_details, tool_##command##_main},
    TOOL_COMMANDS(X)
#undef X
};

static void complain(const char *command, const char *format, va_list args)
{
    fprintf(stderr, "moonheap%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int tool_cannot(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(command, format, args);
    va_end(args);
    return TOOL_CANNOT;
}

int tool_usage(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(command, format, args);
    va_end(args);
    fprintf(stderr, "Try 'moonheap help%s%s'.\n", command ? " " : "", command ? command : "");
    return TOOL_CANNOT;
}

void tool_warn(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(command, format, args);
    va_end(args);
}

static const struct tool_command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int help_for(const struct tool_command *c)
{
    printf("usage: moonheap %s%s%s\n\n%c%s.\n", c->name, *c->synopsis ? " " : "", c->synopsis,
           c->summary[0] - 'a' + 'A', c->summary + 1);
    if (*c->details)
        printf("\n%s", c->details);
    return TOOL_OK;
}

static int help_all(FILE *out)
{
    fputs("Moonheap asks a running native program what grew in its heap: inject, signal, read.\n\n"
          "usage: moonheap COMMAND ...\n\n",
          out);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-8s %-34s %s\n", commands[i].name, commands[i].synopsis,
                commands[i].summary);
    fputs("  --version, --help\n\n"
          "First session:\n"
          "  moonheap run ./server            start it; the script is ./debug_script.lua\n"
          "  echo 'heap.show_growth()' > debug_script.lua\n"
          "  moonheap poke $(pidof server)    the script's output; edit it, poke again\n\n"
          "moonheap(1) has the rest.\n",
          out);
    return TOOL_OK;
}

const char tool_help_details[] = "";

int tool_help_main(int argc, char **argv)
{
    if (argc > 2)
        return tool_usage("help", "one command at a time, please");
    if (argc < 2)
        return help_all(stdout);
    const struct tool_command *c = find_command(argv[1]);
    return c ? help_for(c) : tool_usage(NULL, "there is no command '%s'", argv[1]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help_all(stderr);
        return TOOL_CANNOT;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("moonheap " MOONHEAP_VERSION);
        return TOOL_OK;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return tool_help_main(1, argv);
    const struct tool_command *c = find_command(argv[1]);
    if (!c)
        return tool_usage(NULL, "there is no command '%s'", argv[1]);
    if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
        return help_for(c);
    int status = c->main(argc - 1, argv + 1);
    if (fflush(stdout) || ferror(stdout))
        return tool_cannot(c->name, "the output could not be written: %m");
    return status;
}
