/* SPDX-License-Identifier: MIT
 *
 * text.c - formatting without stdio: bounded, allocation-free, usable in a signal handler.
 *
 * Context: hot and any other.
 * Invariant: output is always NUL-terminated when size > 0, and never longer than size - 1 bytes.
 * Why not snprintf: glibc's may allocate, reads the locale and needs kilobytes of stack.
 */
#include "text.h"

/* What is written so far; `room` excludes the NUL. */
struct sink {
    char *out;
    size_t used, room;
};

static void put(struct sink *s, char c)
{
    if (s->used < s->room)
        s->out[s->used++] = c;
}

static void put_padded(struct sink *s, const char *text, size_t length, size_t width, bool left)
{
    size_t pad = width > length ? width - length : 0;
    for (size_t i = 0; !left && i < pad; i++)
        put(s, ' ');
    for (size_t i = 0; i < length; i++)
        put(s, text[i]);
    for (size_t i = 0; left && i < pad; i++)
        put(s, ' ');
}

/* One conversion of a format. */
struct spec {
    bool left, zero, limited;
    size_t width, limit; /* limit: most bytes of a %s, with `limited` */
    int length;          /* 0 int, 1 long and anything else of 64 bits, -1 short, -2 char */
};

enum { DIGITS_MAX = 20 + 1 + 2 };

static void put_number(struct sink *s, const struct spec *spec, u64 n, bool negative, u32 base,
                       const char *prefix)
{
    char digits[DIGITS_MAX];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[n % base];
    while (n /= base);
    char head[3];
    size_t head_length = 0;
    if (negative)
        head[head_length++] = '-';
    for (; *prefix; prefix++)
        head[head_length++] = *prefix;
    if (spec->zero && !spec->left) {
        size_t length = head_length + sizeof digits - at;
        for (size_t i = 0; i < head_length; i++)
            put(s, head[i]);
        for (; length < spec->width; length++)
            put(s, '0');
        put_padded(s, digits + at, sizeof digits - at, 0, false);
        return;
    }
    while (head_length)
        digits[--at] = head[--head_length];
    put_padded(s, digits + at, sizeof digits - at, spec->width, spec->left);
}

/* Reads what stands between '%' and the conversion's letter; returns where the letter is. */
static const char *read_spec(const char *f, struct spec *spec, va_list *args)
{
    *spec = (struct spec){0};
    for (;; f++) {
        if (*f == '-')
            spec->left = true;
        else if (*f == '0')
            spec->zero = true;
        else
            break;
    }
    if (*f == '*') {
        int width = va_arg(*args, int);
        spec->left |= width < 0;
        spec->width = (size_t)(width < 0 ? -(i64)width : width);
        f++;
    }
    for (; *f >= '0' && *f <= '9'; f++)
        spec->width = spec->width * 10 + (size_t)(*f - '0');
    if (*f == '.') {
        f++;
        int limit = 0;
        if (*f == '*') {
            limit = va_arg(*args, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            limit = limit * 10 + (*f - '0');
        spec->limited = limit >= 0;
        spec->limit = limit >= 0 ? (size_t)limit : 0;
    }
    for (;; f++) {
        if (*f == 'h')
            spec->length--;
        else if (*f == 'l' || *f == 'z' || *f == 'j')
            spec->length = 1;
        else
            return f;
    }
}

static i64 signed_argument(const struct spec *spec, va_list *args)
{
    if (spec->length > 0)
        return va_arg(*args, i64);
    int n = va_arg(*args, int);
    return spec->length == 0 ? n : spec->length == -1 ? (short)n : (signed char)n;
}

static u64 unsigned_argument(const struct spec *spec, va_list *args)
{
    if (spec->length > 0)
        return va_arg(*args, u64);
    u32 n = va_arg(*args, u32);
    return spec->length == 0 ? n : spec->length == -1 ? (u16)n : (u8)n;
}

static size_t bounded_length(const char *text, const struct spec *spec)
{
    size_t length = 0;
    while (!(spec->limited && length == spec->limit) && text[length])
        length++;
    return length;
}

static void convert(struct sink *s, char letter, const struct spec *spec, va_list *args)
{
    switch (letter) {
    case 'd':
    case 'i': {
        i64 n = signed_argument(spec, args);
        put_number(s, spec, n < 0 ? -(u64)n : (u64)n, n < 0, 10, "");
        break;
    }
    case 'u':
        put_number(s, spec, unsigned_argument(spec, args), false, 10, "");
        break;
    case 'x':
        put_number(s, spec, unsigned_argument(spec, args), false, 16, "");
        break;
    case 'p':
        put_number(s, spec, (u64)va_arg(*args, void *), false, 16, "0x");
        break;
    case 'c': {
        char c = (char)va_arg(*args, int);
        put_padded(s, &c, 1, spec->width, spec->left);
        break;
    }
    case 's': {
        const char *text = va_arg(*args, const char *);
        text = text ? text : "(null)";
        put_padded(s, text, bounded_length(text, spec), spec->width, spec->left);
        break;
    }
    default: /* "%%", and what is not known stands for itself */
        put(s, letter);
    }
}

size_t text_format_va(char *out, size_t size, const char *format, va_list args)
{
    if (!size)
        return 0;
    struct sink s = {.out = out, .room = size - 1};
    va_list rest; /* a va_list parameter has no address of its own type on x86-64 */
    va_copy(rest, args);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&s, *f);
            continue;
        }
        struct spec spec;
        f = read_spec(f + 1, &spec, &rest);
        if (!*f)
            break;
        convert(&s, *f, &spec, &rest);
    }
    va_end(rest);
    out[s.used] = '\0';
    return s.used;
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t length = text_format_va(out, size, format, args);
    va_end(args);
    return length;
}

size_t text_count(char *out, size_t size, u64 n)
{
    char digits[DIGITS_MAX];
    size_t length = text_format(digits, sizeof digits, "%ju", n);
    if (!size)
        return 0;
    struct sink s = {.out = out, .room = size - 1};
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            put(&s, ' ');
        put(&s, digits[i]);
    }
    out[s.used] = '\0';
    return s.used;
}

size_t text_bytes(char *out, size_t size, u64 bytes)
{
    static const char prefixes[] = "KMGTPE";
    if (bytes < 1000)
        return text_format(out, size, "%ju B", bytes);
    for (u32 i = 0;; i++) {
        u32 shift = 10 * (i + 1);
        u64 half = 1UL << (shift - 1), below = bytes & ((1UL << shift) - 1);
        u64 whole = (bytes >> shift) + (below >= half);
        u64 tenths = (bytes >> shift) * 10 + ((below * 10 + half) >> shift);
        if (tenths < 1000)
            return text_format(out, size, "%ju.%ju %ciB", tenths / 10, tenths % 10, prefixes[i]);
        if (whole < 1000)
            return text_format(out, size, "%ju %ciB", whole, prefixes[i]);
    }
}

/* Reads decimal digits; false when there is none or they overflow. */
static bool read_digits(const char **at, u64 *n)
{
    const char *start = *at;
    *n = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        if (__builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, (u64)(**at - '0'), n))
            return false;
    return *at != start;
}

bool text_parse_bytes(const char *text, u64 *bytes)
{
    u64 n;
    if (!read_digits(&text, &n))
        return false;
    u32 shift = *text == 'K' || *text == 'k'   ? 10
                : *text == 'M' || *text == 'm' ? 20
                : *text == 'G' || *text == 'g' ? 30
                                               : 0;
    if (shift) {
        text++;
        if (*text == 'i' && text[1] != 'B')
            return false;
        text += *text == 'i';
    }
    text += *text == 'B';
    if (*text || n > (UINT64_MAX >> shift))
        return false;
    *bytes = n << shift;
    return true;
}

bool text_parse_u64(const char *text, u64 *n)
{
    u64 value;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        const char *start = text += 2;
        value = text_hex(&text);
        if (text == start || text - start > 16)
            return false;
    } else if (!read_digits(&text, &value)) {
        return false;
    }
    if (*text)
        return false;
    *n = value;
    return true;
}

bool text_parse_span(const char *text, u64 *ns)
{
    static const struct {
        const char *suffix;
        u64 ns;
    } units[] = {{"", 1000000000UL},
                 {"s", 1000000000UL},
                 {"ms", 1000000UL},
                 {"m", 60 * 1000000000UL},
                 {"h", 3600 * 1000000000UL}};
    u64 whole, fraction = 0, scale = 1;
    if (!read_digits(&text, &whole))
        return false;
    if (*text == '.') {
        text++;
        if (*text < '0' || *text > '9')
            return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            if (scale == 1000000) /* finer than any use: a millionth of the unit */
                continue;
            fraction = fraction * 10 + (u64)(*text - '0');
            scale *= 10;
        }
    }
    for (u32 i = 0; i < COUNT_OF(units); i++) {
        u32 j = 0;
        while (text[j] && text[j] == units[i].suffix[j])
            j++;
        if (text[j] || units[i].suffix[j])
            continue;
        u64 value;
        if (__builtin_mul_overflow(whole, units[i].ns, &value) ||
            __builtin_add_overflow(value, units[i].ns / scale * fraction, &value))
            return false;
        *ns = value;
        return true;
    }
    return false;
}

u64 text_hex(const char **at)
{
    u64 n = 0;
    for (;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9')
            n = n << 4 | (u64)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (u64)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            n = n << 4 | (u64)(c - 'A' + 10);
        else
            return n;
    }
}
