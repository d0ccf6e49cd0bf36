/* SPDX-License-Identifier: MIT
 *
 * request.h - the words that the tool and the agent exchange over a socket.
 *
 * Context: agent and tool.
 * Invariant: a message is one line of text, a word and its numbers; only OUTPUT is followed by
 * raw bytes, as many as it says. A side that reads anything else hangs up.
 *
 * The way in is the wrong way round, since an idle process holds no socket:
 *
 *   tool                                     agent of process PID
 *   ----                                     --------------------
 *   binds request_address(PID), listens
 *   sends Moonheap's signal to PID  ------>  wakes; connects to request_address(PID)
 *   accepts, checks SO_PEERCRED: pid         (refused: nobody asks, the signal is an ordinary one;
 *   must be PID                               connected: SO_PEERCRED must be its own effective
 *                                             user or root, else it hangs up)
 *                               <----------  HELLO version pid tid
 *   POKE                        ---------->  runs the script
 *                               <----------  OUTPUT n, n bytes   (any number of these)
 *                               <----------  END ok elapsed_ns pause_ns
 *   closes                                   closes
 *
 * All that a run prints goes to its ordinary place too (MOONHEAP_OUT). The OUTPUT bytes include
 * the DBG>> and <<DBG lines. `tid` is the agent's thread: a later signal can go straight there,
 * so that no thread of the program is interrupted. One tool at a time asks a process, because
 * the name can be bound once; EADDRINUSE means that another one does.
 *
 * Time: the agent waits REQUEST_PATIENCE_MS at most for the tool, at every step. The tool should
 * wait for HELLO as long as a run may take (one may be under way), and so for END.
 * A new kind of request is a new row of the table; an agent that does not know it hangs up, and
 * so says HELLO's version: it is raised when an old agent could not understand a new tool.
 */
#ifndef MOONHEAP_BASE_REQUEST_H
#define MOONHEAP_BASE_REQUEST_H

#include <sys/un.h>

#include "attr.h"

/* X(KIND, word on the line, how many numbers follow) */
#define REQUEST_MESSAGES(X)                                                                        \
    X(HELLO, "moonheap", 3) /* version, pid, tid of the agent */                                   \
    X(POKE, "poke", 0)      /* run the script as a signal does, with cause "request" */            \
    X(OUTPUT, "output", 1)  /* bytes that follow */                                                \
    X(END, "end", 3)        /* 1 ok or 0 failed, nanoseconds it took, nanoseconds paused */

enum request_kind {
#define X(kind, word, numbers) REQUEST_##kind,
    REQUEST_MESSAGES(X)
#undef X
};

enum { REQUEST_VERSION = 1, REQUEST_NUMBERS_MAX = 3, REQUEST_PATIENCE_MS = 2000 };

struct request_message {
    enum request_kind kind;
    u64 n[REQUEST_NUMBERS_MAX];
};

/* The abstract address on which a tool waits for process `pid`; returns its length, the third
 * argument of bind and connect. */
u32 request_address(int pid, struct sockaddr_un *address);

/* Send and receive over a stream socket, blocking or not; they wait at most timeout_ms each time
 * that the other side does not move (-1: no limit). false when it is gone, late, or talks
 * nonsense. No SIGPIPE is raised. */
bool request_send(int fd, const struct request_message *message, int timeout_ms);
bool request_receive(int fd, struct request_message *message, int timeout_ms);
bool request_send_bytes(int fd, const void *bytes, size_t count, int timeout_ms);
bool request_receive_bytes(int fd, void *bytes, size_t count, int timeout_ms);

#endif
