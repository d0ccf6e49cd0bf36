/* SPDX-License-Identifier: MIT
 *
 * answer.c - the agent's end of a tool's request; base/request.h has the whole of it.
 *
 * Context: agent.
 * Invariant: only a tool of the same effective user, or root's, is served, and every step waits
 * REQUEST_PATIENCE_MS at most.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

static bool may_ask(int connection)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static bool greet(int connection)
{
    struct request_message hello = {
        REQUEST_HELLO, {REQUEST_VERSION, (u64)sys_getpid(), (u64)sys_gettid()}};
    struct request_message asked;
    return request_send(connection, &hello, REQUEST_PATIENCE_MS) &&
           request_receive(connection, &asked, REQUEST_PATIENCE_MS) && asked.kind == REQUEST_POKE;
}

int agent_answer_begin(void)
{
    struct sockaddr_un address;
    u32 length = request_address(sys_getpid(), &address);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection < 0)
        return -1;
    if (connect(connection, (const struct sockaddr *)&address, length) == 0 &&
        may_ask(connection) && greet(connection))
        return connection;
    close(connection);
    return -1;
}

void agent_answer_end(int connection, bool ok, u64 took_ns, u64 pause_ns)
{
    struct request_message end = {REQUEST_END, {ok, took_ns, pause_ns}};
    request_send(connection, &end, REQUEST_PATIENCE_MS);
    close(connection);
}
