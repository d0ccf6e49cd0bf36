/* SPDX-License-Identifier: MIT
 *
 * cfi.c - see cfi.h.
 *
 * Context: hot (cold path of it).
 */
#include <string.h>

#include "bytes.h"
#include "cfi.h"

enum { PE_OMIT = 0xff, PE_PCREL = 0x10, PE_DATAREL = 0x30, PE_INDIRECT = 0x80 };

/* A pointer in one of the encodings of the Linux Standard Base, table 10-5 and 10-6. */
static u64 take_encoded(struct bytes *r, u32 encoding, u64 data_base)
{
    u64 here = r->at, value;
    if (encoding == PE_OMIT)
        return 0;
    switch (encoding & 0xf) {
    case 0x0:
    case 0x4:
    case 0xc:
        value = bytes_take(r, 8);
        break;
    case 0x1:
        value = bytes_take_uleb(r);
        break;
    case 0x2:
        value = bytes_take(r, 2);
        break;
    case 0x3:
        value = bytes_take(r, 4);
        break;
    case 0x9:
        value = (u64)bytes_take_sleb(r);
        break;
    case 0xa:
        value = (u64)(i64)(int16_t)bytes_take(r, 2);
        break;
    case 0xb:
        value = (u64)(i64)(i32)bytes_take(r, 4);
        break;
    default:
        r->ok = false;
        return 0;
    }
    switch (encoding & 0x70) {
    case 0:
        break;
    case PE_PCREL:
        value += here;
        break;
    case PE_DATAREL:
        value += data_base;
        break;
    default:
        r->ok = false;
    }
    return value;
}

/* --- finding the entry --------------------------------------------------------------------- */

struct cie {
    u64 code_align;
    i64 data_align;
    u32 return_register;
    u32 pointer_encoding;
    bool has_augmentation, signal_frame;
    struct bytes program;
};

/* Limits `r` to the entry at `at` and moves past its length. */
static bool open_entry(struct bytes *r, const struct track_module *m, u64 at)
{
    *r = (struct bytes){at, m->hi, at >= m->lo && at < m->hi};
    if (!r->ok)
        return false;
    u64 bytes = bytes_take(r, 4);
    if (bytes == 0xffffffff)
        bytes = bytes_take(r, 8);
    if (!r->ok || bytes == 0 || bytes > r->end - r->at)
        return false;
    r->end = r->at + bytes;
    return true;
}

static bool read_cie(const struct track_module *m, u64 at, struct cie *c)
{
    struct bytes r;
    if (!open_entry(&r, m, at) || bytes_take(&r, 4) != 0)
        return false;
    *c = (struct cie){0};
    u64 version = bytes_take(&r, 1);
    if (version != 1 && version != 3 && version != 4)
        return false;
    const char *augmentation = (const char *)r.at;
    while (r.ok && bytes_take(&r, 1) != 0) {
    }
    if (version == 4)
        bytes_skip(&r, 2); /* address and segment size */
    c->code_align = bytes_take_uleb(&r);
    c->data_align = bytes_take_sleb(&r);
    c->return_register = version == 1 ? (u32)bytes_take(&r, 1) : (u32)bytes_take_uleb(&r);
    if (!r.ok || c->return_register != CFI_RA)
        return false;
    if (augmentation[0] == 'z') {
        c->has_augmentation = true;
        u64 bytes = bytes_take_uleb(&r);
        u64 data_end = r.at + bytes;
        for (const char *a = augmentation + 1; *a && r.ok; a++) {
            if (*a == 'R') {
                c->pointer_encoding = (u32)bytes_take(&r, 1);
            } else if (*a == 'S') {
                c->signal_frame = true;
            } else if (*a == 'P') {
                u32 encoding = (u32)bytes_take(&r, 1);
                take_encoded(&r, encoding, 0);
            } else if (*a == 'L') {
                bytes_skip(&r, 1);
            } else if (*a != 'B') {
                break; /* unknown: what follows cannot be read, but its length is known */
            }
        }
        r.at = data_end;
    } else if (augmentation[0]) {
        return false;
    }
    c->program = r;
    return r.ok && r.at <= r.end;
}

/* Binary search in the sorted table of .eh_frame_hdr for the entry of the last function that
 * starts at or before `pc`. */
static u64 search_table(const struct track_module *m, u64 pc)
{
    struct bytes r = {m->eh_frame_hdr, m->hi, true};
    u64 version = bytes_take(&r, 1);
    u32 frame_encoding = (u32)bytes_take(&r, 1), count_encoding = (u32)bytes_take(&r, 1);
    u64 table_encoding = bytes_take(&r, 1);
    take_encoded(&r, frame_encoding, m->eh_frame_hdr);
    u64 count = take_encoded(&r, count_encoding, m->eh_frame_hdr);
    if (!r.ok || version != 1 || table_encoding != (PE_DATAREL | 0xb) || count == 0 ||
        count > (r.end - r.at) / 8)
        return 0;
    const i32(*table)[2] = (const i32(*)[2])r.at;
    i64 wanted = (i64)(pc - m->eh_frame_hdr);
    u64 begun = BISECT(i, count, table[i][0] <= wanted);
    return begun ? m->eh_frame_hdr + (u64)(i64)table[begun - 1][1] : 0;
}

/* --- running the program ------------------------------------------------------------------- */

enum { REMEMBERED_MAX = 8 };

struct machine {
    struct cfi_row *row;
    const struct cie *cie;
    struct cfi_rule initial[CFI_REGISTERS]; /* as the CIE's program left them */
    struct {
        struct cfi_rule rules[CFI_REGISTERS];
        bool cfa_is_expression;
        u8 cfa_register;
        i64 cfa_offset;
        u64 cfa_expression;
    } remembered[REMEMBERED_MAX];
    u32 depth;
};

static void set_rule(struct cfi_row *row, u64 reg, enum cfi_how how, i64 value)
{
    if (reg < CFI_REGISTERS)
        row->rules[reg] = (struct cfi_rule){(u8)how, value};
}

static void set_cfa(struct cfi_row *row, u64 reg, i64 offset)
{
    row->cfa_is_expression = false;
    row->cfa_register = (u8)(reg < CFI_REGISTERS ? reg : CFI_REGISTERS);
    row->cfa_offset = offset;
}

static u64 skip_block(struct bytes *r)
{
    u64 at = r->at;
    bytes_skip(r, bytes_take_uleb(r));
    return at;
}

static bool remember(struct machine *m)
{
    if (m->depth == REMEMBERED_MAX)
        return false;
    memcpy(m->remembered[m->depth].rules, m->row->rules, sizeof m->row->rules);
    m->remembered[m->depth].cfa_is_expression = m->row->cfa_is_expression;
    m->remembered[m->depth].cfa_register = m->row->cfa_register;
    m->remembered[m->depth].cfa_offset = m->row->cfa_offset;
    m->remembered[m->depth++].cfa_expression = m->row->cfa_expression;
    return true;
}

static bool restore(struct machine *m)
{
    if (m->depth == 0)
        return false;
    m->depth--;
    memcpy(m->row->rules, m->remembered[m->depth].rules, sizeof m->row->rules);
    m->row->cfa_is_expression = m->remembered[m->depth].cfa_is_expression;
    m->row->cfa_register = m->remembered[m->depth].cfa_register;
    m->row->cfa_offset = m->remembered[m->depth].cfa_offset;
    m->row->cfa_expression = m->remembered[m->depth].cfa_expression;
    return true;
}

/* Runs instructions until the location passes `pc`. */
static bool run(struct machine *m, struct bytes r, u64 location, u64 pc)
{
    struct cfi_row *row = m->row;
    i64 data = m->cie->data_align;
    u64 code = m->cie->code_align, reg;
    while (r.ok && r.at < r.end) {
        u32 op = (u32)bytes_take(&r, 1);
        u32 low = op & 0x3f;
        u64 advance = 0;
        switch (op >> 6) {
        case 1: /* advance_loc */
            advance = low * code;
            break;
        case 2: /* offset */
            set_rule(row, low, CFI_OFFSET, (i64)bytes_take_uleb(&r) * data);
            continue;
        case 3: /* restore */
            if (low < CFI_REGISTERS)
                row->rules[low] = m->initial[low];
            continue;
        default:
            switch (op) {
            case 0x00: /* nop */
                continue;
            case 0x01: /* set_loc */
                location = take_encoded(&r, m->cie->pointer_encoding, 0);
                if (location > pc)
                    return r.ok;
                continue;
            case 0x02: /* advance_loc1, 2, 4 */
                advance = bytes_take(&r, 1) * code;
                break;
            case 0x03:
                advance = bytes_take(&r, 2) * code;
                break;
            case 0x04:
                advance = bytes_take(&r, 4) * code;
                break;
            case 0x05: /* offset_extended */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_OFFSET, (i64)bytes_take_uleb(&r) * data);
                continue;
            case 0x06: /* restore_extended */
                reg = bytes_take_uleb(&r);
                if (reg < CFI_REGISTERS)
                    row->rules[reg] = m->initial[reg];
                continue;
            case 0x07: /* undefined */
                set_rule(row, bytes_take_uleb(&r), CFI_UNDEFINED, 0);
                continue;
            case 0x08: /* same_value */
                set_rule(row, bytes_take_uleb(&r), CFI_SAME, 0);
                continue;
            case 0x09: /* register */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_REGISTER, (i64)bytes_take_uleb(&r));
                continue;
            case 0x0a: /* remember_state */
                if (!remember(m))
                    return false;
                continue;
            case 0x0b: /* restore_state */
                if (!restore(m))
                    return false;
                continue;
            case 0x0c: /* def_cfa */
                reg = bytes_take_uleb(&r);
                set_cfa(row, reg, (i64)bytes_take_uleb(&r));
                continue;
            case 0x0d: /* def_cfa_register */
                set_cfa(row, bytes_take_uleb(&r), row->cfa_offset);
                continue;
            case 0x0e: /* def_cfa_offset */
                row->cfa_offset = (i64)bytes_take_uleb(&r);
                continue;
            case 0x0f: /* def_cfa_expression */
                row->cfa_is_expression = true;
                row->cfa_expression = skip_block(&r);
                continue;
            case 0x10: /* expression */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_EXPRESSION, (i64)skip_block(&r));
                continue;
            case 0x11: /* offset_extended_sf */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_OFFSET, bytes_take_sleb(&r) * data);
                continue;
            case 0x12: /* def_cfa_sf */
                reg = bytes_take_uleb(&r);
                set_cfa(row, reg, bytes_take_sleb(&r) * data);
                continue;
            case 0x13: /* def_cfa_offset_sf */
                row->cfa_offset = bytes_take_sleb(&r) * data;
                continue;
            case 0x14: /* val_offset */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_VAL_OFFSET, (i64)bytes_take_uleb(&r) * data);
                continue;
            case 0x15: /* val_offset_sf */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_VAL_OFFSET, bytes_take_sleb(&r) * data);
                continue;
            case 0x16: /* val_expression */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_VAL_EXPRESSION, (i64)skip_block(&r));
                continue;
            case 0x2e: /* GNU_args_size */
                bytes_take_uleb(&r);
                continue;
            case 0x2f: /* GNU_negative_offset_extended */
                reg = bytes_take_uleb(&r);
                set_rule(row, reg, CFI_OFFSET, -(i64)bytes_take_uleb(&r) * data);
                continue;
            default:
                return false;
            }
        }
        location += advance;
        if (location > pc)
            return r.ok;
    }
    return r.ok;
}

/* Opens the entry that covers `pc`: its CIE, its range, and its instructions in *program. */
static bool find_entry(const struct track_module *m, u64 pc, struct cie *cie, u64 *start, u64 *end,
                       struct bytes *program)
{
    struct bytes r;
    u64 at = m->eh_frame_hdr ? search_table(m, pc) : 0;
    if (!at || !open_entry(&r, m, at))
        return false;
    u64 back_from = r.at;
    u64 back = bytes_take(&r, 4);
    if (!r.ok || back == 0 || back > back_from || !read_cie(m, back_from - back, cie))
        return false;
    *start = take_encoded(&r, cie->pointer_encoding, 0);
    *end = *start + take_encoded(&r, cie->pointer_encoding & 0xf, 0);
    if (cie->has_augmentation)
        bytes_skip(&r, bytes_take_uleb(&r));
    *program = r;
    return r.ok && !(cie->pointer_encoding & PE_INDIRECT) && pc >= *start && pc < *end;
}

bool cfi_find(const struct track_module *m, u64 pc, struct cfi_row *row)
{
    struct cie cie;
    struct bytes program;
    u64 start, end;
    if (!find_entry(m, pc, &cie, &start, &end, &program))
        return false;
    *row = (struct cfi_row){.signal_frame = cie.signal_frame,
                            .cfa_register = CFI_REGISTERS,
                            .function_start = start,
                            .function_end = end};
    struct machine machine = {.row = row, .cie = &cie};
    if (!run(&machine, cie.program, 0, ~0ul))
        return false;
    memcpy(machine.initial, row->rules, sizeof row->rules);
    if (!run(&machine, program, start, pc))
        return false;
    return row->cfa_is_expression || row->cfa_register < CFI_REGISTERS;
}

bool cfi_is_entry(const struct track_module *m, u64 pc)
{
    struct cfi_row row;
    return cfi_find(m, pc, &row) && row.function_start == pc;
}
