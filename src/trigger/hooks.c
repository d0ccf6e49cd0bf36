/* SPDX-License-Identifier: MIT
 *
 * hooks.c - the functions with which a program sets signal dispositions, interposed.
 *
 * Context: hot.
 * Invariant: a call about any signal but ours, and every call before trigger_start, goes to the
 * next definition unchanged. Nothing is decided here; see keep.c.
 */
#include <dlfcn.h>
#include <signal.h>

#include "keep.h"
#include "trigger.h"

#define ACTION_PARAMETERS  (int number, const struct sigaction *new, struct sigaction *old)
#define HANDLER_PARAMETERS (int number, sighandler_t handler)

/* X(result, function, parameters, arguments, what is done for our signal) */
#define TRIGGER_HOOKS(X)                                                                           \
    X(int, sigaction, ACTION_PARAMETERS, (number, new, old), keep_sigaction(new, old))             \
    X(sighandler_t, signal, HANDLER_PARAMETERS, (number, handler), keep_signal(handler))           \
    X(sighandler_t, bsd_signal, HANDLER_PARAMETERS, (number, handler), keep_signal(handler))       \
    X(sighandler_t, ssignal, HANDLER_PARAMETERS, (number, handler), keep_signal(handler))          \
    X(sighandler_t, sysv_signal, HANDLER_PARAMETERS, (number, handler), keep_sysv_signal(handler)) \
    X(sighandler_t, __sysv_signal, HANDLER_PARAMETERS, (number, handler),                          \
      keep_sysv_signal(handler))                                                                   \
    X(sighandler_t, sigset, HANDLER_PARAMETERS, (number, handler), keep_sigset(handler))           \
    X(int, sigignore, (int number), (number), keep_sigignore())                                    \
    X(int, siginterrupt, (int number, int interrupt), (number, interrupt),                         \
      keep_siginterrupt(interrupt))

/* The next definitions; looked up as the library is loaded, or by the first call before that. */
#define X(result, function, parameters, arguments, ours) static result(*next_##function) parameters;
TRIGGER_HOOKS(X)
#undef X

static COLD void resolve(void)
{
#define X(result, function, parameters, arguments, ours)                                           \
    next_##function = (result(*) parameters)dlsym(RTLD_NEXT, #function);
    TRIGGER_HOOKS(X)
#undef X
}

__attribute__((constructor(101))) static void resolve_early(void)
{
    resolve();
}

#define X(result, function, parameters, arguments, ours)                                           \
    EXPORT result function parameters;                                                             \
    EXPORT result function parameters                                                              \
    {                                                                                              \
        if (UNLIKELY(!next_##function))                                                            \
            resolve();                                                                             \
        if (number != 0 && number == trigger_signal())                                             \
            return ours;                                                                           \
        return next_##function arguments;                                                          \
    }
TRIGGER_HOOKS(X)
#undef X
