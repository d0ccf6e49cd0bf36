/* SPDX-License-Identifier: MIT
 *
 * log.c - a small ring of notes that hot code leaves and the agent prints.
 *
 * Context: hot. Lock-free; the newest notes win, none is ever waited for.
 * Invariant: a slot's `turn` is even while its note is whole and odd while one is being written;
 * turn / 2 - 1 says in which round over the ring its note came. A writer that finds its slot being
 * written drops its note; a reader drops what is of another round than it looks for, or moved.
 * Why this way: a sequence lock for each slot (Boehm, "Can Seqlocks Get Along with Programming
 * Language Memory Models?", MSPC 2012), the text in words that are read and written atomically.
 */
#include "log.h"
#include "text.h"

enum { NOTE_BYTES = 160, NOTE_WORDS = NOTE_BYTES / 8, SLOTS = 64 };

struct slot {
    u32 turn;
    u64 note[NOTE_WORDS];
};

static struct slot ring[SLOTS];
static u32 next_note;  /* number of the next note; its slot is next_note % SLOTS */
static u32 next_taken; /* the taker's */

/* The turn of a slot that holds the note of that number. */
static u32 turn_of(u32 number)
{
    return (number / SLOTS + 1) * 2;
}

void log_note(const char *format, ...)
{
    union {
        char text[NOTE_BYTES];
        u64 words[NOTE_WORDS];
    } note = {.words = {0}};
    va_list args;
    va_start(args, format);
    text_format_va(note.text, sizeof note.text, format, args);
    va_end(args);

    u32 number = __atomic_fetch_add(&next_note, 1, __ATOMIC_RELAXED);
    struct slot *s = &ring[number % SLOTS];
    u32 turn = PEEK(&s->turn);
    if (turn % 2 || !__atomic_compare_exchange_n(&s->turn, &turn, turn_of(number) - 1, false,
                                                 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    for (u32 i = 0; i < NOTE_WORDS; i++)
        RELEASE(&s->note[i], note.words[i]);
    RELEASE(&s->turn, turn_of(number));
}

bool log_take(char *out, size_t size)
{
    for (;;) {
        u32 written = ACQUIRE(&next_note);
        if (next_taken == written)
            return false;
        if (written - next_taken > SLOTS)
            next_taken = written - SLOTS;
        u32 number = next_taken++;
        struct slot *s = &ring[number % SLOTS];
        u32 turn = ACQUIRE(&s->turn);
        union {
            char text[NOTE_BYTES];
            u64 words[NOTE_WORDS];
        } note;
        for (u32 i = 0; i < NOTE_WORDS; i++)
            note.words[i] = ACQUIRE(&s->note[i]);
        if (turn != turn_of(number) || PEEK(&s->turn) != turn)
            continue;
        text_format(out, size, "%s", note.text);
        return true;
    }
}
