/* SPDX-License-Identifier: MIT
 *
 * solve.c - a type for every block: what is known for sure first, then what follows from it.
 *
 * Context: pure.
 * Invariant: after types_solve every block has a type id, and one of the sources; blocks of which
 * nothing better is known have the name of their site, as before.
 * Order of trust: what the program or the script says, virtual tables, what the allocating code
 * handles, what typed pointers lead to, what nearly all of the same call stack are. Weak clues of
 * allocating code come after typed pointers, since a pointer to the very block says more.
 */
#include <string.h>

#include "solve.h"
#include "subtypes.h"

/* --- classes ------------------------------------------------------------------------------- */

static u64 class_hash(u32 stack, u64 size)
{
    u64 h = (stack + 1) * 0x9e3779b97f4a7c15u ^ size * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

struct class_table {
    u32 *slots; /* class + 1 */
    u64 mask;
};

static void grow(struct solve *x, struct class_table *t)
{
    struct solve_class *classes = types_take(x->scratch, 2 * (u64)x->class_room, sizeof *classes);
    memcpy(classes, x->classes, x->class_count * sizeof *classes);
    x->classes = classes;
    x->class_room *= 2;
    t->mask = 4 * (u64)x->class_room - 1;
    t->slots = types_take(x->scratch, t->mask + 1, sizeof *t->slots);
    for (u32 i = 0; i < x->class_count; i++) {
        u64 at = class_hash(classes[i].stack, classes[i].size) & t->mask;
        while (t->slots[at])
            at = (at + 1) & t->mask;
        t->slots[at] = i + 1;
    }
}

static u32 class_of(struct solve *x, struct class_table *t, u32 stack, u64 size)
{
    u64 at = class_hash(stack, size) & t->mask;
    for (; t->slots[at]; at = (at + 1) & t->mask) {
        const struct solve_class *c = &x->classes[t->slots[at] - 1];
        if (c->stack == stack && c->size == size)
            return t->slots[at] - 1;
    }
    if (x->class_count == x->class_room) {
        grow(x, t);
        return class_of(x, t, stack, size);
    }
    x->classes[x->class_count] = (struct solve_class){.stack = stack, .size = size};
    t->slots[at] = x->class_count + 1;
    return x->class_count++;
}

void solve_classes(struct solve *x)
{
    const struct snapshot *s = x->s;
    struct class_table t = {0};
    x->class_room = 1024;
    x->classes = types_take(x->scratch, x->class_room, sizeof *x->classes);
    grow(x, &t);
    u32 last = 0;
    for (u32 b = 1; b <= s->block_count; b++) {
        u64 size = snapshot_block_bytes(s, (block_id){b});
        u32 stack = s->block_stack[b - 1];
        if (!x->class_count || x->classes[last].stack != stack || x->classes[last].size != size)
            last = class_of(x, &t, stack, size);
        x->classes[last].blocks++;
        x->class_of[b] = last;
    }
}

/* --- what is known beforehand -------------------------------------------------------------- */

static void decide_told(struct solve *x, const struct types_ask *ask)
{
    const struct types *t = x->t;
    u32 *told = types_take(x->scratch, t->sites.count, sizeof *told);
    bool any = false;
    for (u32 i = 0; i < ask->told_count; i++) {
        u32 shape = shapes_called(&x->shapes, ask->told[i].type);
        for (u32 site = 1; site < t->sites.count; site++) {
            if (strcmp(ask->told[i].site, t->sites.text[site]) != 0 &&
                strcmp(ask->told[i].site, t->functions.text[t->function_of_site[site]]) != 0)
                continue;
            told[site] = shape;
            any = true;
        }
    }
    for (u32 b = 1; any && b <= x->s->block_count; b++) {
        u32 shape = told[types_site_of_block(t, (block_id){b}).v];
        if (shape && x->source[b] == TYPES_SOURCE_UNKNOWN)
            solve_decide(x, b, shape, TYPES_SOURCE_TOLD);
    }
}

static void decide_tags(struct solve *x)
{
    const struct snapshot *s = x->s;
    if (!s->block_tag)
        return;
    u32 *shapes = types_take(x->scratch, (u64)s->tag_count + 1, sizeof *shapes);
    for (u32 b = 1; b <= s->block_count; b++) {
        u32 tag = s->block_tag[b - 1];
        if (!tag || x->source[b] != TYPES_SOURCE_UNKNOWN)
            continue;
        if (!shapes[tag])
            shapes[tag] = shapes_called(&x->shapes, s->strings + s->tags[tag - 1]);
        solve_decide(x, b, shapes[tag], TYPES_SOURCE_TAG);
    }
}

static void decide_vtables(struct solve *x)
{
    const struct snapshot *s = x->s;
    const struct types *t = x->t;
    if (!s->block_vtable)
        return;
    u32 *shapes = types_take(x->scratch, (u64)s->vtable_count + 1, sizeof *shapes);
    for (u32 v = 1; v <= s->vtable_count; v++)
        if (t->type_of_vtable[v])
            shapes[v] = shapes_called(&x->shapes, t->types.text[t->type_of_vtable[v]]);
    for (u32 b = 1; b <= s->block_count; b++) {
        u32 shape = shapes[s->block_vtable[b - 1]];
        if (shape && x->source[b] == TYPES_SOURCE_UNKNOWN)
            solve_decide(x, b, shape, TYPES_SOURCE_RTTI);
    }
}

static void decide_clues(struct solve *x, u32 least, u32 most)
{
    for (u32 b = 1; b <= x->s->block_count; b++) {
        const struct solve_class *c = &x->classes[x->class_of[b]];
        if (!c->clue || c->weight < least || c->weight > most ||
            (x->source[b] != TYPES_SOURCE_UNKNOWN && x->source[b] != SOLVE_PENDING) ||
            shapes_form(shapes_get(&x->shapes, c->clue), c->size) == FORM_NONE)
            continue;
        solve_decide(x, b, c->clue, TYPES_SOURCE_ALLOCATION);
    }
}

static void mark_into(struct solve *x)
{
    const struct snapshot *s = x->s;
    if (!s->edge_into_count)
        return;
    x->into = types_take(x->scratch, s->edge_count / 64 + 1, sizeof *x->into);
    for (u32 i = 0; i < s->edge_into_count; i++)
        x->into[s->edge_into[i].edge / 64] |= 1ull << s->edge_into[i].edge % 64;
}

/* --- names --------------------------------------------------------------------------------- */

/* A name to be: a shape, and for arrays how many of it; or one that a subtype has given. */
struct named {
    u32 shape, form;
    u64 count;
    const char *given;
};

/* In the column of shapes while it becomes one of names. */
#define IS_NAMED 0x80000000u

struct naming {
    struct named *list;
    u32 *slots; /* index + 1 */
    u32 count, room;
};

static u32 naming_of(struct solve *x, struct naming *n, struct named name);

static void naming_grow(struct solve *x, struct naming *n)
{
    struct naming old = *n;
    n->room = old.room ? 2 * old.room : 512;
    n->list = types_take(x->scratch, n->room, sizeof *n->list);
    n->slots = types_take(x->scratch, 2 * (u64)n->room, sizeof *n->slots);
    n->count = 0;
    for (u32 i = 0; i < old.count; i++)
        naming_of(x, n, old.list[i]);
}

static u32 naming_of(struct solve *x, struct naming *n, struct named name)
{
    if (n->count == n->room)
        naming_grow(x, n);
    u64 mask = 2 * (u64)n->room - 1, h = name.shape * 0x9e3779b97f4a7c15u;
    h ^= (u64)(uintptr_t)name.given * 0xc4ceb9fe1a85ec53u;
    h ^= (name.count * 8 + name.form) * 0xff51afd7ed558ccdu;
    for (u64 at = (h ^ h >> 32) & mask;; at = (at + 1) & mask) {
        if (!n->slots[at]) {
            n->list[n->count] = name;
            n->slots[at] = ++n->count;
            return n->count - 1;
        }
        const struct named *there = &n->list[n->slots[at] - 1];
        if (there->shape == name.shape && there->form == name.form && there->count == name.count &&
            there->given == name.given)
            return n->slots[at] - 1;
    }
}

static struct named name_of(const struct solve *x, u32 b)
{
    const struct shape *p = shapes_get(&x->shapes, x->shape[b]);
    u64 bytes = snapshot_block_bytes(x->s, (block_id){b});
    enum shape_form form = shapes_form(p, bytes);
    struct named name = {x->shape[b], FORM_EXACT, 0, NULL};
    if (x->source[b] == TYPES_SOURCE_TAG) /* the program's own word, as it stands */
        return name;
    if (form == FORM_BYTES)
        name.form = FORM_BYTES;
    if (form == FORM_ARRAY) {
        name.form = FORM_ARRAY;
        name.count = bytes / p->size;
    }
    return name;
}

static const char *name_text(struct solve *x, const struct named *name)
{
    const struct shape *p = shapes_get(&x->shapes, name->shape);
    char text[2000];
    if (name->given || name->form == FORM_EXACT)
        return name->given ? name->given : p->name;
    if (name->form == FORM_BYTES)
        text_format(text, sizeof text, "%s[]", p->name);
    else
        text_format(text, sizeof text, "%s[%llu]", p->name, (unsigned long long)name->count);
    size_t bytes = strlen(text) + 1;
    char *copy = types_take(x->keep, bytes, 1);
    memcpy(copy, text, bytes);
    return copy;
}

static bool is_decided(const struct solve *x, u32 b)
{
    return x->source[b] != TYPES_SOURCE_UNKNOWN && x->source[b] != SOLVE_PENDING;
}

struct subtyping {
    struct solve *x;
    struct naming *n;
    u32 *shape; /* by block, before any was named */
};

static void name_subtype(void *context, u32 b, const char *name)
{
    struct subtyping *c = context;
    struct named named = {c->shape[b], FORM_EXACT, 0, name};
    c->x->shape[b] = naming_of(c->x, c->n, named) | IS_NAMED;
}

static void name_subtypes(struct solve *x, struct naming *n, const struct types_ask *ask)
{
    if (!ask->sub_count || !ask->read)
        return;
    u64 blocks = (u64)x->s->block_count + 1;
    struct subtyping c = {x, n, types_take(x->scratch, blocks, sizeof(u32))};
    for (u32 b = 1; b < blocks; b++)
        c.shape[b] = is_decided(x, b) ? x->shape[b] : 0;
    for (u32 i = 0; i < ask->sub_count; i++)
        subtypes_find(&x->shapes, ask, &ask->subs[i], c.shape, name_subtype, &c);
}

/* The column of types: site names for what is not known, and the ids of the names of shapes. */
static void name_blocks(struct solve *x, const struct types_ask *ask,
                        struct types_solution *solution, struct types_names *names)
{
    const struct snapshot *s = x->s;
    const struct types *t = x->t;
    struct naming n = {0};
    name_subtypes(x, &n, ask);
    for (u32 b = 1; b <= s->block_count; b++)
        if (is_decided(x, b) && !(x->shape[b] & IS_NAMED))
            x->shape[b] = naming_of(x, &n, name_of(x, b)) | IS_NAMED;
    types_names_init(names, t->types.count + n.count, x->keep);
    for (u32 i = 1; i < t->types.count; i++)
        types_names_add(names, t->types.text[i]);
    u32 *ids = types_take(x->scratch, (u64)n.count + 1, sizeof *ids);
    solution->shape_of_type = types_take(x->keep, names->capacity, sizeof(u32));
    for (u32 i = 0; i < n.count; i++) {
        ids[i] = types_names_add(names, name_text(x, &n.list[i]));
        solution->shape_of_type[ids[i]] = n.list[i].shape;
    }
    for (u32 b = 1; b <= s->block_count; b++) {
        if (is_decided(x, b)) {
            x->shape[b] = ids[x->shape[b] & ~IS_NAMED];
            continue;
        }
        x->shape[b] = t->type_of_stack[s->block_stack[b - 1]];
        x->source[b] = x->shape[b] ? TYPES_SOURCE_SITE : TYPES_SOURCE_UNKNOWN;
    }
}

/* --- the door ------------------------------------------------------------------------------ */

static void find(struct solve *x, const struct types_ask *ask)
{
    const struct snapshot *s = x->s;
    u64 blocks = (u64)s->block_count + 1;
    x->score = types_take(x->scratch, blocks, 1);
    x->class_of = types_take(x->scratch, blocks, sizeof(u32));
    x->queue = types_take(x->scratch, blocks, sizeof(u32));
    x->touched = types_take(x->scratch, blocks, sizeof(u32));
    mark_into(x);
    solve_classes(x);
    decide_told(x, ask);
    decide_tags(x);
    decide_vtables(x);
    solve_clues(x);
    decide_clues(x, CLUE_STRONG, CLUE_SURE);
    solve_roots(x);
    solve_spread(x, SCORE_STRONG);
    solve_vote(x, false);
    solve_spread(x, SCORE_FAIR);
    decide_clues(x, CLUE_WEAK, CLUE_STRONG - 1);
    solve_spread(x, SCORE_WEAK);
    solve_vote(x, true);
    solve_spread(x, SCORE_WEAK);
    decide_clues(x, CLUE_LAST, CLUE_LAST);
    solve_spread(x, SCORE_WEAK);
}

static void give_back(struct types_solution *solution)
{
    struct types_arena arena = solution->arena;
    types_arena_free(&arena);
}

bool types_solve(struct types *t, const struct types_ask *ask, struct err *e)
{
    jmp_buf out;
    struct types_arena keep, scratch;
    types_free(t);
    types_arena_init(&keep, ask->memory_limit, &out);
    types_arena_init(&scratch, ask->memory_limit, &out);
    int status = setjmp(out);
    if (status) {
        types_arena_free(&keep);
        types_arena_free(&scratch);
        return err_set(e, (enum status)status,
                       status == STATUS_LIMIT
                           ? "the types of %u blocks need more than the memory that they may have"
                           : "out of memory for the types of %u blocks",
                       t->snapshot->block_count);
    }
    const struct snapshot *s = t->snapshot;
    struct types_solution *solution = types_take(&keep.memory, 1, sizeof *solution);
    struct solve x = {.s = s, .t = t, .keep = &keep.memory, .scratch = &scratch.memory};
    x.shape = types_take(x.keep, (u64)s->block_count + 1, sizeof(u32));
    x.source = types_take(x.keep, (u64)s->block_count + 1, 1);
    const struct catalog *const *catalogs = ask->catalogs;
    if (!catalogs)
        catalogs = types_take(x.keep, (u64)s->module_count + 1, sizeof *catalogs);
    shapes_init(&x.shapes, s, catalogs, x.keep);
    find(&x, ask);
    struct types_names names;
    name_blocks(&x, ask, solution, &names);
    types_arena_free(&scratch);

    solution->shapes = x.shapes;
    solution->before = t->types;
    solution->arena = keep;
    solution->arena.memory.context = &solution->arena;
    solution->arena.out = &solution->out;
    solution->shapes.m = &solution->arena.memory;
    t->types = names;
    t->type_of_block = x.shape;
    t->source_of_block = x.source;
    t->solution = solution;
    return true;
}

void types_free(struct types *t)
{
    if (!t->solution)
        return;
    t->types = t->solution->before;
    t->type_of_block = NULL;
    t->source_of_block = NULL;
    give_back(t->solution);
    t->solution = NULL;
}
