/* SPDX-License-Identifier: MIT
 *
 * mathematics.c - the C library's functions of real numbers, for the first script that asks for one.
 *
 * Context: agent: Lua's math library and what estimates are made with call them, on its thread.
 * Invariant: the functions have the names of libm's and are hidden, so who is linked with this file
 * needs no libm; it is opened at the first call. Where it is not to be had (a program that has shut
 * itself into a directory), they give NaN, and that is said once.
 * Why: a small program that needs no libm started a tenth slower because a script might one day ask
 * for a logarithm.
 */
#include <dlfcn.h>
#include <string.h>

#include "agent.h"

#define OF_ONE(X)                                                                                  \
    X(acos) X(asin) X(cos) X(cosh) X(exp) X(expm1) X(log) X(log10) X(log2) X(sin) X(sinh) X(sqrt)  \
    X(tan) X(tanh)
#define OF_TWO(X) X(atan2) X(fmod) X(pow)

#define X(name) AT_##name,
enum { OF_ONE(X) OF_TWO(X) FUNCTIONS };
#undef X

static void *found[FUNCTIONS];

static COLD void *find(u32 at, const char *name)
{
    static bool opened;
    static void *libm;
    if (!opened) {
        opened = true;
        libm = dlopen("libm.so.6", RTLD_LAZY | RTLD_LOCAL);
        if (!libm)
            agent_output_complain("libm.so.6 cannot be opened: logarithms and the like are NaN");
    }
    found[at] = libm ? dlsym(libm, name) : NULL;
    return found[at];
}

#define CALL(name, parameters, arguments)                                                          \
    double name parameters;                                                                        \
    double name parameters                                                                         \
    {                                                                                              \
        double(*f) parameters;                                                                     \
        void *there = found[AT_##name] ? found[AT_##name] : find(AT_##name, #name);                \
        if (!there)                                                                                \
            return __builtin_nan("");                                                              \
        memcpy(&f, &there, sizeof f);                                                              \
        return f arguments;                                                                        \
    }
#define X(name) CALL(name, (double x), (x))
OF_ONE(X)
#undef X
#define X(name) CALL(name, (double x, double y), (x, y))
OF_TWO(X)
#undef X
