/* SPDX-License-Identifier: MIT
 *
 * request.c - the words that the tool and the agent exchange over a socket.
 *
 * Context: agent and tool.
 * Invariant: what was received is a message of the table with exactly its numbers.
 * Why a line is read byte by byte: nothing of what follows it is taken, so there is no buffer to
 * carry from one call to the next; lines are short and few.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "request.h"
#include "sys.h"
#include "text.h"

enum { LINE_BYTES = 96 };

static const struct {
    const char *word;
    u32 numbers;
} messages[] = {
#define X(kind, word, numbers) {word, numbers},
    REQUEST_MESSAGES(X)
#undef X
};

u32 request_address(int pid, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* sun_path[0] stays NUL, which makes the name abstract: no file, gone with its owner */
    size_t length =
        text_format(address->sun_path + 1, sizeof address->sun_path - 1, "moonheap-%d-poke", pid);
    return (u32)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = events};
    long polled;
    do
        polled = sys_call(SYS_poll, &ready, 1, timeout_ms);
    while (polled == -EINTR);
    return polled == 1;
}

bool request_send_bytes(int fd, const void *bytes, size_t count, int timeout_ms)
{
    const char *at = bytes;
    while (count) {
        long sent = sys_call6(SYS_sendto, fd, (long)at, (long)count, MSG_NOSIGNAL | MSG_DONTWAIT, 0,
                              0);
        if (sent >= 0) {
            at += sent;
            count -= (size_t)sent;
        } else if (sent == -EAGAIN ? !wait_for(fd, POLLOUT, timeout_ms) : sent != -EINTR) {
            return false;
        }
    }
    return true;
}

bool request_receive_bytes(int fd, void *bytes, size_t count, int timeout_ms)
{
    char *at = bytes;
    while (count) {
        long got = sys_call6(SYS_recvfrom, fd, (long)at, (long)count, MSG_DONTWAIT, 0, 0);
        if (got > 0) {
            at += got;
            count -= (size_t)got;
        } else if (got == -EAGAIN ? !wait_for(fd, POLLIN, timeout_ms) : got != -EINTR) {
            return false;
        }
    }
    return true;
}

bool request_send(int fd, const struct request_message *message, int timeout_ms)
{
    char line[LINE_BYTES];
    size_t length = text_format(line, sizeof line, "%s", messages[message->kind].word);
    for (u32 i = 0; i < messages[message->kind].numbers; i++)
        length += text_format(line + length, sizeof line - length, " %ju", message->n[i]);
    length += text_format(line + length, sizeof line - length, "\n");
    return request_send_bytes(fd, line, length, timeout_ms);
}

/* Cuts the next word off a line: what lies before a space or the end. */
static char *next_word(char **at)
{
    char *word = *at, *end = word;
    while (*end && *end != ' ')
        end++;
    *at = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static bool parse(char *line, struct request_message *message)
{
    const char *word = next_word(&line);
    for (u32 kind = 0; kind < COUNT_OF(messages); kind++) {
        if (!same(word, messages[kind].word))
            continue;
        *message = (struct request_message){.kind = (enum request_kind)kind};
        for (u32 i = 0; i < messages[kind].numbers; i++)
            if (!text_parse_u64(next_word(&line), &message->n[i]))
                return false;
        return *line == '\0';
    }
    return false;
}

bool request_receive(int fd, struct request_message *message, int timeout_ms)
{
    char line[LINE_BYTES];
    for (u32 length = 0; length < sizeof line; length++) {
        if (!request_receive_bytes(fd, &line[length], 1, timeout_ms))
            return false;
        if (line[length] == '\n') {
            line[length] = '\0';
            return parse(line, message);
        }
    }
    return false;
}
