/* SPDX-License-Identifier: MIT
 *
 * catalogs.c - the type catalogues of the modules of this process.
 *
 * Context: agent; agent_catalogs_prepare in the constructor.
 * Invariant: where catalogues are is what the environment said when the program began: programs
 * write over their environment (setproctitle), or change it at any moment.
 */
#include <string.h>

#include "agent.h"

static const char *const variables[] = {"MOONHEAP_CATALOG=", "XDG_CACHE_HOME=", "HOME="};
_Static_assert(COUNT_OF(variables) + 1 == COUNT_OF(agent.catalog_environment), "one place each");

void agent_catalogs_prepare(char *const *environment)
{
    u32 count = 0;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        for (char *const *at = environment; *at; at++)
            if (!strncmp(*at, variables[i], strlen(variables[i])) &&
                strlen(*at) < AGENT_PATH_BYTES) {
                text_format(agent.catalog_places[i], AGENT_PATH_BYTES, "%s", *at);
                agent.catalog_environment[count++] = agent.catalog_places[i];
                break;
            }
}

const struct catalog *agent_catalog(struct agent_live *live, const u8 *build_id, u32 build_id_bytes)
{
    if (!live->catalogs)
        live->catalogs = catalog_shelf_create(agent.catalog_environment);
    return live->catalogs ? catalog_shelf_find(live->catalogs, build_id, build_id_bytes) : NULL;
}
