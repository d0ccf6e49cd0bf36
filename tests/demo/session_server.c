/* SPDX-License-Identifier: MIT
 *
 * session_server.c - the demonstration: a small server on a Unix socket with an ordinary leak.
 *
 * usage: session_server SOCKET       (ends at SIGTERM)
 *
 * Each connection sends lines: "login NAME", "say TEXT", "logout". A logout takes the session out
 * of the table; a client that hangs up without one leaves it there for ever. That is the leak. The
 * history of what was said is a ring: it grows at first and then stays, which is none.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUCKETS = 1024, HISTORY = 200, LINE = 512 };

struct session {
    struct session *next;
    unsigned number;
    char name[32];
    char inbox[80];
};

static struct session *table[BUCKETS];
static char *history[HISTORY];
static unsigned sessions_made, lines_said;

static struct session *make_session(const char *name)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    snprintf(s->name, sizeof s->name, "%.31s", name);
    s->number = ++sessions_made;
    s->next = table[s->number % BUCKETS];
    table[s->number % BUCKETS] = s;
    return s;
}

static void drop_session(struct session *s)
{
    struct session **at = &table[s->number % BUCKETS];
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s);
}

static void remember_line(const char *text)
{
    char **slot = &history[lines_said++ % HISTORY];
    free(*slot);
    *slot = strdup(text);
}

/* Answers one line; a session exists between login and logout. */
static struct session *answer_line(struct session *s, char *line, FILE *out)
{
    line[strcspn(line, "\n")] = 0;
    if (!strncmp(line, "login ", 6)) {
        s = make_session(line + 6);
        fprintf(out, "hello %s\n", s->name);
    } else if (!strncmp(line, "say ", 4) && s) {
        remember_line(line + 4);
        snprintf(s->inbox, sizeof s->inbox, "%.79s", line + 4);
        fprintf(out, "%s says %s\n", s->name, s->inbox);
    } else if (!strcmp(line, "logout") && s) {
        fprintf(out, "bye %s\n", s->name);
        drop_session(s);
        s = NULL;
    } else {
        fputs("what?\n", out);
    }
    fflush(out);
    return s;
}

static void serve_client(int fd)
{
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[LINE];
    struct session *s = NULL;
    while (in && out && fgets(line, sizeof line, in))
        s = answer_line(s, line, out);
    if (out)
        fclose(out);
    if (in)
        fclose(in);
    /* Here a careful server would drop_session(s). */
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: session_server SOCKET\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, 64)) {
        perror("session_server");
        return 2;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            serve_client(fd);
    }
}
