/* SPDX-License-Identifier: MIT
 *
 * catalog.c - `moonheap catalog`: makes type catalogues, and shows what is in one.
 *
 * Context: tool.
 * Invariant: what fails for one file does not keep the others from being made.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "elf/elf.h"
#include "tool.h"

const char tool_catalog_details[] =
    "  -o FILE          write the catalogue there (of one file)\n"
    "  --print PATTERN  make it in memory and print its types and variables of that name, which "
    "may\n"
    "                   have * and ? in it; FILE may also be a catalogue\n"
    "  --timeout T      how long a file may take (10m)\n"
    "  --missing        of a process: those only that are neither there nor have failed before, in\n"
    "                   silence; what a process starts for itself when a script asks for types\n"
    "\n"
    "A catalogue holds the types of one program or library, made from its debug information. With "
    "it\n"
    "Moonheap names the types of C and C++ objects; without, blocks are named after the function "
    "that\n"
    "allocated them. It is kept under the build-id of its file in $MOONHEAP_CATALOG, else in\n"
    "$XDG_CACHE_HOME/moonheap/catalog, else in ~/.cache/moonheap/catalog, and may be copied to\n"
    "machines that have no debug information. Given a process, it is made for all its files that\n"
    "have debug information.\n"
    "Exit status: 0, 1 when there was a file without debug information, 2 when one could not be\n"
    "read, or a catalogue not be written.\n";

enum { TIMEOUT_S = 600, NESTED_MAX = 100 };

struct catalog_run {
    const char *output, *pattern, *file;
    bool missing;
    u8 *named; /* by a name's offset: types that bear it, at most 2 */
    struct tool_catalogs maker;
};

/* --- printing ----------------------------------------------------------------------------------
 */

/* Types of one name are told apart by their numbers. */
static void print_name(const struct catalog_run *r, const struct catalog *c, u32 type)
{
    u32 name = c->types[type - 1].name;
    fputs(c->strings + name, stdout);
    if (r->named && r->named[name] > 1)
        printf("#%u", type);
}

static bool count_names(struct catalog_run *r, const struct catalog *c)
{
    r->named = calloc(c->string_bytes, 1);
    for (u32 i = 0; r->named && i < c->type_count; i++) {
        u32 kind = c->types[i].kind;
        u8 *count = &r->named[c->types[i].name];
        *count = (u8)(*count + (*count < 2 && (kind == CATALOG_STRUCT || kind == CATALOG_UNION)));
    }
    return r->named;
}

static void print_nested(const struct catalog_run *r, const struct catalog *c, u32 type, u32 depth)
{
    static const char *const unnamed[] = {
        [CATALOG_OPAQUE] = "(unknown)",  [CATALOG_BASE] = "(base)",
        [CATALOG_STRUCT] = "(struct)",   [CATALOG_UNION] = "(union)",
        [CATALOG_TYPEDEF] = "(typedef)", [CATALOG_FUNCTION] = "(code)",
    };
    if (!type) {
        fputs("void", stdout);
        return;
    }
    const struct catalog_type *t = &c->types[type - 1];
    if (!depth--) { /* a pointer may lead to itself */
        fputs("...", stdout);
    } else if (t->kind == CATALOG_POINTER) {
        print_nested(r, c, t->target, depth);
        putchar('*');
    } else if (t->kind == CATALOG_ARRAY) {
        u32 element = t->target;
        while (c->types[element - 1].kind == CATALOG_ARRAY)
            element = c->types[element - 1].target;
        print_nested(r, c, element, depth);
        for (; t->kind == CATALOG_ARRAY; t = &c->types[t->target - 1])
            printf("[%u]", t->count);
    } else if (t->name) {
        print_name(r, c, type);
    } else {
        fputs(unnamed[t->kind], stdout);
    }
}

static void print_type(const struct catalog_run *r, const struct catalog *c, u32 type)
{
    print_nested(r, c, type, NESTED_MAX);
}

static void print_members(const struct catalog_run *r, const struct catalog *c,
                          const struct catalog_type *t)
{
    for (u32 i = t->first; i < t->first + t->count; i++) {
        const struct catalog_member *m = &c->members[i];
        if (m->bit_size)
            printf("  %llu.%u+%ub ", (unsigned long long)m->offset, m->bit_offset, m->bit_size);
        else
            printf("  %llu+%llu ", (unsigned long long)m->offset,
                   (unsigned long long)c->types[m->type - 1].size);
        fputs(m->flags & CATALOG_MEMBER_VIRTUAL_BASE ? "(virtual base)"
              : m->flags & CATALOG_MEMBER_BASE       ? "(base)"
              : m->name                              ? c->strings + m->name
                                                     : "(unnamed)",
              stdout);
        fputs(": ", stdout);
        print_type(r, c, m->type);
        putchar('\n');
    }
}

static bool matches(const struct catalog_run *r, const struct catalog *c, u32 name)
{
    return name && fnmatch(r->pattern, c->strings + name, 0) == 0;
}

static u32 print_variables(const struct catalog_run *r, const struct catalog *c, const char *word,
                           const struct catalog_variable *variables, u32 count)
{
    u32 printed = 0;
    for (u32 i = 0; i < count; i++) {
        const struct catalog_variable *v = &variables[i];
        if (!matches(r, c, v->name))
            continue;
        printf("%s %s 0x%llx+%llu: ", word, c->strings + v->name, (unsigned long long)v->address,
               (unsigned long long)v->size);
        print_type(r, c, v->type);
        putchar('\n');
        printed++;
    }
    return printed;
}

static u32 print_functions(const struct catalog_run *r, const struct catalog *c)
{
    u32 printed = 0;
    for (u32 i = 0; i < c->function_count; i++) {
        const struct catalog_function *f = &c->functions[i];
        if (!matches(r, c, f->name))
            continue;
        printf("function %s:", c->strings + f->name);
        if (f->returns) {
            fputs(" returns ", stdout);
            print_type(r, c, f->returns);
            putchar('*');
        }
        for (u32 k = f->first; k < f->first + f->count; k++) {
            putchar(' ');
            print_type(r, c, c->hints[k]);
            putchar('*');
        }
        putchar('\n');
        printed++;
    }
    return printed;
}

static int print_matches(struct catalog_run *r, const struct catalog *c)
{
    static const char *const words[] = {
        [CATALOG_OPAQUE] = "declared", [CATALOG_BASE] = "base",       [CATALOG_STRUCT] = "struct",
        [CATALOG_UNION] = "union",     [CATALOG_TYPEDEF] = "typedef",
    };
    u32 printed = 0;
    if (!count_names(r, c))
        return tool_cannot("catalog", "out of memory");
    for (u32 i = 0; i < c->type_count; i++) {
        const struct catalog_type *t = &c->types[i];
        if (!matches(r, c, t->name) || t->kind >= COUNT_OF(words) || !words[t->kind])
            continue;
        printf("%s ", words[t->kind]);
        print_name(r, c, i + 1);
        printf(" %llu%s", (unsigned long long)t->size,
               t->flags & CATALOG_POLYMORPHIC ? " polymorphic" : "");
        if (t->kind == CATALOG_TYPEDEF) {
            fputs(": ", stdout);
            print_type(r, c, t->target);
        }
        putchar('\n');
        if (t->kind == CATALOG_STRUCT || t->kind == CATALOG_UNION)
            print_members(r, c, t);
        printed++;
    }
    printed += print_variables(r, c, "variable", c->variables, c->variable_count);
    printed += print_variables(r, c, "thread_local", c->thread_locals, c->thread_local_count);
    printed += print_functions(r, c);
    free(r->named);
    r->named = NULL;
    if (printed)
        return TOOL_OK;
    tool_warn("catalog", "%s has no type, variable or function '%s'", r->file, r->pattern);
    return TOOL_FAILED;
}

/* --- making --------------------------------------------------------------------------------------
 */

static void say_made(const char *file, const struct symbols_catalog *made, const char *path)
{
    struct catalog c;
    char size[32], debug[32], peak[32];
    if (!made) {
        tool_warn("catalog", "%s", path);
        return;
    }
    if (!catalog_view(&c, made->bytes, made->size, NULL))
        return;
    text_bytes(size, sizeof size, made->size);
    text_bytes(debug, sizeof debug, made->debug_bytes);
    text_bytes(peak, sizeof peak, made->peak_bytes);
    printf("%s: %u types, %u variables, %u functions; %s from %s of debug information, %.2f s, %s "
           "of memory\n  %s\n",
           file, c.type_count, c.variable_count + c.thread_local_count, c.function_count, size,
           debug, made->seconds, peak, path);
}

static int write_catalogue(const struct catalog_run *r, const struct symbols_catalog *made)
{
    char place[4096];
    const char *path = r->output;
    struct catalog c;
    struct err e;
    if (!catalog_view(&c, made->bytes, made->size, &e))
        return tool_cannot("catalog", "%s: %s", r->file, e.text);
    if (!path) {
        path = place;
        if (!tool_catalogs_place(&r->maker, r->file, c.build_id, c.build_id_bytes, place,
                                 sizeof place, &e))
            return tool_cannot("catalog", "%s", e.text);
    }
    if (!catalog_save(made->bytes, made->size, path, &e))
        return tool_cannot("catalog", "%s", e.text);
    say_made(r->file, made, path);
    return TOOL_OK;
}

static int of_file(struct catalog_run *r, const char *file)
{
    struct symbols_catalog made;
    struct catalog c;
    struct err e = {0};
    r->file = file;
    if (r->pattern && catalog_open(&c, file, &e)) {
        int status = print_matches(r, &c);
        catalog_close(&c);
        return status;
    }
    struct elf_about about;
    if (!elf_about(file, &about, &e))
        return tool_cannot("catalog", "%s", e.text);
    if (!tool_catalogs_make(&r->maker, file, &made, &e)) {
        tool_warn("catalog", "%s", e.text);
        return e.status == STATUS_NOT_FOUND ? TOOL_FAILED : TOOL_CANNOT;
    }
    int status;
    if (!r->pattern)
        status = write_catalogue(r, &made);
    else if (catalog_view(&c, made.bytes, made.size, &e))
        status = print_matches(r, &c);
    else
        status = tool_cannot("catalog", "%s", e.text);
    symbols_catalog_free(&made);
    return status;
}

static int of_process(struct catalog_run *r, int pid)
{
    struct err e;
    if (r->output || r->pattern)
        return tool_usage("catalog", "-o and --print take a file, not a process");
    r->maker.said = r->missing ? NULL : say_made;
    r->maker.made = r->maker.failed = 0;
    if (!tool_catalogs_process(&r->maker, pid, &e))
        return tool_cannot("catalog", "%s", e.text);
    if (r->maker.failed)
        return TOOL_CANNOT;
    if (r->maker.made || r->missing)
        return TOOL_OK;
    tool_warn("catalog",
              "no file of process %d has debug information: compile with -g, or install -dbg or "
              "-dbgsym packages",
              pid);
    return TOOL_FAILED;
}

int tool_catalog_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"print", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"missing", no_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct catalog_run r = {
        .maker = {.environment = environ, .time_ns = TIMEOUT_S * 1000000000ULL, .again = true},
    };
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+:o:", options, NULL)) != -1;) {
        switch (option) {
        case 'o':
            r.output = optarg;
            break;
        case 'p':
            r.pattern = optarg;
            break;
        case 't':
            if (!text_parse_span(optarg, &r.maker.time_ns) || !r.maker.time_ns)
                return tool_usage("catalog", "--timeout takes a time, e.g. 30s; not '%s'", optarg);
            break;
        case 'm':
            r.missing = r.maker.own_environment = true;
            r.maker.again = false;
            tool_be_modest();
            break;
        case ':':
            return tool_usage("catalog", "%s needs a value", argv[optind - 1]);
        default:
            return tool_usage("catalog", "there is no option '%s'", argv[optind - 1]);
        }
    }
    if (optind == argc)
        return tool_usage("catalog", "of which file or process?");
    if (r.output && argc - optind > 1)
        return tool_usage("catalog", "-o takes the catalogue of one file");
    int worst = TOOL_OK;
    for (int i = optind; i < argc; i++) {
        u64 pid;
        bool number = text_parse_u64(argv[i], &pid) && pid > 0 && pid <= INT32_MAX;
        int status = number ? of_process(&r, (int)pid) : of_file(&r, argv[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}
