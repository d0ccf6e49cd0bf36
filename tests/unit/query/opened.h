/* SPDX-License-Identifier: MIT
 *
 * opened.h - one world for each test of a file, which the test opens when it has filled it.
 */
#ifndef TESTS_UNIT_QUERY_OPENED_H
#define TESTS_UNIT_QUERY_OPENED_H

#include "query.h"

static struct world w;
static struct opened o;

static inline int opened_setup(void **state)
{
    (void)state;
    world_begin(&w);
    return 0;
}

static inline int opened_teardown(void **state)
{
    (void)state;
    opened_end(&o);
    world_end(&w);
    return 0;
}

#define opened_test(test) cmocka_unit_test_setup_teardown(test, opened_setup, opened_teardown)

/* What the block counts as. */
static inline const char *opened_key(enum query_key key, u32 block)
{
    const struct query_grouping *g = query_grouping(&o.v, key, &o.memory.memory);
    u32 group = query_group_of(&o.v, g, (block_id){block});
    assert_true(group < g->group_count);
    return g->texts[group];
}

#endif
