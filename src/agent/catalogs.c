/* SPDX-License-Identifier: MIT
 *
 * catalogs.c - the type catalogues of the modules of this process.
 *
 * Context: agent; agent_catalogs_prepare in the constructor.
 * Invariant: where catalogues are is what the environment said when the program began: programs
 * write over their environment (setproctitle), or change it at any moment.
 */
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "helper.h"
#include "names.h"

#define PATIENCE_NS 15000000000ull

static const char *const variables[] = {"MOONHEAP_CATALOG=", "XDG_CACHE_HOME=", "HOME="};
_Static_assert(COUNT_OF(variables) + 1 == COUNT_OF(agent.catalog_environment), "one place each");
_Static_assert(COUNT_OF(variables) + 2 == AGENT_TEXTS, "they, the script and where output goes");

void agent_catalogs_prepare(char *const *environment)
{
    u32 count = 0;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        for (char *const *at = environment; *at; at++)
            if (!strncmp(*at, variables[i], strlen(variables[i])) &&
                strlen(*at) < AGENT_PATH_BYTES) {
                agent.catalog_environment[count++] = agent_keep_text("%s", *at);
                break;
            }
}

/* In a process of its own, like everything that reads debug information; not where the program's
 * owner does without helpers, or where the last one failed. */
static void make_missing(struct agent_live *live)
{
    static char name[] = "moonheap", word[] = "catalog", option[] = "--missing";
    static char number[16], answer[256]; /* a relay that was killed may leave them in use */
    static char *const arguments[] = {name, word, option, number, NULL};
    size_t got;
    u32 modules = track_modules_refresh();
    bool helpless = !agent.options.lines || (live->names && live->names->failures);
    if (helpless || live->catalogued_modules == modules)
        return;
    live->catalogued_modules = modules;
    text_format(number, sizeof number, "%d", (int)getpid());
    if (agent_helper_ask(arguments, agent.catalog_environment, NULL, 0, answer, sizeof answer, &got,
                         PATIENCE_NS) == HELPER_LATE &&
        live->output)
        agent_output_format(live->output,
                            "moonheap: types are missing: reading the debug information takes "
                            "longer; 'moonheap catalog %s' makes the rest\n",
                            number);
}

const struct catalog *agent_catalog(struct agent_live *live, const u8 *build_id, u32 build_id_bytes)
{
    if (!live->catalogs)
        live->catalogs = catalog_shelf_create(agent.catalog_environment);
    if (!live->catalogs)
        return NULL;
    const struct catalog *c = catalog_shelf_find(live->catalogs, build_id, build_id_bytes);
    if (!c && build_id_bytes) {
        make_missing(live);
        c = catalog_shelf_find(live->catalogs, build_id, build_id_bytes);
    }
    return c;
}
