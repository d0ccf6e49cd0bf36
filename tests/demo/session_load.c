/* SPDX-License-Identifier: MIT
 *
 * session_load.c - load for session_server: clients of which some hang up without a logout.
 *
 * usage: session_load SOCKET CLIENTS RUDE       (of CLIENTS, the last RUDE never log out)
 *
 * Prints how many got every answer right; the exit status is 0 when all did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(FILE *in, FILE *out, const char *line, const char *expected)
{
    char got[512] = "";
    fprintf(out, "%s\n", line);
    fflush(out);
    if (!fgets(got, sizeof got, in))
        return 0;
    got[strcspn(got, "\n")] = 0;
    return !strcmp(got, expected);
}

static int one_client(const char *path, long number, int polite)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        return 0;
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[64], expected[128];
    snprintf(line, sizeof line, "login user%ld", number);
    snprintf(expected, sizeof expected, "hello user%ld", number);
    int right = ask(in, out, line, expected);
    snprintf(expected, sizeof expected, "user%ld says good morning", number);
    right = ask(in, out, "say good morning", expected) && right;
    snprintf(expected, sizeof expected, "bye user%ld", number);
    if (polite)
        right = ask(in, out, "logout", expected) && right;
    fclose(out);
    fclose(in);
    return right;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: session_load SOCKET CLIENTS RUDE\n");
        return 2;
    }
    long clients = atol(argv[2]), rude = atol(argv[3]), right = 0;
    for (long i = 0; i < clients; i++)
        right += one_client(argv[1], i, i < clients - rude);
    printf("%ld clients served, %ld of them left without a logout, %ld got every answer right\n",
           clients, rude, right);
    return right == clients ? 0 : 1;
}
