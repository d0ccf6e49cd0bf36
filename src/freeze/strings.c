/* SPDX-License-Identifier: MIT
 *
 * strings.c - the section STRINGS while it grows.
 *
 * Context: frozen.
 * Invariant: bytes[0..used) begins with a NUL and ends with one.
 */
#include <string.h>

#include "job.h"

bool freeze_strings_begin(struct freeze_strings *s, struct snapshot_writer *w)
{
    *s = (struct freeze_strings){.used = 1, .room = FREEZE_STRINGS_ROOM};
    s->bytes = snapshot_writer_whole(w, SNAPSHOT_STRINGS, s->room);
    return s->bytes != NULL;
}

u32 freeze_strings_add(struct freeze_strings *s, const char *text)
{
    size_t bytes = strlen(text) + 1;
    if (bytes == 1 || bytes > s->room - s->used)
        return 0;
    u32 at = s->used;
    memcpy(s->bytes + at, text, bytes);
    s->used += (u32)bytes;
    return at;
}

void freeze_strings_end(struct freeze_strings *s, struct snapshot_writer *w)
{
    snapshot_writer_trim(w, SNAPSHOT_STRINGS, s->used);
}
