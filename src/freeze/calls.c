/* SPDX-License-Identifier: MIT
 *
 * calls.c - which interrupted system calls may be made again as if nothing had been.
 *
 * Context: frozen; the tracer uses it from its own process, the same memory.
 * Invariant: only a call is named that, made again with the same arguments, waits for the same
 * thing until the same time: one without a limit of time, or with an absolute one.
 * Source: signal(7), "Interruption of system calls and library functions by signal handlers" and
 * "... by stop signals".
 */
#include <linux/futex.h>
#include <time.h>

#include "stop.h"

enum { RING_EXTENDED = 1 << 3 }; /* IORING_ENTER_EXT_ARG */

bool calls_wait_for_ever(long number, const u64 a[6])
{
    u64 ring[3] = {0}; /* struct io_uring_getevents_arg: mask, its size, time */
    switch (number) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (i32)a[3] < 0;
    case SYS_epoll_pwait2:
    case SYS_semtimedop:
        return a[3] == 0;
    case SYS_semop:
        return true;
    case SYS_rt_sigtimedwait:
        return a[2] == 0;
    case SYS_io_getevents:
        return a[4] == 0;
    case SYS_io_uring_enter:
        if (!(a[3] & RING_EXTENDED))
            return true;
        return sys_read_memory(a[4], ring, sizeof ring) == sizeof ring && ring[2] == 0;
    default:
        return false;
    }
}

bool calls_outlast_handler(long number, const u64 a[6])
{
    switch (number) {
    case SYS_poll:
        return (i32)a[2] < 0;
    case SYS_ppoll:
        return a[2] == 0;
    case SYS_select:
    case SYS_pselect6:
        return a[4] == 0;
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_msgrcv:
    case SYS_msgsnd:
        return true;
    case SYS_clock_nanosleep:
        return a[1] & TIMER_ABSTIME;
    case SYS_futex:
        return ((i32)a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
    default:
        return calls_wait_for_ever(number, a);
    }
}
