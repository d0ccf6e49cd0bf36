/* SPDX-License-Identifier: MIT
 *
 * bind_field.c - b:field(name): a member's value; and the names of members in texts.
 *
 * Context: pure.
 * Invariant: nothing is read beyond the block but the string that a pointer to characters leads to,
 * and that through the host, which cannot fault.
 */
#include <string.h>

#include "bind.h"

enum { STRING_MOST = 4096, VALUE_BYTES = 16 };

/* A member's text behind what it is a member of: ".next", "[7].key", or "+0x18". */
size_t script_field_text(const struct bind_snapshot *b, block_id id, u64 offset, char *out,
                         size_t size)
{
    char field[SCRIPT_FIELD_BYTES];
    if (types_field_text(&b->types, id, offset, field, sizeof field))
        return text_format(out, size, "%s%s", *field == '[' ? "" : ".", field);
    return text_format(out, size, "+0x%llx", (unsigned long long)offset);
}

/* "session" or, of an array, "entry": what an element's index is put behind. */
size_t script_element_text(const char *type, char *out, size_t size)
{
    size_t length = strlen(type);
    const char *open = strrchr(type, '[');
    if (open && type[length - 1] == ']')
        length = (size_t)(open - type);
    return text_format(out, size, "%.*s", (int)length, type);
}

static void push_integer(lua_State *L, const struct types_field *f, const u8 *bytes)
{
    u64 value = 0;
    memcpy(&value, bytes, f->bytes < sizeof value ? f->bytes : sizeof value);
    u32 bits = f->bit_size ? f->bit_size : 8 * (u32)(f->bytes < 8 ? f->bytes : 8);
    if (f->bit_size)
        value >>= f->bit_offset;
    u64 mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
    value &= mask;
    if (f->value == TYPES_VALUE_INTEGER && bits < 64 && value >> (bits - 1) & 1)
        value |= ~mask;
    lua_pushinteger(L, (lua_Integer)value);
}

static bool push_float(lua_State *L, const struct types_field *f, const u8 *bytes)
{
    float single;
    double both;
    long double whole;
    if (f->bytes == sizeof single) {
        memcpy(&single, bytes, sizeof single);
        both = (double)single;
    } else if (f->bytes == sizeof both) {
        memcpy(&both, bytes, sizeof both);
    } else if (f->bytes == sizeof whole) {
        memcpy(&whole, bytes, sizeof whole);
        both = (double)whole;
    } else {
        return false;
    }
    lua_pushnumber(L, both);
    return true;
}

/* The text that a pointer leads to, and the pointer. */
static int push_string(lua_State *L, struct bind_block *b, const u8 *bytes)
{
    u64 address;
    memcpy(&address, bytes, sizeof address);
    if (!address) {
        lua_pushnil(L);
        return 1;
    }
    char *text = lua_newuserdatauv(L, STRING_MOST, 0);
    size_t got = script_read_memory(script_of(L), b->owner, address, text, STRING_MOST);
    if (!got)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text, strnlen(text, got));
    lua_pushinteger(L, (lua_Integer)address);
    return 2;
}

static int push_value(lua_State *L, struct bind_block *b, const struct types_field *f,
                      const u8 *bytes)
{
    u64 address;
    switch (f->value) {
    case TYPES_VALUE_INTEGER:
    case TYPES_VALUE_UNSIGNED:
        push_integer(L, f, bytes);
        return 1;
    case TYPES_VALUE_BOOLEAN:
        lua_pushboolean(L, bytes[0] != 0);
        return 1;
    case TYPES_VALUE_FLOAT:
        if (push_float(L, f, bytes))
            return 1;
        break;
    case TYPES_VALUE_POINTER:
        memcpy(&address, bytes, sizeof address);
        lua_pushinteger(L, (lua_Integer)address);
        return 1;
    case TYPES_VALUE_STRING:
        return push_string(L, b, bytes);
    case TYPES_VALUE_CHARACTERS:
        lua_pushlstring(L, (const char *)bytes, strnlen((const char *)bytes, f->bytes));
        return 1;
    case TYPES_VALUE_WHOLE:
        break;
    }
    lua_pushlstring(L, (const char *)bytes, f->bytes);
    return 1;
}

/* b:field("link.next"): a number, a boolean, a string; of a pointer its address; of what is larger
 * its bytes. nil and why, when there is no such member or no memory to read. */
int script_block_field(lua_State *L)
{
    struct bind_block *b = script_check_block(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const struct types *t = script_types(L, b->owner, 1);
    struct types_field f;
    struct err e = {0};
    lua_settop(L, 2);
    if (!types_field_find(t, b->id, name, &f)) {
        err_set(&e, STATUS_NOT_FOUND, "%s has no member '%s' that is known",
                t->types.text[types_of_block(t, b->id).v], name);
        return script_fail(L, &e);
    }
    if (!script_push_bytes(L, b, f.offset, f.bytes))
        return 2;
    u8 few[VALUE_BYTES] = {0};
    const u8 *bytes = (const u8 *)lua_tostring(L, -1);
    if (f.bytes <= sizeof few) {
        memcpy(few, bytes, f.bytes);
        bytes = few;
    }
    return push_value(L, b, &f, bytes);
}
