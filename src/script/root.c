/* SPDX-License-Identifier: MIT
 *
 * root.c - roots as people read them.
 *
 * Context: pure.
 * Invariant: a place in a module is the variable there, where debug information knows it, else
 * address - bias, which is what nm and addr2line take.
 * Registers are in the order of the System V ABI's DWARF numbers (AMD64 supplement, figure 3.36),
 * as FORMAT.md's word i is register i.
 */
#include <string.h>

#include "bind.h"

enum { THREAD_BYTES = 80, PLACE_BYTES = 32, FUNCTION_BYTES = 200 };

static const char *const registers[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
                                        "rbp", "rsp", "r8",  "r9",  "r10", "r11",
                                        "r12", "r13", "r14", "r15", "rip"};

static void thread_text(const struct snapshot *s, const struct snapshot_root *root,
                        char out[THREAD_BYTES])
{
    const struct snapshot_thread *t = snapshot_thread_of(s, root->thread);
    const struct snapshot_standing *stood = snapshot_standing_of(s, root->tid);
    if (t)
        text_format(out, THREAD_BYTES, "thread %s %u", s->strings + t->name, t->tid);
    else if (stood && s->strings[stood->name])
        text_format(out, THREAD_BYTES, "thread %s %u", s->strings + stood->name, stood->tid);
    else
        text_format(out, THREAD_BYTES, "thread %u", root->tid);
}

const struct snapshot_call *script_root_call(const struct snapshot *s,
                                             const struct snapshot_root *root, u64 address)
{
    const struct snapshot_standing *t = snapshot_standing_of(s, root->tid);
    if (root->kind == SNAPSHOT_ROOT_STACK)
        return snapshot_call_at(s, t, address);
    if (root->kind == SNAPSHOT_ROOT_REGISTER && t && t->call_count)
        return &s->calls[t->first_call];
    return NULL;
}

/* ", in handle_request (server.c:42)": the function whose frame it is, not one inlined there. */
static size_t frame_text(const struct bind_snapshot *b, const struct snapshot_root *root,
                         u64 address, char *out, size_t size)
{
    const struct snapshot_call *c = script_root_call(&b->snapshot, root, address);
    size_t used = text_format(out, size, "%s", c ? ", in " : "");
    if (!c)
        return used;
    if (c->flags & SNAPSHOT_CALL_SIGNAL)
        return used + text_format(out + used, size - used, "%s", SCRIPT_SIGNAL_FRAME);
    u32 place = b->types.place_row[c->frame + 1] - 1;
    return used + types_place_text(&b->types, place, out + used, size - used);
}

static const char *file_of(const struct snapshot *s, u32 module)
{
    const char *path = s->strings + s->modules[module - 1].path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "sessions.head", or "server+0x40" where no variable is known. */
static size_t variable_text(const struct bind_snapshot *b, const struct snapshot_root *root,
                            u64 address, char *out, size_t size)
{
    struct types_variable_place place = types_variable_place(&b->snapshot, root, address);
    size_t used = types_variable_text(&b->types, place, out, size);
    return used ? used
                : text_format(out, size, "%s+0x%llx", file_of(&b->snapshot, root->module),
                              (unsigned long long)place.at);
}

static size_t data_text(const struct bind_snapshot *b, const struct snapshot_root *root,
                        u64 address, const char *place, char *out, size_t size)
{
    const char *name = b->snapshot.strings + root->name;
    char variable[SCRIPT_FIELD_BYTES];
    if (*name)
        return text_format(out, size, "global %s%s", name, place);
    if (!root->module)
        return text_format(out, size, "global 0x%llx", (unsigned long long)address);
    variable_text(b, root, address, variable, sizeof variable);
    return text_format(out, size, "global %s", variable);
}

static size_t area_text(const struct bind_snapshot *b, const struct snapshot_root *root,
                        u64 address, bool whole, char *out, size_t size)
{
    const struct snapshot *s = &b->snapshot;
    char thread[THREAD_BYTES], place[PLACE_BYTES] = "", function[FUNCTION_BYTES];
    char variable[SCRIPT_FIELD_BYTES];
    const char *name = s->strings + root->name;
    u64 offset = address - root->lo;
    thread_text(s, root, thread);
    if (!whole)
        text_format(place, sizeof place, " +0x%llx", (unsigned long long)offset);
    switch ((enum snapshot_root_kind)root->kind) {
    case SNAPSHOT_ROOT_REGISTER:
        frame_text(b, root, address, function, sizeof function);
        if (whole)
            return text_format(out, size, "registers of %s%s", thread, function);
        return text_format(out, size, "register %s of %s%s",
                           offset / 8 < COUNT_OF(registers) ? registers[offset / 8] : "(vector)",
                           thread, function);
    case SNAPSHOT_ROOT_STACK:
        frame_text(b, root, address, function, sizeof function);
        return text_format(out, size, "stack of %s%s%s", thread, place, function);
    case SNAPSHOT_ROOT_DEAD_STACK:
        return text_format(out, size, "dead stack of %s%s", thread, place);
    case SNAPSHOT_ROOT_THREAD_LOCAL:
        if (!root->module)
            return text_format(out, size, "thread-local of %s%s", thread, place);
        variable_text(b, root, address, variable, sizeof variable);
        return text_format(out, size, "thread-local %s of %s", variable, thread);
    case SNAPSHOT_ROOT_DATA:
        return data_text(b, root, address, place, out, size);
    case SNAPSHOT_ROOT_MAPPING:
        if (*name)
            return text_format(out, size, "mapping %s%s", name, place);
        return text_format(out, size, "mapping 0x%llx%s", (unsigned long long)root->lo, place);
    case SNAPSHOT_ROOT_DECLARED:
        return text_format(out, size, "declared %s%s", name, place);
    case SNAPSHOT_ROOT_IGNORED:
        return text_format(out, size, "ignored by the program");
    case SNAPSHOT_ROOT_LIMIT:
        break;
    }
    return 0;
}

size_t script_root_text(const struct bind_snapshot *b, u32 root_edge, bool whole, char *out,
                        size_t size)
{
    const struct snapshot *s = &b->snapshot;
    const struct snapshot_root_edge *edge = &s->root_edges[root_edge - 1];
    return area_text(b, &s->roots[edge->root - 1], snapshot_root_edge_address(s, edge), whole, out,
                     size);
}

/* A named or narrower root says more than the mapping around it. */
size_t script_address_text(const struct bind_snapshot *b, u64 address, char *out, size_t size)
{
    const struct snapshot *s = &b->snapshot;
    const struct snapshot_root *best = NULL;
    for (u32 i = 0; i < s->root_count; i++) {
        const struct snapshot_root *r = &s->roots[i];
        if (r->kind != SNAPSHOT_ROOT_REGISTER && r->kind != SNAPSHOT_ROOT_IGNORED &&
            address >= r->lo && address < r->hi &&
            (!best || r->hi - r->lo < best->hi - best->lo))
            best = r;
    }
    return best ? area_text(b, best, address, false, out, size) : 0;
}
