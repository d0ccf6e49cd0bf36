/* SPDX-License-Identifier: MIT
 *
 * expression.c - see expression.h.
 *
 * Context: hot (cold path of it).
 */
#include "bytes.h"
#include "expression.h"

enum { OP_DEREF = 0x06, OP_BREG0 = 0x70, OP_BREG31 = 0x8f, EXPRESSION_DEPTH = 32 };

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
    case 0x1c:
        *below = a - top;
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
        if (op >= OP_BREG0 && op <= OP_BREG31) {
            u32 reg = op - OP_BREG0;
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
        default:
            break;
        }
        if (n == 0)
            return false;
        if (op == OP_DEREF) {
            if (!memory->read(memory->context, stack[n - 1], &stack[n - 1]))
                return false;
        } else if (op == 0x12) { /* dup */
            stack[n] = stack[n - 1];
            n++;
        } else if (op == 0x13) { /* drop */
            n--;
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
