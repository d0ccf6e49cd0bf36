/* SPDX-License-Identifier: MIT
 *
 * err.c - filling a struct err.
 *
 * Context: any but hot.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "err.h"
#include "text.h"

bool err_set(struct err *e, enum status status, const char *format, ...)
{
    if (!e)
        return false;
    va_list args;
    va_start(args, format);
    e->status = status;
    text_format_va(e->text, sizeof e->text, format, args);
    va_end(args);
    return false;
}

bool err_set_errno(struct err *e, const char *what, const char *path)
{
    int error = errno;
    const char *reason = strerrordesc_np(error);
    enum status status = error == ENOENT                     ? STATUS_NOT_FOUND
                         : error == EACCES || error == EPERM ? STATUS_DENIED
                                                             : STATUS_IO;
    return err_set(e, status, "cannot %s %s: %s", what, path, reason ? reason : "unknown error");
}

const char *err_word(enum status status)
{
    static const char *const words[] = {
#define X(name, word) [STATUS_##name] = word,
        STATUS_TABLE(X)
#undef X
    };
    return (u32)status < COUNT_OF(words) ? words[status] : "unknown";
}
