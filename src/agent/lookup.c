/* SPDX-License-Identifier: MIT
 *
 * lookup.c - the question to the helper process, and what its answer says of places.
 *
 * Context: agent.
 * Invariant: nothing that the helper says is followed before it has been checked: it reads debug
 * information, which may be anybody's, and may say anything. A place whose lines did not arrive
 * whole has none.
 */
#include <stdlib.h>
#include <string.h>

#include "helper.h"
#include "names.h"

#define PATIENCE_NS 10000000000ull
enum {
    FAILURES_MAX = 3,      /* one after another; then it is not started any more */
    ANSWER_ROOM = 1 << 20, /* and so much more for each address: */
    ANSWER_ROOM_ADDRESS = 1 << 10,
    MODULES_MAX = 1 << 14,
};

/* --- the question -------------------------------------------------------------------------- */

struct question {
    u8 *bytes;
    size_t used;
};

/* The module's number in the list, which it is added to. Programs have tens, sometimes hundreds. */
static u32 module_number(const struct agent_text **modules, u32 *count,
                         const struct agent_text *module)
{
    for (u32 i = *count; i-- > 0;)
        if (modules[i] == module)
            return i;
    if (*count == MODULES_MAX)
        return MODULES_MAX;
    modules[*count] = module;
    return (*count)++;
}

static void put(struct question *q, const void *bytes, size_t count)
{
    memcpy(q->bytes + q->used, bytes, count);
    q->used += count;
}

static void put_module(struct question *q, const struct agent_text *module, u32 *string_bytes)
{
    struct lookup_module record = {.path = *string_bytes};
    size_t path_bytes = strlen(module->text) + 1;
    record.build_id_bytes = module->bytes - (u32)path_bytes;
    memcpy(record.build_id, module->text + path_bytes, record.build_id_bytes);
    put(q, &record, sizeof record);
    *string_bytes += (u32)path_bytes;
}

static bool make_question(struct question *q, struct agent_place *const *places, u32 count,
                          const struct agent_text **modules)
{
    u32 module_count = 0, string_bytes = 0;
    size_t strings = 0;
    struct lookup_address *addresses = malloc((size_t)count * sizeof *addresses);
    for (u32 i = 0; addresses && i < count; i++)
        addresses[i] = (struct lookup_address){
            places[i]->key.address, module_number(modules, &module_count, places[i]->key.module),
            0};
    for (u32 i = 0; i < module_count; i++)
        strings += strlen(modules[i]->text) + 1;
    struct lookup_question head = {LOOKUP_VERSION, module_count, count, (u32)strings};
    size_t bytes = sizeof head + count * sizeof *addresses +
                   module_count * sizeof(struct lookup_module) + strings;
    q->bytes = addresses ? malloc(bytes) : NULL;
    if (!q->bytes) {
        free(addresses);
        return false;
    }
    put(q, &head, sizeof head);
    put(q, addresses, count * sizeof *addresses);
    for (u32 i = 0; i < module_count; i++)
        put_module(q, modules[i], &string_bytes);
    for (u32 i = 0; i < module_count; i++)
        put(q, modules[i]->text, strlen(modules[i]->text) + 1);
    free(addresses);
    return true;
}

/* --- the answer ---------------------------------------------------------------------------- */

struct answer {
    const u8 *bytes;
    size_t left;
    struct agent_names *names;
    struct agent_line lines[LOOKUP_DEPTH_MAX];
    u32 depth;
    u32 address; /* that the lines are of */
};

/* A text of the answer, with nothing in it that a terminal would act upon. */
static struct agent_text *take_text(struct answer *a, u32 bytes)
{
    char text[LOOKUP_TEXT_MAX];
    memcpy(text, a->bytes, bytes);
    a->bytes += bytes;
    a->left -= bytes;
    for (u32 i = 0; i < bytes; i++)
        if ((u8)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    return bytes ? agent_names_text(a->names, text, bytes) : NULL;
}

static void settle(struct answer *a, struct agent_place *const *places)
{
    if (!a->depth)
        return;
    struct agent_place *p = places[a->address];
    bool any_file = false;
    for (u32 i = 0; i < a->depth; i++)
        any_file |= a->lines[i].file != NULL;
    if (!p->settled) {
        p->function = a->lines[a->depth - 1].function;
        p->settled = true;
        p->lines = any_file ? malloc(a->depth * sizeof *p->lines) : NULL;
        if (p->lines) {
            memcpy(p->lines, a->lines, a->depth * sizeof *p->lines);
            p->depth = a->depth;
        }
    }
    a->depth = 0;
}

/* Reads one line; false at the end of what can be read. *whole: the helper said that it is all. */
static bool take_line(struct answer *a, struct agent_place *const *places, u32 count, bool *whole)
{
    struct lookup_line line;
    if (a->left < sizeof line)
        return false;
    memcpy(&line, a->bytes, sizeof line);
    a->bytes += sizeof line;
    a->left -= sizeof line;
    if (line.mark != LOOKUP_LINE)
        return false;
    if (line.address != a->address)
        settle(a, places);
    *whole = line.address == LOOKUP_END;
    if (line.address >= count || line.function_bytes > LOOKUP_TEXT_MAX ||
        line.file_bytes > LOOKUP_TEXT_MAX || line.function_bytes + line.file_bytes > a->left ||
        a->depth == LOOKUP_DEPTH_MAX)
        return false;
    a->address = line.address;
    struct agent_line *to = &a->lines[a->depth++];
    to->function = take_text(a, line.function_bytes);
    to->file = take_text(a, line.file_bytes);
    to->line = line.line;
    return true;
}

static bool read_answer(struct agent_names *n, const u8 *bytes, size_t count,
                        struct agent_place *const *places, u32 place_count)
{
    struct answer *a = calloc(1, sizeof *a);
    bool whole = false;
    if (!a)
        return false;
    *a = (struct answer){.bytes = bytes, .left = count, .names = n, .address = LOOKUP_END};
    while (take_line(a, places, place_count, &whole))
        continue;
    free(a);
    return whole;
}

/* --- both ---------------------------------------------------------------------------------- */

static void remark(struct agent_names *n, enum agent_helper_end end, char note[AGENT_NOTE_BYTES])
{
    static const char *const reasons[] = {
        [HELPER_DONE] = "the helper process ended before it had answered",
        [HELPER_FAILED] = "the helper process could not be started",
        [HELPER_LATE] = "the helper process took too long",
    };
    n->failures++;
    text_format(note, AGENT_NOTE_BYTES, "files and lines are missing: %s%s", reasons[end],
                n->failures < FAILURES_MAX ? "" : "; it is not tried again");
}

void agent_lookup(struct agent_names *n, struct agent_place *const *places, u32 count,
                  char note[AGENT_NOTE_BYTES])
{
    static char name[] = "moonheap", word[] = "lookup", plain[] = "LC_ALL=C";
    static char *const arguments[] = {name, word, NULL}, *const environment[] = {plain, NULL};
    struct question q = {0};
    size_t room = ROUND_UP(ANSWER_ROOM + (size_t)count * ANSWER_ROOM_ADDRESS, PAGE_BYTES), got = 0;
    *note = '\0';
    if (!count || n->failures >= FAILURES_MAX)
        return;
    const struct agent_text **modules = malloc(MODULES_MAX * sizeof *modules);
    u8 *answer = sys_map(room);
    enum agent_helper_end end = HELPER_FAILED;
    bool whole = false;
    if (answer && modules && make_question(&q, places, count, modules)) {
        end = agent_helper_ask(arguments, environment, q.bytes, q.used, answer, room, &got,
                               PATIENCE_NS);
        whole = read_answer(n, answer, got, places, count);
    }
    if (whole)
        n->failures = 0;
    else if (end != HELPER_ABSENT)
        remark(n, end, note);
    free(q.bytes);
    free(modules);
    if (answer)
        sys_unmap(answer, room);
}
