/* SPDX-License-Identifier: MIT
 *
 * puppet.c - does what its standard input says, and allocates nothing but that.
 *
 * Context: test victim.
 * Invariant: every block comes from make_node, make_buffer or make_leak, so the books of the test
 * are exact. No stdio, which would allocate.
 * Commands: ping; node N; buffer N; leak N; drop (frees the nodes); threads N (that many, idle).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
    struct node *next;
    char payload[92];
};

static struct node *nodes, *buffers;

__attribute__((noinline)) void make_node(void)
{
    struct node *n = malloc(sizeof *n);
    memset(n->payload, 'n', sizeof n->payload);
    n->next = nodes;
    nodes = n;
}

__attribute__((noinline)) void make_buffer(void)
{
    struct node *n = calloc(1, 1000);
    n->next = buffers;
    buffers = n;
}

__attribute__((noinline)) void make_leak(void)
{
    void *volatile lost = malloc(77);
    (void)lost;
}

__attribute__((noinline)) static void drop_nodes(void)
{
    while (nodes) {
        struct node *next = nodes->next;
        free(nodes);
        nodes = next;
    }
}

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void obey(const char *command)
{
    pthread_t thread;
    size_t word = strcspn(command, " ");
    long count = command[word] ? atol(command + word) : 0;
    for (long i = 0; i < count; i++)
        if (!strncmp(command, "node", word))
            make_node();
        else if (!strncmp(command, "buffer", word))
            make_buffer();
        else if (!strncmp(command, "leak", word))
            make_leak();
        else if (!strncmp(command, "threads", word))
            pthread_create(&thread, NULL, idle, NULL);
    if (!strcmp(command, "drop"))
        drop_nodes();
}

int main(void)
{
    char line[100];
    size_t used = 0;
    for (;;) {
        ssize_t got = read(0, line + used, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        if (line[used] != '\n') {
            used += used < sizeof line - 1;
            continue;
        }
        line[used] = 0;
        used = 0;
        obey(line);
        if (write(1, "done\n", 5) != 5)
            return 1;
    }
}
