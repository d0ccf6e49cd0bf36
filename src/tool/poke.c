/* SPDX-License-Identifier: MIT
 *
 * poke.c - `moonheap poke`: written once the request protocol is there.
 *
 * Context: tool.
 */
#include "tool.h"

const char tool_poke_details[] = "";

int tool_poke_main(int argc, char **argv)
{
    (void)argc;
    return tool_cannot(argv[0], "not there yet");
}
