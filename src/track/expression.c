/* SPDX-License-Identifier: MIT
 *
 * expression.c - see expression.h.
 *
 * Context: hot (cold path of it).
 */
#include "bytes.h"
#include "expression.h"

enum {
    OP_DEREF = 0x06,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
    OP_BREGX = 0x92,
    OP_DEREF_SIZE = 0x94,
    OP_NOP = 0x96,
    EXPRESSION_DEPTH = 32,
};

static struct bytes open_expression(u64 expression)
{
    struct bytes r = {expression, expression + 10, true};
    u64 bytes = bytes_take_uleb(&r);
    r.end = r.at + bytes;
    return r;
}

bool expression_is_load(u64 expression, u32 *reg, i64 *offset)
{
    struct bytes r = open_expression(expression);
    u32 op = (u32)bytes_take(&r, 1);
    *reg = op - OP_BREG0;
    *offset = bytes_take_sleb(&r);
    return op >= OP_BREG0 && op <= OP_BREG31 && bytes_take(&r, 1) == OP_DEREF && r.ok &&
           r.at == r.end;
}

bool expression_is_sum(u64 expression, u32 *reg, i64 *offset)
{
    struct bytes r = open_expression(expression);
    u32 op = (u32)bytes_take(&r, 1);
    *reg = op - OP_BREG0;
    *offset = bytes_take_sleb(&r);
    return op >= OP_BREG0 && op <= OP_BREG31 && r.ok && r.at == r.end;
}

static bool binary(u32 op, u64 *below, u64 top)
{
    u64 a = *below;
    switch (op) {
    case 0x1a:
        *below = a & top;
        return true;
    case 0x1b: /* div, of signed numbers */
        if (top == 0 || (a == 1ul << 63 && top == ~0ul))
            return false;
        *below = (u64)((i64)a / (i64)top);
        return true;
    case 0x1c:
        *below = a - top;
        return true;
    case 0x1d: /* mod */
        if (top == 0)
            return false;
        *below = a % top;
        return true;
    case 0x1e:
        *below = a * top;
        return true;
    case 0x21:
        *below = a | top;
        return true;
    case 0x22:
        *below = a + top;
        return true;
    case 0x24:
        *below = top < 64 ? a << top : 0;
        return true;
    case 0x25:
        *below = top < 64 ? a >> top : 0;
        return true;
    case 0x26:
        *below = (u64)((i64)a >> (top < 64 ? top : 63));
        return true;
    case 0x27:
        *below = a ^ top;
        return true;
    case 0x29:
        *below = a == top;
        return true;
    case 0x2a:
        *below = (i64)a >= (i64)top;
        return true;
    case 0x2b:
        *below = (i64)a > (i64)top;
        return true;
    case 0x2c:
        *below = (i64)a <= (i64)top;
        return true;
    case 0x2d:
        *below = (i64)a < (i64)top;
        return true;
    case 0x2e:
        *below = a != top;
        return true;
    default:
        return false;
    }
}

/* What only moves entries of the stack, which has room for one more; false when the operation is
 * another one. Sets r->ok to false where there are too few entries. */
static bool arrange(u32 op, struct bytes *r, u64 *stack, u32 *n)
{
    u32 need = op == 0x14 || op == 0x16 ? 2 : op == 0x17 ? 3 : 1;
    u64 *top = &stack[*n - 1], deep, a;
    if (op < 0x12 || op > 0x17)
        return false;
    if (*n < need) {
        r->ok = false;
        return true;
    }
    switch (op) {
    case 0x12: /* dup */
        stack[(*n)++] = *top;
        return true;
    case 0x13: /* drop */
        (*n)--;
        return true;
    case 0x14: /* over */
        stack[(*n)++] = top[-1];
        return true;
    case 0x15: /* pick */
        deep = bytes_take(r, 1);
        if (deep >= *n)
            r->ok = false;
        else
            stack[(*n)++] = *(top - deep);
        return true;
    case 0x16: /* swap */
        a = *top;
        *top = top[-1];
        top[-1] = a;
        return true;
    default: /* rot: the top one goes below the next two */
        a = *top;
        *top = top[-1];
        top[-1] = top[-2];
        top[-2] = a;
        return true;
    }
}

/* Goes on behind a branch; only forward, so that every expression ends. */
static void jump(struct bytes *r, bool taken)
{
    int16_t offset = (int16_t)bytes_take(r, 2);
    if (taken && offset < 0)
        r->ok = false;
    else if (taken)
        bytes_skip(r, (u64)offset);
}

/* The word at an address, or its lower bytes. */
static bool load(const struct expression_memory *memory, u64 bytes, u64 *value)
{
    if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) ||
        !memory->read(memory->context, *value, value))
        return false;
    if (bytes < 8)
        *value &= (1ul << bytes * 8) - 1;
    return true;
}

bool expression_evaluate(u64 expression, const u64 registers[CFI_REGISTERS], const u64 *initial,
                         const struct expression_memory *memory, u64 *result)
{
    struct bytes r = open_expression(expression);
    u64 stack[EXPRESSION_DEPTH];
    u32 n = 0;
    if (initial)
        stack[n++] = *initial;
    while (r.ok && r.at < r.end) {
        u32 op = (u32)bytes_take(&r, 1);
        if (n == EXPRESSION_DEPTH)
            return false;
        if (op >= 0x30 && op <= 0x4f) { /* lit0.. */
            stack[n++] = op - 0x30;
            continue;
        }
        if ((op >= OP_BREG0 && op <= OP_BREG31) || op == OP_BREGX) {
            u64 reg = op == OP_BREGX ? bytes_take_uleb(&r) : op - OP_BREG0;
            if (reg >= CFI_REGISTERS)
                return false;
            stack[n++] = registers[reg] + (u64)bytes_take_sleb(&r);
            continue;
        }
        switch (op) {
        case 0x03: /* addr */
        case 0x0e: /* const8u */
        case 0x0f: /* const8s */
            stack[n++] = bytes_take(&r, 8);
            continue;
        case 0x08: /* const1u */
            stack[n++] = bytes_take(&r, 1);
            continue;
        case 0x09: /* const1s */
            stack[n++] = (u64)(i64)(signed char)bytes_take(&r, 1);
            continue;
        case 0x0a:
            stack[n++] = bytes_take(&r, 2);
            continue;
        case 0x0b:
            stack[n++] = (u64)(i64)(int16_t)bytes_take(&r, 2);
            continue;
        case 0x0c:
            stack[n++] = bytes_take(&r, 4);
            continue;
        case 0x0d:
            stack[n++] = (u64)(i64)(i32)bytes_take(&r, 4);
            continue;
        case 0x10:
            stack[n++] = bytes_take_uleb(&r);
            continue;
        case 0x11:
            stack[n++] = (u64)bytes_take_sleb(&r);
            continue;
        case 0x2f: /* skip */
            jump(&r, true);
            continue;
        case OP_NOP:
            continue;
        default:
            break;
        }
        if (n == 0)
            return false;
        if (op == OP_DEREF || op == OP_DEREF_SIZE) {
            if (!load(memory, op == OP_DEREF ? 8 : bytes_take(&r, 1), &stack[n - 1]))
                return false;
        } else if (op == 0x28) { /* bra */
            jump(&r, stack[--n] != 0);
        } else if (arrange(op, &r, stack, &n)) {
            continue;
        } else if (op == 0x19) { /* abs */
            stack[n - 1] = (i64)stack[n - 1] < 0 ? 0 - stack[n - 1] : stack[n - 1];
        } else if (op == 0x23) { /* plus_uconst */
            stack[n - 1] += bytes_take_uleb(&r);
        } else if (op == 0x1f) { /* neg */
            stack[n - 1] = 0 - stack[n - 1];
        } else if (op == 0x20) { /* not */
            stack[n - 1] = ~stack[n - 1];
        } else {
            if (n < 2 || !binary(op, &stack[n - 2], stack[n - 1]))
                return false;
            n--;
        }
    }
    if (!r.ok || n == 0)
        return false;
    *result = stack[n - 1];
    return true;
}
