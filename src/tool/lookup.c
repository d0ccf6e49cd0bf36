/* SPDX-License-Identifier: MIT
 *
 * lookup.c - `moonheap lookup`: the helper process that the agent starts for files and lines.
 *
 * Context: tool.
 * Invariant: it is modest (modest.c): debug information that breaks it harms nobody.
 */
#include <unistd.h>

#include "symbols/symbols.h"
#include "tool.h"

const char tool_lookup_details[] =
    "For Moonheap itself: a process that is asked for files and lines starts this, asks on its\n"
    "standard input and reads the answer from its standard output, in a form of their own. The\n"
    "debug information is read here, so that it cannot harm the process. MOONHEAP_LINES=0 in the\n"
    "process does without.\n";

int tool_lookup_main(int argc, char **argv)
{
    struct err e = {0};
    (void)argv;
    if (argc > 1)
        return tool_usage("lookup", "it takes no arguments");
    if (isatty(STDIN_FILENO))
        return tool_usage("lookup", "it is for Moonheap itself");
    tool_be_modest();
    return symbols_serve(STDIN_FILENO, STDOUT_FILENO, &e) ? TOOL_OK
                                                          : tool_cannot("lookup", "%s", e.text);
}
