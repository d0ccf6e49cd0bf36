/* SPDX-License-Identifier: MIT
 *
 * disposition.c - what the program believes its disposition of our signal to be.
 *
 * Context: hot.
 * Invariant: an action is written into a slot of its own before its number becomes current. A slot
 * is written again only SLOTS changes later; a reader that was so slow reads again, and a writer
 * that was so slow finds the current number changed and starts over.
 * Why no lock: a handler may interrupt whoever holds it, and a fork may leave it held.
 */
#include "disposition.h"

enum { SLOTS = 16, WORDS = sizeof(struct sigaction) / sizeof(u64) };
_Static_assert(sizeof(struct sigaction) == WORDS * sizeof(u64), "copied word by word");

static u64 slots[SLOTS][WORDS];
static u32 last_number; /* handed out */
static u32 current;     /* slots[0] is as fresh memory reads: SIG_DFL */

static u32 write_slot(const struct sigaction *action)
{
    u32 number = __atomic_add_fetch(&last_number, 1, __ATOMIC_ACQ_REL);
    u64 words[WORDS];
    __builtin_memcpy(words, action, sizeof words);
    for (u32 i = 0; i < WORDS; i++)
        POKE(&slots[number % SLOTS][i], words[i]);
    return number;
}

/* Copies the slot of a number; false when it has been given to another meanwhile. */
static bool read_slot(u32 number, struct sigaction *action)
{
    u64 words[WORDS];
    for (u32 i = 0; i < WORDS; i++)
        words[i] = ACQUIRE(&slots[number % SLOTS][i]);
    __builtin_memcpy(action, words, sizeof words);
    return ACQUIRE(&last_number) - number < SLOTS;
}

static bool swap(u32 expected, u32 number)
{
    return __atomic_compare_exchange_n(&current, &expected, number, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

u32 disposition_get(struct sigaction *action)
{
    u32 number;
    do
        number = ACQUIRE(&current);
    while (!read_slot(number, action));
    return number;
}

bool disposition_replace(u32 number, const struct sigaction *action)
{
    return swap(number, write_slot(action));
}

u32 disposition_set(const struct sigaction *action, struct sigaction *old)
{
    struct sigaction before;
    u32 current_number, number;
    do {
        current_number = disposition_get(&before);
        number = write_slot(action);
    } while (!swap(current_number, number));
    if (old)
        *old = before;
    return number;
}
