/* SPDX-License-Identifier: MIT
 *
 * two.c - a library with private types, one of which is called as another one of one.c.
 */
#include <stdlib.h>

struct record {
    struct record *next;
    char text[40];
    struct record *up;
};

struct shared {
    struct shared *next;
    int n;
};

static struct record *records;
static struct shared *shareds;

void two_fill(void (*tell)(const void *, size_t, const char *));

void two_fill(void (*tell)(const void *, size_t, const char *))
{
    for (int i = 0; i < 40; i++) {
        struct record *r = malloc(sizeof *r);
        *r = (struct record){records, "two", records};
        records = r;
        tell(r, sizeof *r, "record (libtwo.so)");
        struct shared *s = malloc(sizeof *s);
        *s = (struct shared){shareds, i};
        shareds = s;
        tell(s, sizeof *s, "shared");
    }
}
