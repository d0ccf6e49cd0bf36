/* SPDX-License-Identifier: MIT
 *
 * plain.c - a program in C whose blocks have types that only it and its debug information know.
 */
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "told.h"

#define KEEP __attribute__((noinline))

/* --- a list with a link inside, and a list of its own type ----------------------------------- */

struct link {
    struct link *next, *prev;
};

struct session {
    long id;
    char *name;
    struct link node;
    struct session *parent;
};

static struct link sessions = {&sessions, &sessions};

static KEEP char *copy_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    memcpy(copy, text, bytes);
    tell(copy, bytes, "char[]");
    return copy;
}

static KEEP struct session *make_session(long id)
{
    char text[64];
    struct session *s = malloc(sizeof *s);
    memset(text, 'a' + (int)(id % 20), 10 + (size_t)(id % 40));
    text[10 + id % 40] = 0;
    s->id = id;
    s->name = copy_text(text);
    s->parent = NULL;
    s->node.next = sessions.next;
    s->node.prev = &sessions;
    sessions.next->prev = &s->node;
    sessions.next = &s->node;
    tell(s, sizeof *s, "session");
    return s;
}

struct item {
    struct item *next;
    int value;
};

static struct item *items;

static KEEP void add_item(int value)
{
    struct item *i = calloc(1, sizeof *i);
    i->value = value;
    i->next = items;
    items = i;
    tell(i, sizeof *i, "item");
}

/* --- a tree whose nodes lie in what it sorts ------------------------------------------------- */

struct node {
    struct node *left, *right, *up;
};

struct entry {
    unsigned key;
    struct node by_key;
    double weight;
};

static struct node *entries;

static struct entry *entry_of(struct node *n)
{
    return (struct entry *)((char *)n - offsetof(struct entry, by_key));
}

static void *zalloc(size_t bytes)
{
    void *p = malloc(bytes);
    if (!p)
        abort();
    memset(p, 0, bytes);
    return p;
}

static KEEP void insert(unsigned key)
{
    struct entry *e = zalloc(sizeof(struct entry));
    struct node **at = &entries, *up = NULL;
    e->key = key;
    while (*at) {
        up = *at;
        at = key < entry_of(up)->key ? &up->left : &up->right;
    }
    e->by_key.up = up;
    *at = &e->by_key;
    tell(e, sizeof *e, "entry");
}

/* --- a hash table with its buckets behind it ------------------------------------------------- */

struct pair {
    struct pair *next;
    const char *key;
    void *value;
    unsigned hash;
};

struct table {
    size_t count, size;
    struct pair *buckets[];
};

static struct table *table;

static KEEP void make_table(size_t size)
{
    table = calloc(1, sizeof *table + size * sizeof table->buckets[0]);
    table->size = size;
    tell(table, sizeof *table + size * sizeof table->buckets[0], "table");
}

static KEEP void put(unsigned hash, void *value)
{
    struct pair *p = malloc(sizeof *p);
    *p = (struct pair){table->buckets[hash % table->size], "key", value, hash};
    table->buckets[hash % table->size] = p;
    table->count++;
    tell(p, sizeof *p, "pair");
}

/* --- arrays of pointers and of structs ------------------------------------------------------- */

struct point {
    double x, y, z;
};

struct mesh {
    struct point *points;
    size_t point_count;
    struct point **chosen;
    size_t chosen_count;
    struct mesh *next;
};

static struct mesh *meshes;

static KEEP struct mesh *make_mesh(size_t points)
{
    struct mesh *m = malloc(sizeof *m);
    m->points = malloc(points * sizeof *m->points);
    m->point_count = points;
    m->chosen_count = points / 2;
    m->chosen = malloc(m->chosen_count * sizeof *m->chosen);
    for (size_t i = 0; i < m->chosen_count; i++)
        m->chosen[i] = &m->points[2 * i];
    memset(m->points, 0, points * sizeof *m->points);
    m->next = meshes;
    meshes = m;
    tell(m, sizeof *m, "mesh");
    tell(m->points, points * sizeof *m->points, points == 1 ? "point" : "point[]");
    tell(m->chosen, m->chosen_count * sizeof *m->chosen,
         m->chosen_count == 1 ? "point *" : "point *[]");
    return m;
}

/* --- unions with tags ------------------------------------------------------------------------ */

enum kind { NUMBER, TEXT, PAIR };

struct cons {
    struct value *head, *tail;
};

struct value {
    enum kind kind;
    union {
        long number;
        char *text;
        struct cons *pair;
    };
};

static struct value *root_value;

static KEEP struct value *make_value(enum kind kind)
{
    struct value *v = malloc(sizeof *v);
    v->kind = kind;
    tell(v, sizeof *v, "value");
    return v;
}

static KEEP struct value *make_number(long n)
{
    struct value *v = make_value(NUMBER);
    v->number = n;
    return v;
}

static KEEP struct value *make_text(const char *text)
{
    struct value *v = make_value(TEXT);
    v->text = copy_text(text);
    return v;
}

static KEEP struct value *make_pair(struct value *head, struct value *tail)
{
    struct value *v = make_value(PAIR);
    v->pair = malloc(sizeof *v->pair);
    v->pair->head = head;
    v->pair->tail = tail;
    tell(v->pair, sizeof *v->pair, "cons");
    return v;
}

/* --- opaque handles -------------------------------------------------------------------------- */

struct device {
    int number;
    char label[20];
    void *user;
    struct device *peer;
};

static void *handles[64];

static KEEP void *open_device(int number)
{
    struct device *d = calloc(1, sizeof *d);
    d->number = number;
    tell(d, sizeof *d, "device");
    return d;
}

/* --- a table of functions, as objects have ---------------------------------------------------- */

struct file;
struct file_ops {
    long (*read)(struct file *);
    long (*write)(struct file *);
};

struct file {
    const struct file_ops *ops;
    int number;
    struct file *next;
};

static long read_disk(struct file *f)
{
    return f->number;
}
static long read_pipe(struct file *f)
{
    return -f->number;
}

const struct file_ops disk_ops = {read_disk, read_disk};
const struct file_ops pipe_ops = {read_pipe, read_pipe};
static struct file *files;

static KEEP void open_file(const struct file_ops *ops, int number)
{
    struct file *f = malloc(sizeof *f);
    *f = (struct file){ops, number, files};
    files = f;
    tell(f, sizeof *f, "file");
}

/* --- what only a stack holds, what nothing holds, what threads hold ---------------------------- */

struct work {
    long steps;
    struct work *next;
    char note[48];
};

static KEEP struct work *make_work(long steps)
{
    struct work *w = malloc(sizeof *w);
    memset(w, 0, sizeof *w);
    w->steps = steps;
    tell(w, sizeof *w, "work");
    return w;
}

struct lost {
    long a, b;
    struct lost *next;
    char tail[8];
};

static KEEP struct lost *lose(struct lost *next)
{
    struct lost *l = malloc(sizeof *l);
    memset(l, 0, sizeof *l);
    l->next = next;
    tell(l, sizeof *l, "lost");
    return l;
}

/* --- what only a thread's own variables hold -------------------------------------------------- */

struct parcel {
    struct parcel *next;
    double weight[2];
};

static __thread struct {
    long count;
    struct parcel *first;
} parcels;

static pthread_barrier_t barrier;

/* Says nothing of what it allocates. */
static KEEP void *fresh(size_t bytes)
{
    return calloc(1, bytes);
}

static KEEP void pack_parcel(void)
{
    void **p = fresh(sizeof(struct parcel));
    *p = parcels.first;
    parcels.first = (void *)p;
    parcels.count++;
    tell(p, sizeof(struct parcel), "parcel");
}

static void *thread_main(void *unused)
{
    for (int i = 0; i < 20; i++)
        pack_parcel();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return parcels.count ? unused : NULL;
}

/* --- libraries with types of the same name ---------------------------------------------------- */

#ifdef WITH_LIBRARIES
void one_fill(void (*tell)(const void *, size_t, const char *));
void two_fill(void (*tell)(const void *, size_t, const char *));
#endif

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 200; i++)
        make_session(i);
    for (int i = 0; i < 300; i++)
        add_item(i);
    for (unsigned i = 0; i < 200; i++)
        insert(i * 2654435761u);
    make_table(101);
    for (unsigned i = 0; i < 250; i++)
        put(i * 40503u, i % 3 ? (void *)items : NULL);
    for (size_t i = 1; i < 40; i++)
        make_mesh(i + 1);
    for (int i = 0; i < 60; i++)
        root_value = make_pair(i % 2 ? make_number(i) : make_text("some text"), root_value);
    for (int i = 0; i < 64; i++)
        handles[i] = open_device(i);
    for (int i = 0; i < 40; i++)
        open_file(i % 4 ? &disk_ops : &pipe_ops, i);
    struct work *volatile on_stack = make_work(1);
    for (long i = 2; i < 30; i++) {
        struct work *w = make_work(i);
        w->next = on_stack;
        on_stack = w;
    }
    struct lost *l = NULL;
    for (int i = 0; i < 50; i++)
        l = lose(i % 10 ? l : NULL);
    l = NULL;
#ifdef WITH_LIBRARIES
    one_fill(tell);
    two_fill(tell);
#endif
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, thread_main, NULL);
    pthread_barrier_wait(&barrier);
    tell_all();
    stay();
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return on_stack == NULL;
}
