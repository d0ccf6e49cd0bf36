/* SPDX-License-Identifier: MIT
 *
 * query.h - the door of query: sets of blocks, partitions of sets, differences of partitions.
 *
 * Context: pure.
 * Invariant: results refer to the view they were made from and live in the memory that the caller
 * named; nothing here is freed singly, fails for want of memory (see struct types_memory) or
 * changes once made. All loops over blocks are here, O(blocks), so that scripts need none.
 */
#ifndef MOONHEAP_QUERY_QUERY_H
#define MOONHEAP_QUERY_QUERY_H

#include "graph/graph.h"
#include "types/types.h"

/* What a partition can be by. X(NAME, word in scripts) */
#define QUERY_KEYS(X)                                                                              \
    X(TYPE, "type")           /* what the block is */                                              \
    X(TYPE_SOURCE, "type_source") /* how its type is known */                                      \
    X(SITE, "site")           /* the line that wanted it */                                        \
    X(STACK, "stack")         /* the functions of its whole call stack, "a < b < c" */             \
    X(FUNCTION, "function")   /* as site, without the line */                                      \
    X(FILE, "file")           /* source file of its site; the module's name without line tables */ \
    X(MODULE, "module")       /* executable or library of its site */                              \
    X(SIZE, "size")           /* classes by powers of two */                                       \
    X(THREAD, "thread")       /* the thread that allocated it */                                   \
    X(AGE, "age")             /* classes of age, split at the program's marks */                   \
    X(TAG, "tag")             /* the program's own word for it */                                  \
    X(REFERRERS, "referrers") /* the kinds of what refers to it */                                 \
    X(VIA, "via")             /* the same with the place in them that does */                      \
    X(CALLBACK, "")           /* whatever a script's function says */                              \
    X(CLUSTER, "held by")     /* the shape of its path from a root */

enum query_key {
#define X(name, word) QUERY_KEY_##name,
    QUERY_KEYS(X)
#undef X
        QUERY_KEY_COUNT
};
/* The key of a word; QUERY_KEY_COUNT when there is none of that name. */
enum query_key query_key_of(const char *word);
const char *query_key_word(enum query_key key);

/* A named moment of the program. */
struct query_mark {
    const char *name;
    u64 age_ns; /* at the snapshot */
};

/* Sends blocks to groups: group = map[column[block]]. Groups are dense; 0 means unknown. */
struct query_grouping {
    enum query_key key;
    u32 group_count;
    const u32 *map;
    const char *const *texts; /* of each group; NULL for stacks, see query_stack_text */
    const u32 *fold_parent, *fold_function; /* stacks with the same functions, folded into one */
    const u64 *fold_hash;
};

/* A snapshot as queries see it. */
struct query_view {
    const struct snapshot *snapshot;
    const struct types *types;
    const struct query_mark *marks; /* oldest first */
    u32 mark_count;
    u64 sample_bytes; /* not 0: figures are estimates, scaled up from a sample */
    struct query_grouping groupings[QUERY_KEY_COUNT];
    bool made[QUERY_KEY_COUNT];
};

void query_view_init(struct query_view *v, const struct snapshot *s, const struct types *t);
/* The grouping by a key that blocks have by themselves (all before REFERRERS), made at its first
 * use in memory that lasts as long as the view. */
const struct query_grouping *query_grouping(struct query_view *v, enum query_key key,
                                            const struct types_memory *m);
/* The grouping of a set by REFERRERS or VIA: blocks whose referrers are of the same kinds are
 * together. A text is a list, by name, "nothing" when there is none; of many kinds, some are named.
 * O(references to the set). */
struct query_set;
void query_group_by_referrers(struct query_grouping *by, const struct query_set *set,
                              const struct graph *g, enum query_key key,
                              const struct types_memory *keep, const struct types_memory *scratch);
/* "global", "stack"... of a kind of roots, as scripts call it. */
const char *query_root_word(enum snapshot_root_kind kind);
u32 query_group_of(const struct query_view *v, const struct query_grouping *g, block_id b);
/* Calls out(function name) for each function of a folded stack, innermost first. */
void query_stack_text(const struct query_view *v, const struct query_grouping *g, u32 group,
                      void (*out)(void *context, const char *function), void *context);
/* Calls out(place) for each place of a stack, "make_session (server.c:42)", innermost first. */
void query_stack_places(const struct query_view *v, stack_id stack,
                        void (*out)(void *context, const char *place), void *context);
/* Is `text` the key of that group? */
bool query_group_is(const struct query_view *v, const struct query_grouping *g, u32 group,
                    const char *text);
/* 64 bits of a group's key that are the same in every snapshot. */
u64 query_group_hash(const struct query_grouping *g, u32 group);
/* Is that group of that view known by the same key? */
bool query_group_same(const struct query_view *v, const struct query_grouping *g, u32 group,
                      const struct query_view *other_v, const struct query_grouping *other,
                      u32 other_group);

/* --- sets ---------------------------------------------------------------------------------- */

/* A bit a block. Bits past the last block are 0. */
struct query_set {
    const struct query_view *view;
    u64 *bits;
    u32 words;
};

/* Words that a set over this view needs; the caller gives them, zeroed for the empty set. */
u32 query_set_words(const struct query_view *v);
void query_set_init(struct query_set *s, const struct query_view *v, u64 *bits);
void query_set_fill(struct query_set *s);
enum query_operation { QUERY_OR, QUERY_AND, QUERY_MINUS, QUERY_XOR };
/* out = a op b; all three over the same view, out may be a or b. */
void query_set_combine(struct query_set *out, enum query_operation op, const struct query_set *a,
                       const struct query_set *b);
bool query_set_equal(const struct query_set *a, const struct query_set *b);
bool query_set_within(const struct query_set *a, const struct query_set *b);
/* Blocks that are in the set itself; never an estimate. */
u32 query_set_blocks(const struct query_set *s);

/* When the view is of a sample, figures are estimates, and the truth is within their errors of them
 * in 95 % of cases; else the errors are 0. */
struct query_sum {
    u64 count, bytes, count_error, bytes_error;
};
struct query_sum query_set_sum(const struct query_set *s);
/* The same of all blocks of a snapshot. */
struct query_sum query_blocks_sum(const struct snapshot *s);
/* What an estimate of that amount and variance may be wrong by. */
u64 query_error(double variance, double amount);
/* How many blocks of the program a sampled block of that size stands for; 1 without sampling. */
double query_weight(const struct query_view *v, u64 bytes);
/* What one block adds to a sum. */
struct query_part {
    double count, bytes, count_variance, bytes_variance;
};
struct query_part query_part_of(const struct query_view *v, block_id b);
void query_part_add(struct query_part *sum, const struct query_part *part);
struct query_sum query_part_sum(const struct query_part *part);
/* What no sampled block was found of: 0, and an error. */
struct query_sum query_unseen(u64 sample_bytes);

static inline bool query_set_has(const struct query_set *s, block_id b)
{
    return s->bits[(b.v - 1) / 64] >> ((b.v - 1) % 64) & 1;
}
static inline void query_set_add(struct query_set *s, block_id b)
{
    s->bits[(b.v - 1) / 64] |= 1ull << ((b.v - 1) % 64);
}
/* The first block of the set after `after` ({0}: the first of all); {0} at the end. */
block_id query_set_next(const struct query_set *s, block_id after);

/* for each block of a set: QUERY_EACH (set, id) { ... }. `break` leaves a word, not the loop. */
#define QUERY_EACH(set, id)                                                                        \
    for (u32 each_word = 0; each_word < (set)->words; each_word++)                                 \
        for (u64 each_bits = (set)->bits[each_word];                                               \
             each_bits && ((id).v = each_word * 64 + (u32)__builtin_ctzll(each_bits) + 1, true);   \
             each_bits &= each_bits - 1)

/* What a filter asks of a block. A NULL array asks nothing. */
struct query_filter {
    const u8 *type_ok;   /* by type_id */
    const u8 *stack_ok;  /* by stack_id */
    const u8 *thread_ok; /* by thread number, [0..65535] */
    const u8 *tag_ok;    /* by tag id */
    u64 min_bytes, max_bytes;
    u64 min_age_ns, max_age_ns;
    bool nothing; /* what was asked for is known to be nowhere */
};
void query_set_filter(struct query_set *out, const struct query_set *in,
                      const struct query_filter *f);

/* Blocks of `in` that are not in `other` by identity, which is (address, birth): a reused address
 * is another block. Both snapshots must be of one process. */
void query_set_absent(struct query_set *out, const struct query_set *in,
                      const struct query_view *other);

/* At most n blocks into out[0..n), largest (oldest) first, ties by address; returns how many. */
u32 query_pick_largest(const struct query_set *s, block_id *out, u32 n);
u32 query_pick_oldest(const struct query_set *s, block_id *out, u32 n);
/* The same for those that retain most bytes. */
u32 query_pick_retaining(const struct query_set *s, const struct graph_dominators *d, block_id *out,
                         u32 n);
/* n blocks chosen evenly, by address; the same seed chooses the same ones. */
u32 query_pick_sample(const struct query_set *s, block_id *out, u32 n, u64 seed);

/* --- partitions and their differences ------------------------------------------------------ */

struct query_row {
    u32 group;
    u32 blocks; /* in the snapshot; count is their estimate */
    u32 first;  /* of its blocks in `members` */
    u64 count, bytes, count_error, bytes_error;
};

/* Rows that are not empty, most bytes first (of clusters, most blocks), ties by count and then by
 * key. */
struct query_partition {
    const struct query_view *view;
    const struct query_set *set;
    struct query_grouping by;
    struct query_row *rows;
    u32 row_count;
    const u32 *members; /* block ids by row; NULL until query_partition_members */
};

void query_partition_build(struct query_partition *p, const struct query_set *set,
                           const struct query_grouping *by, const struct types_memory *keep,
                           const struct types_memory *scratch);
/* Lists the blocks of each row, which makes a row's set cost no more than the row. */
void query_partition_members(struct query_partition *p, const struct types_memory *keep,
                             const struct types_memory *scratch);
/* The row with that key, or of sites the only one in a function of that name; row_count when there is
 * none. */
u32 query_partition_find(const struct query_partition *p, const char *key);

#define QUERY_NO_ROW UINT32_MAX
struct query_delta_row {
    u32 now, then; /* rows of the two partitions, QUERY_NO_ROW when there is none */
    u64 count, bytes;
    i64 count_delta, bytes_delta;
    u64 count_delta_error, bytes_delta_error;
};

/* Rows whose count or bytes differ, largest bytes_delta first, ties by count_delta and key. */
struct query_delta {
    const struct query_partition *now, *then;
    struct query_delta_row *rows;
    u32 row_count;
};
void query_delta_build(struct query_delta *d, const struct query_partition *now,
                       const struct query_partition *then, const struct types_memory *keep,
                       const struct types_memory *scratch);
/* The part of it that fills in errors. Rows are as yet in no order, and none is left out. */
void query_delta_estimate(struct query_delta *d, const struct types_memory *scratch);
/* Are the two of one recording, so that a sampled block may be in both? */
bool query_same_recording(const struct query_view *a, const struct query_view *b);

#endif
