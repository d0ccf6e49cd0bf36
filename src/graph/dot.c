/* SPDX-License-Identifier: MIT
 *
 * dot.c - paths and sets as text for Graphviz (graphviz.org, "DOT Language").
 *
 * Context: pure.
 * Invariant: whatever a label holds, the text stays well-formed: quotes and backslashes are
 * escaped, control characters become spaces, except that a newline starts a new line in the
 * picture. Blocks are nodes b<id>, roots' words r<root edge>; weak references are dashed.
 */
#include <string.h>

#include "spread.h"

enum { LABEL_BYTES = 400 };

struct out {
    const struct graph *g;
    const struct graph_dot *d;
    bool stopped;
};

static void put(struct out *o, const char *text, size_t bytes)
{
    if (!o->stopped && bytes > 0)
        o->stopped = !o->d->write(o->d->context, text, bytes);
}

static void say(struct out *o, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct out *o, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    size_t bytes = text_format_va(text, sizeof text, format, args);
    va_end(args);
    put(o, text, bytes);
}

static void label(struct out *o, const char *text, size_t bytes)
{
    char escaped[2 * LABEL_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < bytes && i < LABEL_BYTES; i++) {
        char c = text[i];
        if (c == '"' || c == '\\' || c == '\n')
            escaped[used++] = '\\';
        escaped[used++] = c == '\n' ? 'n' : (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
    }
    put(o, "label=\"", 7);
    put(o, escaped, used);
    put(o, "\"", 1);
}

static void begin(struct out *o)
{
    say(o, "digraph heap {\n    rankdir=LR;\n    node [shape=box, fontname=monospace];\n");
}

static bool end(struct out *o)
{
    say(o, "}\n");
    return !o->stopped;
}

static void draw_block(struct out *o, block_id b)
{
    char text[LABEL_BYTES];
    size_t bytes = o->d->block ? o->d->block(o->d->context, b, text, sizeof text)
                               : text_format(text, sizeof text, "0x%llx\n%llu B",
                                             (unsigned long long)snapshot_block_addr(o->g->s, b),
                                             (unsigned long long)snapshot_block_bytes(o->g->s, b));
    say(o, "    b%u [", b.v);
    label(o, text, bytes);
    say(o, "];\n");
}

static void draw_root(struct out *o, u32 root_edge)
{
    const struct snapshot *s = o->g->s;
    char text[LABEL_BYTES];
    const struct snapshot_root_edge *r = &s->root_edges[root_edge - 1];
    size_t bytes = o->d->root ? o->d->root(o->d->context, root_edge, text, sizeof text)
                              : text_format(text, sizeof text, "%s\n0x%llx",
                                            snapshot_root_word(s->roots[r->root - 1].kind),
                                            (unsigned long long)snapshot_root_edge_address(s, r));
    say(o, "    r%u [shape=ellipse, ", root_edge);
    label(o, text, bytes);
    say(o, "];\n");
}

static void draw_ref(struct out *o, const struct graph_ref *ref)
{
    char text[LABEL_BYTES];
    size_t bytes = 0;
    if (o->d->ref)
        bytes = o->d->ref(o->d->context, ref, text, sizeof text);
    else if (!ref->root_edge && ref->offset != GRAPH_PART)
        bytes = text_format(text, sizeof text, "+%llu", (unsigned long long)ref->offset);
    if (ref->root_edge)
        say(o, "    r%u -> b%u [", ref->root_edge, ref->target.v);
    else
        say(o, "    b%u -> b%u [", ref->source.v, ref->target.v);
    label(o, text, bytes);
    say(o, "%s];\n", ref->class ? ", style=dashed" : "");
}

bool graph_dot_path(const struct graph *g, const struct graph_path *p, const struct graph_dot *d)
{
    struct out o = {g, d, false};
    begin(&o);
    if (p->count > 0)
        draw_root(&o, p->root_edge);
    for (u32 i = 0; i < p->count && !o.stopped; i++) {
        struct graph_ref ref = graph_path_ref(g, p, i);
        draw_block(&o, p->steps[i]);
        draw_ref(&o, &ref);
    }
    return end(&o);
}

bool graph_dot_set(const struct graph *g, u32 include, const u64 *set, u32 limit,
                   const struct graph_dot *d)
{
    struct out o = {g, d, false};
    struct graph_ref ref;
    u32 words = graph_set_words(g->s), drawn = 0, last = 0, left = 0, b = 0;
    begin(&o);
    SPREAD_EACH(set, words, b)
    {
        if (drawn == limit) {
            left++;
        } else if (!o.stopped) {
            draw_block(&o, (block_id){b});
            last = b;
            drawn++;
        }
    }
    SPREAD_EACH(set, words, b)
    {
        if (b > last || o.stopped)
            continue;
        for (struct graph_walk w = graph_referrers(g, include, (block_id){b});
             graph_next(&w, &ref) && ref.root_edge;) {
            draw_root(&o, ref.root_edge);
            draw_ref(&o, &ref);
        }
        for (struct graph_walk w = graph_referents(g, include, (block_id){b});
             graph_next(&w, &ref);)
            if (ref.target.v <= last && graph_set_has(set, ref.target))
                draw_ref(&o, &ref);
    }
    if (left > 0)
        say(&o, "    more [shape=plaintext, label=\"and %u more blocks\"];\n", left);
    return end(&o);
}
