/* SPDX-License-Identifier: MIT
 *
 * bytes.h - reading the bytes of unwind tables one field after another.
 *
 * Context: hot (cold path of it).
 * Invariant: nothing at or behind `end` is read; who would, gets 0 and `ok` false from then on.
 */
#ifndef MOONHEAP_TRACK_BYTES_H
#define MOONHEAP_TRACK_BYTES_H

#include <string.h>

#include "base/base.h"

struct bytes {
    u64 at, end;
    bool ok;
};

static inline u64 bytes_take(struct bytes *r, u32 bytes)
{
    u64 value = 0;
    if (r->at > r->end || r->end - r->at < bytes) {
        r->ok = false;
        return 0;
    }
    memcpy(&value, (const void *)r->at, bytes);
    r->at += bytes;
    return value;
}

static inline u64 bytes_take_uleb(struct bytes *r)
{
    u64 value = 0;
    for (u32 shift = 0; shift < 70; shift += 7) {
        u64 byte = bytes_take(r, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->ok = false;
    return 0;
}

static inline i64 bytes_take_sleb(struct bytes *r)
{
    u64 value = 0;
    u32 shift = 0;
    while (shift < 70) {
        u64 byte = bytes_take(r, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80)) {
            if (shift < 64 && (byte & 0x40))
                value |= ~0ul << shift;
            return (i64)value;
        }
    }
    r->ok = false;
    return 0;
}

static inline u64 bytes_skip(struct bytes *r, u64 bytes)
{
    u64 at = r->at;
    if (r->at > r->end || r->end - r->at < bytes)
        r->ok = false;
    else
        r->at += bytes;
    return at;
}

#endif
