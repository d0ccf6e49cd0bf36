/* SPDX-License-Identifier: MIT
 *
 * stopped.c - the call stack of a thread that stands, walked by another one.
 *
 * Context: frozen: in a clone of the process, or where nobody else runs.
 * Invariant: of the stack nothing is read but through the caller's `read`, and of code nothing but
 * the unwind tables of modules that are known and still there. So no register can make it fault,
 * and no mappings are searched: code in no known module (made at run time) ends the walk.
 * Why modules that were met are kept: to see that one is still there costs two system calls, and
 * thousands of threads stand in the same few.
 */
#include <string.h>

#include "modules.h"
#include "unwind.h"

static const struct track_module *met_module(void *context, u64 pc)
{
    struct track_walker *w = context;
    u32 kept = w->met_count < TRACK_WALKER_MODULES ? w->met_count : TRACK_WALKER_MODULES;
    for (u32 i = 0; i < kept; i++)
        if (pc >= w->met[i]->lo && pc < w->met[i]->hi)
            return w->met[i];
    const struct track_module *m = modules_known(pc);
    if (m)
        w->met[w->met_count++ % TRACK_WALKER_MODULES] = m;
    return m;
}

static bool read_word(void *context, u64 address, u64 *value)
{
    struct track_walker *w = context;
    return (address & 7) == 0 && w->read(w->context, address, value);
}

u32 track_walk_stopped(struct track_walker *w, const u64 registers[TRACK_REGISTERS],
                       struct track_call *out, u32 max, bool *whole)
{
    const struct unwind_means means = {{w, read_word}, met_module};
    struct unwind_frame f = {.exact = true};
    enum unwind_result result = UNWIND_STEPPED;
    u32 n = 0;
    _Static_assert((int)TRACK_REGISTERS == (int)CFI_REGISTERS, "the ABI's numbers");
    memcpy(f.registers, registers, sizeof f.registers);
    while (n < max && result == UNWIND_STEPPED && f.registers[CFI_RA] >= PAGE_BYTES) {
        struct track_call *c = &out[n++];
        *c = (struct track_call){
            .pc = f.registers[CFI_RA], .sp = f.registers[CFI_RSP], .exact = f.exact};
        result = unwind_step(&means, &f);
        c->incarnation = f.incarnation;
        if (f.registers[CFI_RA] != c->pc ||
            f.registers[CFI_RSP] != c->sp) { /* it is the caller's */
            c->next_sp = f.registers[CFI_RSP];
            c->signal = f.exact;
        }
    }
    *whole = result == UNWIND_END;
    return n;
}
