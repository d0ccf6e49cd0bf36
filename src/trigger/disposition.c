/* SPDX-License-Identifier: MIT
 *
 * disposition.c - what the program believes its disposition of our signal to be.
 *
 * Context: hot.
 * Invariant: an action is written into a slot that nobody else writes, and that is not the current
 * one's, before its number becomes current. A reader that is so slow that its slot was written again
 * reads again.
 * Why no lock: a handler may interrupt whoever holds it, and a fork may leave it held. A slot that
 * is held when that happens is passed over; there are more.
 */
#include "disposition.h"

enum { SLOTS = 32, WORDS = sizeof(struct sigaction) / sizeof(u64) };
_Static_assert(sizeof(struct sigaction) == WORDS * sizeof(u64), "copied word by word");

static u64 slots[SLOTS][WORDS];
static bool held[SLOTS]; /* by one who writes it and has not published it yet */
static u32 last_number;  /* handed out */
static u32 current;      /* slots[0] is as fresh memory reads: SIG_DFL */

/* Writes the action into a slot and holds it; gives its number. */
static u32 prepare(const struct sigaction *action)
{
    u64 words[WORDS];
    u32 number, slot;
    __builtin_memcpy(words, action, sizeof words);
    do {
        number = __atomic_add_fetch(&last_number, 1, __ATOMIC_ACQ_REL);
        slot = number % SLOTS;
    } while (slot == ACQUIRE(&current) % SLOTS ||
             __atomic_exchange_n(&held[slot], true, __ATOMIC_ACQUIRE));
    for (u32 i = 0; i < WORDS; i++)
        POKE(&slots[slot][i], words[i]);
    return number;
}

/* Makes a prepared number current if `expected` is; lets go of its slot. */
static bool publish(u32 expected, u32 number)
{
    bool swapped = __atomic_compare_exchange_n(&current, &expected, number, false,
                                               __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    RELEASE(&held[number % SLOTS], false);
    return swapped;
}

/* Copies the slot of a number; false when it may have been given to another meanwhile. */
static bool read_slot(u32 number, struct sigaction *action)
{
    u64 words[WORDS];
    for (u32 i = 0; i < WORDS; i++)
        words[i] = ACQUIRE(&slots[number % SLOTS][i]);
    __builtin_memcpy(action, words, sizeof words);
    return ACQUIRE(&current) == number || ACQUIRE(&last_number) - number < SLOTS;
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
    return publish(number, prepare(action));
}

u32 disposition_set(const struct sigaction *action, struct sigaction *old)
{
    struct sigaction before;
    u32 current_number, number;
    do {
        current_number = disposition_get(&before);
        number = prepare(action);
    } while (!publish(current_number, number));
    if (old)
        *old = before;
    return number;
}
