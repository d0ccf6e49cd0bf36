/* SPDX-License-Identifier: MIT
 *
 * files.h - what the source files of sites are called.
 *
 * Context: pure; inside the room only.
 */
#ifndef MOONHEAP_QUERY_FILES_H
#define MOONHEAP_QUERY_FILES_H

#include "query.h"

/* The grouping of stacks by the source file of their site: its name without folders, the whole path
 * where several files share that; the module's name where no file is known. */
void query_group_by_file(const struct query_view *v, struct query_grouping *g,
                         const struct types_memory *m);
/* The name of the file of a module. */
const char *query_module_name(const struct snapshot *s, u32 module);

#endif
