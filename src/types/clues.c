/* SPDX-License-Identifier: MIT
 *
 * clues.c - what debug information of the allocating code says of its blocks.
 *
 * Context: pure.
 * Invariant: a clue is one shape. Where a function handles several types of the size in question,
 * there is none, and references decide.
 * Why this works: code that allocates a T has a T * somewhere. An allocator's function returns it
 * (std::allocator<T>::allocate, so all nodes and arrays of containers are known for sure); a
 * function of C returns it, or keeps it in a variable. How many bytes were asked for is known to
 * the byte, so sizeof(T) tells which of them it is. And one place in the code allocates one kind of
 * thing: what is said of it has to fit all of its blocks, whatever their stacks.
 */
#include <string.h>

#include "solve.h"

enum {
    FUNCTIONS_MAX = 32, /* inlined into one another at one address */
    OWN_FRAMES = 3,     /* functions that are no wrappers, outwards from the innermost */
    FRAMES_MAX = 24,
    LEVEL_COST = 12,   /* weight that each of them further out costs */
    HANDLER_COST = 40, /* the same, where one further in handles structs of its own */
    SECOND_MAX = 64,   /* members of what a function handles, looked at as well */
    MEMBER_DEPTH = 3,
    WEIGHT_RETURNED = 90, /* returned, and of that very size */
    WEIGHT_HANDLED = 80,  /* in a variable, and of that very size */
    WEIGHT_DOUBTFUL = 55, /* returned, but something that hangs on it is of that size too */
    WEIGHT_TEXT = 40,     /* characters are returned, and nothing else fits */
};

/* Sizes of all blocks that one place allocated: the frames from the innermost up to some frame. */
struct clue_place {
    u64 key, least, most, divisor;
};

struct clue_search {
    struct solve *x;
    struct clue_place *places;
    u64 place_mask;
    u8 *passed;   /* by frame: 1 no, 2 yes: a wrapper by its symbol */
    u8 **wrapper; /* by module, by function of the catalogue: the same */
};

static u64 mix(u64 key, u32 frame)
{
    key = (key ^ frame) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 31;
}

static u64 common_divisor(u64 a, u64 b)
{
    while (b) {
        u64 rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static struct clue_place *place_of(struct clue_search *c, u64 key)
{
    u64 at = key & c->place_mask;
    while (c->places[at].key && c->places[at].key != key)
        at = (at + 1) & c->place_mask;
    return &c->places[at];
}

static const char *module_path(const struct snapshot *s, u32 module)
{
    return module ? s->strings + s->modules[module - 1].path : "";
}

static bool is_passed(struct clue_search *c, u32 frame)
{
    const struct snapshot *s = c->x->s;
    if (!c->passed[frame]) {
        const char *symbol = s->frame_names ? s->names + s->frame_names[frame - 1] : "";
        const char *path = module_path(s, s->frames[frame - 1].module);
        c->passed[frame] = types_site_passes_over(path, *symbol ? symbol : NULL) ? 2 : 1;
    }
    return c->passed[frame] == 2;
}

static bool is_wrapper(struct clue_search *c, u32 module, u32 function)
{
    const struct catalog *k = c->x->shapes.catalogs[module];
    u8 *known = &c->wrapper[module][function];
    if (!*known)
        *known = types_site_passes_over(module_path(c->x->s, module),
                                        k->strings + k->functions[function - 1].name)
                     ? 2
                     : 1;
    return *known == 2;
}

/* Calls `each` for the frames of a stack from the innermost, as far out as clues are looked for. */
struct clue_walk {
    u32 node, own, frames;
    u64 key;
    u32 frame;
};

static bool next_frame(struct clue_search *c, struct clue_walk *w)
{
    const struct snapshot *s = c->x->s;
    if (!w->node || w->own == OWN_FRAMES || w->frames == FRAMES_MAX)
        return false;
    w->frame = s->stacks[w->node - 1].frame & ~SNAPSHOT_STACK_CUT;
    w->node = s->stacks[w->node - 1].parent;
    w->key = mix(w->key, w->frame) | 1;
    w->frames++;
    w->own += !is_passed(c, w->frame);
    return true;
}

static void note_places(struct clue_search *c)
{
    struct solve *x = c->x;
    for (u32 i = 0; i < x->class_count; i++) {
        u64 size = x->classes[i].size;
        for (struct clue_walk w = {.node = x->classes[i].stack}; next_frame(c, &w);) {
            struct clue_place *p = place_of(c, w.key);
            if (!p->key)
                *p = (struct clue_place){w.key, size, size, size};
            p->least = size < p->least ? size : p->least;
            p->most = size > p->most ? size : p->most;
            p->divisor = common_divisor(size, p->divisor);
        }
    }
}

static u64 count_places(struct clue_search *c)
{
    u64 n = 0;
    for (u32 i = 0; i < c->x->class_count; i++)
        for (struct clue_walk w = {.node = c->x->classes[i].stack}; next_frame(c, &w);)
            n++;
    return n;
}

/* --- one function -------------------------------------------------------------------------- */

/* How well a shape explains all blocks of a place; 0 = not at all. */
static u32 weight_of(const struct shape *p, const struct clue_place *place, bool returned)
{
    if (!p->size || p->flags & SHAPE_BYTES)
        return 0;
    if (place->least == place->most && place->least == p->size)
        return returned ? WEIGHT_RETURNED : WEIGHT_HANDLED;
    if (p->unit_bytes && place->least >= p->unit_at)
        return returned ? 85 : 65;
    if (place->divisor % p->size == 0 && !(p->flags & SHAPE_BEGINS))
        return returned ? 50 : p->size >= 16 ? 20 : 0;
    if (place->least >= p->size && p->flags & SHAPE_STRUCT)
        return returned ? CLUE_LAST : 0;
    return 0;
}

struct clue_choice {
    u32 shape, weight;
    bool several; /* another one is as good */
};

static void consider(struct solve *x, struct clue_choice *best, u32 shape, u32 weight)
{
    if (!shape || !weight || weight < best->weight || shape == best->shape)
        return;
    /* What begins with the other is what the other was a name for. */
    if (weight == best->weight && shapes_begins_with(&x->shapes, best->shape, shape))
        return;
    bool refines = weight == best->weight && shapes_begins_with(&x->shapes, shape, best->shape);
    best->several = weight == best->weight && !refines;
    best->shape = shape;
    best->weight = weight;
}

/* What the members of what a function handles point to: `s->name = malloc(...)`. */
static void consider_members(struct solve *x, struct clue_choice *best, u32 module, u32 type,
                             const struct clue_place *place, u32 depth)
{
    const struct catalog *k = x->shapes.catalogs[module];
    type = catalog_plain(k, type);
    if (!type || depth > MEMBER_DEPTH || place->least != place->most)
        return;
    const struct catalog_type *t = &k->types[type - 1];
    if (t->kind != CATALOG_STRUCT && t->kind != CATALOG_UNION)
        return;
    for (u32 i = t->first; i < t->first + t->count && i < t->first + SECOND_MAX; i++) {
        u32 plain = catalog_plain(k, k->members[i].type);
        if (plain && k->types[plain - 1].kind != CATALOG_POINTER) {
            consider_members(x, best, module, plain, place, depth + 1);
            continue;
        }
        u32 target = plain ? catalog_plain(k, k->types[plain - 1].target) : 0;
        if (!target || k->types[target - 1].size != place->least)
            continue;
        u32 shape = shapes_of(&x->shapes, module, target);
        if (shape && weight_of(shapes_get(&x->shapes, shape), place, false) == WEIGHT_HANDLED)
            consider(x, best, shape, WEIGHT_HANDLED);
    }
}

/* The T of a function `...<T, ...>`, by name: std::make_unique<session, int>. */
static u32 first_argument(struct solve *x, const char *function)
{
    char text[1000];
    const char *at = strchr(function, '<');
    u32 depth = 0;
    size_t n = 0;
    if (!at)
        return 0;
    for (at++; *at && n + 1 < sizeof text; at++) {
        if (!depth && (*at == ',' || *at == '>'))
            break;
        depth += *at == '<' || *at == '(';
        depth -= *at == '>' || *at == ')';
        text[n++] = *at;
    }
    text[n] = '\0';
    return shapes_named(&x->shapes, text);
}

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

/* An allocator says what it allocates by what it returns. One that returns characters may be an
 * old malloc, unless its name says text, or it is the standard library's. */
static u32 wrapper_clue(struct solve *x, u32 module, const struct catalog_function *f,
                        const struct clue_place *place)
{
    const struct catalog *k = x->shapes.catalogs[module];
    const char *name = k->strings + f->name;
    if (begins(name, "std::make_unique<")) {
        u32 shape = first_argument(x, name);
        return shape && shapes_get(&x->shapes, shape)->size == place->least ? shape : 0;
    }
    u32 shape = f->returns ? shapes_of(&x->shapes, module, f->returns) : 0;
    if (!shape)
        return 0;
    const struct shape *p = shapes_get(&x->shapes, shape);
    if (p->flags & SHAPE_BYTES)
        return begins(name, "std::") || strstr(name, "dup") || strstr(name, "allocate") ? shape : 0;
    return p->size && place->divisor % p->size == 0 ? shape : 0;
}

/* What a function that is no wrapper says. Two things of one size that it handles, or that hang on
 * what it handles, are left to references to decide. */
static struct clue_choice own_clue(struct solve *x, u32 module, const struct catalog_function *f,
                                   const struct clue_place *place)
{
    struct clue_choice best = {0}, others;
    const struct catalog *k = x->shapes.catalogs[module];
    u32 returned = f->returns ? shapes_of(&x->shapes, module, f->returns) : 0;
    if (returned)
        consider(x, &best, returned, weight_of(shapes_get(&x->shapes, returned), place, true));
    for (u32 i = f->first; i < f->first + f->count; i++) {
        u32 shape = shapes_of(&x->shapes, module, k->hints[i]);
        if (shape)
            consider(x, &best, shape, weight_of(shapes_get(&x->shapes, shape), place, false));
    }
    others = best;
    others.weight = others.weight > WEIGHT_HANDLED ? WEIGHT_HANDLED : others.weight;
    if (f->returns)
        consider_members(x, &others, module, f->returns, place, 0);
    for (u32 i = f->first; i < f->first + f->count; i++)
        consider_members(x, &others, module, k->hints[i], place, 0);
    bool base = best.shape && shapes_get(&x->shapes, best.shape)->flags & SHAPE_BEGINS;
    if (best.weight > WEIGHT_HANDLED && (others.several || base)) {
        best.weight = WEIGHT_DOUBTFUL;
        return best;
    }
    if (best.weight <= WEIGHT_HANDLED)
        best = others;
    if (!best.shape && returned && shapes_get(&x->shapes, returned)->flags & SHAPE_BYTES)
        best = (struct clue_choice){returned, WEIGHT_TEXT, false};
    return best;
}

/* Does it say what it handles? One that handles nothing with members is a wrapper by its nature. */
static bool handles_structs(struct solve *x, u32 module, const struct catalog_function *f)
{
    const struct catalog *k = x->shapes.catalogs[module];
    for (u32 i = f->first; i < f->first + f->count; i++) {
        u32 shape = shapes_of(&x->shapes, module, k->hints[i]);
        if (shape && shapes_get(&x->shapes, shape)->flags & SHAPE_STRUCT)
            return true;
    }
    return false;
}

/* --- one class ----------------------------------------------------------------------------- */

static void class_clue(struct clue_search *c, struct solve_class *class)
{
    struct solve *x = c->x;
    const struct snapshot *s = x->s;
    u32 own = 0, cost = 0;
    for (struct clue_walk w = {.node = class->stack}; next_frame(c, &w);) {
        const struct snapshot_frame *frame = &s->frames[w.frame - 1];
        const struct catalog *k = frame->module ? x->shapes.catalogs[frame->module] : NULL;
        if (!k && is_passed(c, w.frame))
            continue;
        if (!k) /* a library of its own, which we know nothing of */
            return;
        u32 functions[FUNCTIONS_MAX];
        u64 pc = frame->pc - 1 - s->modules[frame->module - 1].bias;
        u32 n = catalog_functions_at(k, pc, functions, FUNCTIONS_MAX);
        const struct clue_place *place = place_of(c, w.key);
        for (u32 i = 0; i < n && own < OWN_FRAMES; i++) {
            const struct catalog_function *f = &k->functions[functions[i] - 1];
            if (is_wrapper(c, frame->module, functions[i])) {
                u32 shape = wrapper_clue(x, frame->module, f, place);
                if (!shape)
                    continue;
                class->clue = shape;
                class->weight = CLUE_SURE;
                return;
            }
            struct clue_choice best = own_clue(x, frame->module, f, place);
            if (best.weight >= CLUE_STRONG && best.several)
                return;
            if (best.shape && !best.several && best.weight > cost + class->weight) {
                class->clue = best.shape;
                class->weight = (u8)(best.weight - cost);
            }
            if (class->weight >= CLUE_STRONG || f->returns)
                return;
            cost += handles_structs(x, frame->module, f) ? HANDLER_COST : LEVEL_COST;
            own++;
        }
    }
}

void solve_clues(struct solve *x)
{
    const struct snapshot *s = x->s;
    struct clue_search c = {.x = x};
    bool any = false;
    c.passed = types_take(x->scratch, (u64)s->frame_count + 1, 1);
    c.wrapper = types_take(x->scratch, (u64)s->module_count + 1, sizeof *c.wrapper);
    for (u32 i = 1; i <= s->module_count; i++) {
        const struct catalog *k = x->shapes.catalogs[i];
        if (!k)
            continue;
        c.wrapper[i] = types_take(x->scratch, (u64)k->function_count + 1, 1);
        any = true;
    }
    if (!any)
        return;
    u64 slots = 64;
    for (u64 n = count_places(&c); slots < 2 * n;)
        slots *= 2;
    c.places = types_take(x->scratch, slots, sizeof *c.places);
    c.place_mask = slots - 1;
    note_places(&c);
    for (u32 i = 0; i < x->class_count; i++)
        class_clue(&c, &x->classes[i]);
}
