/* SPDX-License-Identifier: MIT
 *
 * options.c - reads the MOONHEAP_* variables.
 *
 * Context: hot. Parsing allocates nothing; the result points into the environment's strings.
 * Invariant: a field holds its default until a well-formed value replaces it; an empty value
 * counts as unset, which is what a shell script that clears a variable means.
 */
#include <signal.h>

#include "options.h"
#include "text.h"

/* X(name without SIG) */
#define SIGNAL_TABLE(X)                                                                            \
    X(HUP) X(INT) X(QUIT) X(ILL) X(TRAP) X(ABRT) X(BUS) X(FPE) X(KILL) X(USR1) X(SEGV) X(USR2)     \
    X(PIPE) X(ALRM) X(TERM) X(STKFLT) X(CHLD) X(CONT) X(STOP) X(TSTP) X(TTIN) X(TTOU) X(URG)       \
    X(XCPU) X(XFSZ) X(VTALRM) X(PROF) X(WINCH) X(IO) X(PWR) X(SYS)

static const struct {
    const char *name;
    int number;
} signal_names[] = {
#define X(name) {#name, SIG##name},
    SIGNAL_TABLE(X)
#undef X
};

/* Does `text` begin with `prefix`? Gives what follows, else NULL. */
static const char *after(const char *text, const char *prefix)
{
    while (*prefix)
        if (*text++ != *prefix++)
            return NULL;
    return text;
}

static bool same(const char *a, const char *b)
{
    const char *rest = after(a, b);
    return rest && !*rest;
}

static bool real_time(const char *text, int *number)
{
    const char *low = after(text, "RTMIN"), *high = after(text, "RTMAX");
    const char *rest = low ? low : high;
    u64 offset = 0;
    if (!rest)
        return false;
    if (*rest && (*rest != (low ? '+' : '-') || !text_parse_u64(rest + 1, &offset)))
        return false;
    if (offset > (u64)(SIGRTMAX - SIGRTMIN))
        return false;
    *number = low ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
    return true;
}

int options_signal_number(const char *text)
{
    u64 n;
    if (text_parse_u64(text, &n)) {
        bool libc_keeps_it = n > 31 && n < (u64)SIGRTMIN;
        return n >= 1 && n <= (u64)SIGRTMAX && !libc_keeps_it ? (int)n : 0;
    }
    const char *name = after(text, "SIG");
    name = name ? name : text;
    for (u32 i = 0; i < COUNT_OF(signal_names); i++)
        if (same(name, signal_names[i].name))
            return signal_names[i].number;
    int number;
    return real_time(name, &number) ? number : 0;
}

const char *options_signal_name(int number, char *buffer, size_t size)
{
    for (u32 i = 0; i < COUNT_OF(signal_names); i++)
        if (signal_names[i].number == number)
            return signal_names[i].name;
    if (number >= SIGRTMIN && number <= SIGRTMAX)
        text_format(buffer, size, number == SIGRTMIN ? "RTMIN" : "RTMIN+%d", number - SIGRTMIN);
    else
        text_format(buffer, size, "%d", number);
    return buffer;
}

/* --- one reader for each kind of value; false leaves the field as it is -------------------- */

static bool read_text(const char *value, option_text *field)
{
    *field = value;
    return true;
}

/* One that can be caught, and whose arrival is not the program's own doing. */
static bool read_signal(const char *value, option_signal *field)
{
    int number = options_signal_number(value);
    switch (number) {
    case 0:
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
    case SIGABRT:
        return false;
    default:
        *field = number;
        return true;
    }
}

static bool read_track(const char *value, option_track *field)
{
    const char *sample = after(value, "sample:");
    u64 bytes;
    if (same(value, "full"))
        *field = (option_track){.mode = TRACK_FULL};
    else if (same(value, "off"))
        *field = (option_track){.mode = TRACK_OFF};
    else if (sample && text_parse_bytes(sample, &bytes) && bytes)
        *field = (option_track){.mode = TRACK_SAMPLE, .sample_bytes = bytes};
    else
        return false;
    return true;
}

static bool read_stack(const char *value, option_stack *field)
{
    u64 frames;
    if (!text_parse_u64(value, &frames) || frames < 1 || frames > 256)
        return false;
    *field = (u32)frames;
    return true;
}

static bool read_span(const char *value, option_span *field)
{
    return text_parse_span(value, field);
}

static bool read_bytes(const char *value, option_bytes *field)
{
    return text_parse_bytes(value, field);
}

static bool read_flag(const char *value, option_flag *field)
{
    if (!same(value, "0") && !same(value, "1"))
        return false;
    *field = value[0] == '1';
    return true;
}

/* --- the table ----------------------------------------------------------------------------- */

/* Sets the field of the variable that `entry` begins with. */
static void read_entry(struct options *o, const char *entry, void (*complain)(const char *text))
{
    char text[400];
    const char *value;
#define X(variable, field, reader, fallback, help)                                                 \
    value = after(entry, #variable "=");                                                           \
    if (value) {                                                                                   \
        if (!*value || read_##reader(value, &o->field) || !complain)                               \
            return;                                                                                \
        text_format(text, sizeof text,                                                             \
                    "MOONHEAP_" #variable "=%.100s is not understood, using %s (%s)", value,       \
                    fallback[0] ? fallback : "nothing", help);                                     \
        complain(text);                                                                            \
        return;                                                                                    \
    }
    OPTIONS_TABLE(X)
#undef X
    u32 name = 0;
    while (entry[name] && entry[name] != '=')
        name++;
    if (complain) {
        text_format(text, sizeof text, "MOONHEAP_%.*s is not a variable that Moonheap knows",
                    name > 100 ? 100 : (int)name, entry);
        complain(text);
    }
}

void options_read(struct options *o, char *const *environment, void (*complain)(const char *text))
{
    *o = (struct options){0};
#define X(variable, field, reader, fallback, help) read_##reader(fallback, &o->field);
    OPTIONS_TABLE(X)
#undef X
    for (; environment && *environment; environment++) {
        const char *entry = after(*environment, "MOONHEAP_");
        if (entry)
            read_entry(o, entry, complain);
    }
}
