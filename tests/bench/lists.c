/* SPDX-License-Identifier: MIT
 *
 * lists.c - plain C: a hash of named entries, each with a list of values.
 *
 * Context: benchmark. Usage: lists BLOCKS. About 72 bytes a block on average, few distinct stacks.
 * What it is hard on: the cost of one record, and memory per block with all blocks live at once.
 */
#include "measure.h"

struct value {
    struct value *next;
    char bytes[];
};

struct entry {
    struct entry *next;
    struct value *values;
    char *name;
    unsigned long hash;
};

static struct entry **table;
static unsigned long slots, state = 88172645463325252ul;

static struct value *make_value(struct value *next)
{
    size_t size = 16 + measure_draw(&state) % 112;
    struct value *v = malloc(sizeof *v + size);
    v->next = next;
    memset(v->bytes, (int)size, 16);
    return v;
}

static struct entry *make_entry(unsigned long hash)
{
    char name[40];
    struct entry *e = calloc(1, sizeof *e);
    snprintf(name, sizeof name, "entry-%lx", hash);
    e->name = strdup(name);
    e->hash = hash;
    return e;
}

int main(int argc, char **argv)
{
    unsigned long blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000, made = 0, sum = 0;
    double began = measure_begin(), waited;
    for (slots = 1; slots < blocks / 8; slots *= 2)
        ;
    table = calloc(slots, sizeof *table);
    while (made < blocks) {
        unsigned long hash = measure_draw(&state), slot = hash & (slots - 1);
        struct entry *e = make_entry(hash);
        e->next = table[slot];
        table[slot] = e;
        for (int i = 0; i < 6; i++)
            e->values = make_value(e->values);
        made += 8;
    }
    waited = measure_peak();
    for (unsigned long i = 0; i < slots; i++)
        while (table[i]) {
            struct entry *e = table[i];
            table[i] = e->next;
            while (e->values) {
                struct value *v = e->values;
                e->values = v->next;
                sum += (unsigned char)v->bytes[0];
                free(v);
            }
            free(e->name);
            free(e);
        }
    free(table);
    measure_report(measure_now() - began - waited, sum);
    return 0;
}
