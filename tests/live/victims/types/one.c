/* SPDX-License-Identifier: MIT
 *
 * one.c - a library with private types, one of which is called as another one of two.c.
 */
#include <stdlib.h>

struct record {
    struct record *next;
    long first, second;
};

struct shared {
    struct shared *next;
    int n;
};

static struct record *records;
static struct shared *shareds;

void one_fill(void (*tell)(const void *, size_t, const char *));

void one_fill(void (*tell)(const void *, size_t, const char *))
{
    for (int i = 0; i < 40; i++) {
        struct record *r = malloc(sizeof *r);
        *r = (struct record){records, i, i};
        records = r;
        tell(r, sizeof *r, "record (libone.so)");
        struct shared *s = malloc(sizeof *s);
        *s = (struct shared){shareds, i};
        shareds = s;
        tell(s, sizeof *s, "shared");
    }
}
