/* SPDX-License-Identifier: MIT
 *
 * sign.c - the settings of a process in the name of one of its mappings.
 *
 * Context: hot (its cold path); the tool reads.
 * Invariant: the name is "moonheap:SIGNAL:MODE:SAMPLE:TIMEOUT:SCRIPT", all numbers decimal.
 * Source: memfd_create(2): the name, at most 249 bytes, is shown after "/memfd:" in maps.
 */
#include <string.h>
#include <sys/mman.h>

#include "sign.h"
#include "sys.h"
#include "text.h"

#define SIGN_MARK "moonheap:"

enum { NAME_BYTES = 249 + 1, NOEXEC_SEAL = 8 };

void sign_post(const struct options *o, const char *script)
{
    char name[NAME_BYTES];
    text_format(name, sizeof name, SIGN_MARK "%d:%d:%llu:%llu:%.*s", o->signal, (int)o->track.mode,
                (unsigned long long)o->track.sample_bytes,
                (unsigned long long)o->script_timeout_ns,
                (int)sizeof((struct sign *)NULL)->script - 1, script);
    long fd = sys_call(SYS_memfd_create, name, MFD_CLOEXEC | NOEXEC_SEAL, 0);
    if (sys_failed(fd)) /* a kernel before 6.3 does not know that flag; later ones may insist */
        fd = sys_call(SYS_memfd_create, name, MFD_CLOEXEC, 0);
    if (sys_failed(fd))
        return;
    sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_NONE, MAP_PRIVATE, fd, 0);
    sys_close((int)fd);
}

static bool number(const char **at, u64 *n)
{
    char digits[24];
    size_t length = strcspn(*at, ":\n");
    if (length >= sizeof digits || (*at)[length] != ':')
        return false;
    memcpy(digits, *at, length);
    digits[length] = 0;
    *at += length + 1;
    return text_parse_u64(digits, n);
}

bool sign_read(const char *maps, struct sign *sign)
{
    static const char deleted[] = " (deleted)";
    const char *at = strstr(maps, "/memfd:" SIGN_MARK);
    u64 signal, mode, sample, timeout;
    if (!at)
        return false;
    at += strlen("/memfd:" SIGN_MARK);
    if (!number(&at, &signal) || !number(&at, &mode) || !number(&at, &sample) ||
        !number(&at, &timeout) || !signal || signal > 64 || mode > TRACK_SAMPLE)
        return false;
    *sign = (struct sign){
        .signal = (int)signal,
        .track = {(enum track_mode)mode, sample},
        .script_timeout_ns = timeout,
    };
    size_t length = strcspn(at, "\n"), end = strlen(deleted);
    if (length >= end && !strncmp(at + length - end, deleted, end))
        length -= end;
    text_format(sign->script, sizeof sign->script, "%.*s", (int)length, at);
    return true;
}
