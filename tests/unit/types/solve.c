/* SPDX-License-Identifier: MIT
 *
 * Tests of the types of blocks: made-up programs with made-up debug information, in which every
 * block's type is known to the test. What is asked of every test: the type and how it was found.
 */
#include "../catalog/made.h"
#include "world.h"

/* Module 1 of the world lies at its bias, so a data root of it at BIAS + n is address n in the
 * file. Frame f's return address is BIAS + 0xff + f. */
enum { BIAS = 0x400000, CODE = 0x100, DATA = 0x8000, HEAP = 0x10000000, STEP = 0x1000 };

struct scene {
    struct world w;
    struct made m;
    struct catalog catalog, other;
    bool has_other;
    struct snapshot s;
    struct types t;
    struct world_memory memory;
    u32 root;
    const char *site, *told;
};

static int begin(void **state)
{
    struct scene *x = calloc(1, sizeof *x);
    world_begin(&x->w);
    made_begin(&x->m);
    x->w.flags = SNAPSHOT_FLAG_GRAPH;
    x->root = world_root(&x->w, (struct snapshot_root){.lo = BIAS + DATA,
                                                       .hi = BIAS + DATA + 0x1000,
                                                       .kind = SNAPSHOT_ROOT_DATA,
                                                       .module = WORLD_SERVER});
    *state = x;
    return 0;
}

static int end(void **state)
{
    struct scene *x = *state;
    if (x->s.bytes) {
        types_free(&x->t);
        world_forget(&x->memory);
        snapshot_close(&x->s);
    }
    made_end(&x->m);
    world_end(&x->w);
    free(x);
    return 0;
}

/* A function of the server and a stack with only it. */
static u32 function(struct scene *x, const char *name, u32 returns, u32 hint)
{
    u32 frame = world_frame(&x->w, name, WORLD_SERVER);
    made_range(&x->m, made_function(&x->m, name, returns, hint), 0xff + frame - 1, 1);
    return world_stack(&x->w, 0, frame);
}

/* A stack of a function that debug information says nothing of. */
static u32 plain_stack(struct scene *x, const char *name)
{
    return world_stack(&x->w, 0, world_frame(&x->w, name, WORLD_SERVER));
}

/* Its block id. They lie STEP apart. */
static u32 block(struct scene *x, u64 size, u32 stack)
{
    world_block(&x->w, HEAP + (u64)STEP * x->w.block_count, size, stack);
    return x->w.block_count;
}

/* From the data word at DATA + offset. */
static void held(struct scene *x, u32 offset, u32 target, u32 into)
{
    world_edge(&x->w, (struct world_edge){0, x->root, offset / 8, target, into});
}

static void refers(struct scene *x, u32 source, u32 offset, u32 target, u32 into)
{
    world_edge(&x->w, (struct world_edge){source, 0, offset / 8, target, into});
}

static void solve(struct scene *x)
{
    struct err e = {0};
    made_finish(&x->m, &x->catalog);
    world_open(&x->w, &x->s);
    types_build(&x->t, &x->s, world_memory(&x->memory));
    const struct catalog *of_module[3] = {NULL, &x->catalog, x->has_other ? &x->other : NULL};
    struct types_told told = {x->site, x->told};
    struct types_ask ask = {.catalogs = of_module,
                            .told = &told,
                            .told_count = x->told != NULL,
                            .memory_limit = UINT64_MAX};
    if (!types_solve(&x->t, &ask, &e))
        fail_msg("%s", e.text);
}

static void is(const struct scene *x, u32 id, const char *type, const char *source)
{
    block_id b = {id};
    assert_string_equal(x->t.types.text[types_of_block(&x->t, b).v], type);
    assert_string_equal(types_source_word(types_source_of_block(&x->t, b)), source);
}

/* session { session *next; long id; char *name; }, 24 bytes. */
static u32 make_session(struct made *m, u32 *pointer)
{
    u32 letter = made_base(m, "char", 1), text = made_pointer(m, letter);
    u32 number = made_base(m, "long", 8);
    *pointer = made_pointer(m, 0);
    u32 session = made_struct(m, "session", 24);
    made_member(m, session, "next", 0, *pointer);
    made_member(m, session, "id", 8, number);
    made_member(m, session, "name", 16, text);
    made_aim(m, *pointer, session);
    return session;
}

static void a_list_from_a_variable(void **state)
{
    struct scene *x = *state;
    u32 pointer, stack = plain_stack(x, "anything");
    make_session(&x->m, &pointer);
    made_variable(&x->m, "sessions", DATA + 8, pointer);
    u32 first = block(x, 24, stack), second = block(x, 24, stack), name = block(x, 11, stack);
    u32 odd = block(x, 40, plain_stack(x, "other"));
    held(x, 8, first, 0);
    held(x, 16, odd, 0); /* no variable there */
    refers(x, first, 0, second, 0);
    refers(x, second, 8, odd, 0); /* a number that looks like a pointer */
    refers(x, second, 16, name, 0);
    solve(x);
    is(x, first, "session", "propagation");
    is(x, second, "session", "propagation");
    is(x, name, "char[]", "propagation");
    is(x, odd, "site:other", "site");
}

static void a_list_from_a_thread_local(void **state)
{
    struct scene *x = *state;
    u32 pointer, stack = plain_stack(x, "anything");
    make_session(&x->m, &pointer);
    made_thread_local(&x->m, "sessions", 16, pointer);
    u32 first = block(x, 24, stack), second = block(x, 24, stack);
    u32 odd = block(x, 24, plain_stack(x, "other"));
    struct snapshot_root local = {
        .lo = 0x7008, .hi = 0x7108, .kind = SNAPSHOT_ROOT_THREAD_LOCAL, .module = WORLD_SERVER};
    u32 of_server = world_root(&x->w, local);
    local.module = 0;
    u32 of_nobody = world_root(&x->w, local);
    world_edge(&x->w, (struct world_edge){0, of_server, 2, first, 0});
    world_edge(&x->w, (struct world_edge){0, of_nobody, 2, odd, 0});
    refers(x, first, 0, second, 0);
    solve(x);
    is(x, first, "session", "propagation");
    is(x, second, "session", "propagation");
    is(x, odd, "site:other", "site");
}

static void a_long_list_is_followed_to_its_end(void **state)
{
    struct scene *x = *state;
    u32 pointer, stack = plain_stack(x, "anything");
    make_session(&x->m, &pointer);
    made_variable(&x->m, "sessions", DATA, pointer);
    for (u32 i = 0; i < 500; i++)
        block(x, 24, stack);
    held(x, 0, 500, 0); /* against the order of addresses */
    for (u32 i = 2; i <= 500; i++)
        refers(x, i, 0, i - 1, 0);
    solve(x);
    for (u32 i = 1; i <= 500; i++)
        is(x, i, "session", "propagation");
}

static void arrays_and_flexible_arrays_by_size(void **state)
{
    struct scene *x = *state;
    u32 pointer, session = make_session(&x->m, &pointer), stack = plain_stack(x, "a");
    u32 buckets = made_array(&x->m, pointer, 0), table = made_struct(&x->m, "table", 16);
    made_member(&x->m, table, "array", 0, made_pointer(&x->m, pointer));
    made_member(&x->m, table, "count", 8, made_base(&x->m, "int", 4));
    made_member(&x->m, table, "buckets", 16, buckets);
    made_variable(&x->m, "table", DATA, made_pointer(&x->m, table));
    made_variable(&x->m, "row", DATA + 8, made_pointer(&x->m, session));
    u32 t = block(x, 16 + 4 * 8, stack), in_tail = block(x, 24, plain_stack(x, "b"));
    u32 pointers = block(x, 5 * 8, plain_stack(x, "c")),
        in_array = block(x, 24, plain_stack(x, "d"));
    u32 row = block(x, 3 * 24, plain_stack(x, "e"));
    held(x, 0, t, 0);
    held(x, 8, row, 0);
    refers(x, t, 0, pointers, 0);
    refers(x, t, 16 + 3 * 8, in_tail, 0);
    refers(x, pointers, 4 * 8, in_array, 0);
    solve(x);
    is(x, t, "table", "propagation");
    is(x, in_tail, "session", "propagation");
    is(x, pointers, "session *[5]", "propagation");
    is(x, in_array, "session", "propagation");
    is(x, row, "session[3]", "propagation");
}

/* link { link *next, *prev }; item { long key; link node; long more[2]; }: container_of. */
static void links_in_the_middle(void **state)
{
    struct scene *x = *state;
    struct made *m = &x->m;
    u32 number = made_base(m, "long", 8), pointer = made_pointer(m, 0);
    u32 link = made_struct(m, "link", 16);
    made_member(m, link, "next", 0, pointer);
    made_member(m, link, "prev", 8, pointer);
    made_aim(m, pointer, link);
    u32 item = made_struct(m, "item", 40);
    made_member(m, item, "key", 0, number);
    made_member(m, item, "node", 8, link);
    made_member(m, item, "more", 24, made_array(m, number, 2));
    u32 other = made_struct(m, "other", 40); /* of the same size, the link elsewhere */
    made_member(m, other, "key", 0, number);
    made_member(m, other, "pad", 8, number);
    made_member(m, other, "node", 16, link);
    made_variable(m, "head", DATA, link);
    u32 a = block(x, 40, plain_stack(x, "a")), b = block(x, 40, plain_stack(x, "b"));
    u32 c = block(x, 48, plain_stack(x, "c"));
    held(x, 0, a, 8);
    refers(x, a, 8, b, 8);
    refers(x, b, 8, c, 8); /* nothing of that size has a link there */
    solve(x);
    is(x, a, "item", "propagation");
    is(x, b, "item", "propagation");
    is(x, c, "site:c", "site");
}

static void unions_and_void_are_left_open(void **state)
{
    struct scene *x = *state;
    struct made *m = &x->m;
    u32 pointer, session = make_session(m, &pointer), number = made_base(m, "int", 8);
    u32 point = made_struct(m, "point", 16);
    made_member(m, point, "x", 0, number);
    made_member(m, point, "y", 8, number);
    u32 either = made_type(m, CATALOG_UNION, "either", 8, 0, 0);
    made_member(m, either, "number", 0, number);
    made_member(m, either, "point", 0, made_pointer(m, point));
    u32 both = made_type(m, CATALOG_UNION, "both", 8, 0, 0);
    made_member(m, both, "session", 0, pointer);
    made_member(m, both, "point", 0, made_pointer(m, point));
    u32 value = made_struct(m, "value", 32);
    made_member(m, value, "either", 0, either);
    made_member(m, value, "both", 8, both);
    made_member(m, value, "handle", 16, made_pointer(m, 0));
    made_variable(m, "value", DATA, value);
    u32 a = block(x, 16, plain_stack(x, "a")), b = block(x, 24, plain_stack(x, "b"));
    u32 c = block(x, 24, plain_stack(x, "c"));
    held(x, 0, a, 0);
    held(x, 8, b, 0);
    held(x, 16, c, 0);
    (void)session;
    solve(x);
    is(x, a, "point", "propagation"); /* its size speaks for it, if weakly */
    is(x, b, "session", "propagation"); /* and against a point */
    is(x, c, "site:c", "site");
}

static void allocators_say_what_they_return(void **state)
{
    struct scene *x = *state;
    u32 pointer, session = make_session(&x->m, &pointer);
    u32 inner = function(x, "std::__new_allocator<session>::allocate", session, 0);
    u32 many = block(x, 4 * 24, inner), one = block(x, 24, inner);
    solve(x);
    is(x, many, "session[4]", "allocation");
    is(x, one, "session", "allocation");
}

static void a_function_says_what_it_returns_or_handles(void **state)
{
    struct scene *x = *state;
    struct made *m = &x->m;
    u32 pointer, session = make_session(m, &pointer), number = made_base(m, "int", 4);
    u32 twin = made_struct(m, "twin", 24);
    made_member(m, twin, "n", 0, number);
    u32 returned = block(x, 24, function(x, "make_session", session, 0));
    u32 handled = block(x, 24, function(x, "add_session", 0, session));
    u32 stack = function(x, "both", 0, session);
    x->m.functions[2].count = 2; /* session and twin: it could be either */
    x->m.hints[x->m.hint_count++] = twin;
    u32 open = block(x, 24, stack);
    u32 sizes = function(x, "text_of", 0, session); /* only one of its sizes is a session's */
    u32 a = block(x, 24, sizes), b = block(x, 31, sizes);
    solve(x);
    is(x, returned, "session", "allocation");
    is(x, handled, "session", "allocation");
    is(x, open, "site:both", "site");
    is(x, a, "site:text_of", "site");
    is(x, b, "site:text_of", "site");
}

static void wrappers_are_passed_over(void **state)
{
    struct scene *x = *state;
    u32 pointer, session = make_session(&x->m, &pointer);
    u32 outer = function(x, "make_session", session, 0);
    u32 frame = world_frame(&x->w, "xmalloc", WORLD_SERVER);
    made_range(&x->m, made_function(&x->m, "xmalloc", 0, 0), 0xff + frame - 1, 1);
    u32 b = block(x, 24, world_stack(&x->w, outer, frame));
    solve(x);
    is(x, b, "session", "allocation");
}

static void a_vote_reaches_what_is_lost(void **state)
{
    struct scene *x = *state;
    u32 pointer, stack = plain_stack(x, "make");
    make_session(&x->m, &pointer);
    made_variable(&x->m, "sessions", DATA, made_array(&x->m, pointer, 16));
    for (u32 i = 0; i < 12; i++)
        block(x, 24, stack);
    u32 other = block(x, 32, stack), lonely = block(x, 24, plain_stack(x, "elsewhere"));
    for (u32 i = 0; i < 10; i++)
        held(x, 8 * i, i + 1, 0);
    solve(x);
    is(x, 10, "session", "propagation");
    is(x, 11, "session", "vote");
    is(x, 12, "session", "vote");
    is(x, lonely, "site:elsewhere", "site");
    is(x, other, "site:make", "site"); /* no session has that size */
}

static void one_pointer_makes_no_text_of_many(void **state)
{
    struct scene *x = *state;
    u32 stack = plain_stack(x, "add_entry"), few = plain_stack(x, "add_name");
    u32 text = made_pointer(&x->m, made_base(&x->m, "char", 1));
    made_variable(&x->m, "names", DATA, made_array(&x->m, text, 16));
    for (u32 i = 0; i < 100; i++)
        block(x, 24, stack);
    for (u32 i = 0; i < 10; i++)
        block(x, 24, few);
    held(x, 0, 1, 0);
    held(x, 8, 101, 0);
    solve(x);
    is(x, 1, "char[]", "propagation");
    is(x, 2, "site:add_entry", "site");
    is(x, 101, "char[]", "propagation");
    is(x, 110, "char[]", "vote");
}

static void classes_of_cxx_have_members_too(void **state)
{
    struct scene *x = *state;
    struct made *m = &x->m;
    u32 pointer, session = make_session(m, &pointer);
    u32 server = made_struct(m, "ns::server<int, long> ", 16);
    made_member(m, server, "vptr", 0, made_pointer(m, made_type(m, CATALOG_FUNCTION, "", 0, 0, 0)));
    made_member(m, server, "first", 8, pointer);
    u32 vtable = world_vtable(&x->w, "N2ns6serverIilEE", 0), s, other;
    s = block(x, 16, plain_stack(x, "a"));
    x->w.blocks[s - 1].vtable = vtable;
    other = block(x, 24, plain_stack(x, "b"));
    refers(x, s, 8, other, 0);
    (void)session;
    solve(x);
    is(x, s, "ns::server<int, long> ", "rtti");
    is(x, other, "session", "propagation");
}

/* object { type *kind; long count; }; thing begins with one; a header of 16 bytes lies in front. */
static void a_header_in_front(void **state)
{
    struct scene *x = *state;
    struct made *m = &x->m;
    u32 number = made_base(m, "long", 8), object = made_struct(m, "_object", 16);
    made_member(m, object, "kind", 0, made_pointer(m, 0));
    made_member(m, object, "count", 8, number);
    u32 name = made_typedef(m, "Object", object), reference = made_pointer(m, name);
    u32 thing = made_struct(m, "Thing", 32);
    made_member(m, thing, "base", 0, object);
    made_member(m, thing, "left", 16, reference);
    made_member(m, thing, "right", 24, made_pointer(m, thing));
    u32 list = made_struct(m, "List", 24);
    made_member(m, list, "base", 0, object);
    made_member(m, list, "items", 16, number);
    made_variable(m, "all", DATA, made_array(m, reference, 8));
    u32 a = block(x, 48, plain_stack(x, "a")), b = block(x, 48, plain_stack(x, "b"));
    u32 c = block(x, 90, plain_stack(x, "c"));
    made_variable(m, "one", DATA + 128, made_pointer(m, thing));
    held(x, 0, a, 16);
    held(x, 8, c, 16);
    held(x, 128, a, 16);
    refers(x, a, 16 + 24, b, 16);
    solve(x);
    is(x, a, "Thing", "propagation");
    is(x, b, "Thing", "propagation");
    is(x, c, "Object", "propagation");
}

static void what_a_script_says_goes_first(void **state)
{
    struct scene *x = *state;
    u32 pointer, session = make_session(&x->m, &pointer);
    u32 a = block(x, 24, function(x, "make_session", session, 0));
    u32 b = block(x, 24, function(x, "make_it", session, 0));
    x->site = "make_it";
    x->told = "gadget";
    solve(x);
    is(x, a, "session", "allocation");
    is(x, b, "gadget", "told");
}

static void without_debug_information(void **state)
{
    struct scene *x = *state;
    u32 a = block(x, 24, plain_stack(x, "make_session"));
    u32 b = block(x, 24, plain_stack(x, "make_node"));
    x->w.blocks[b - 1].vtable = world_vtable(&x->w, "4node", 0);
    world_open(&x->w, &x->s);
    types_build(&x->t, &x->s, world_memory(&x->memory));
    struct types_ask ask = {.memory_limit = UINT64_MAX};
    struct err e = {0};
    u32 before = types_of_block(&x->t, (block_id){a}).v;
    assert_true(types_solve(&x->t, &ask, &e));
    assert_int_equal(types_of_block(&x->t, (block_id){a}).v, before);
    is(x, a, "site:make_session", "site");
    is(x, b, "node", "rtti");
}

static void a_limit_is_an_error(void **state)
{
    struct scene *x = *state;
    u32 stack = plain_stack(x, "make_session");
    for (u32 i = 0; i < 100; i++)
        block(x, 24, stack);
    world_open(&x->w, &x->s);
    types_build(&x->t, &x->s, world_memory(&x->memory));
    struct types_ask ask = {.memory_limit = 100000};
    struct err e = {0};
    assert_false(types_solve(&x->t, &ask, &e));
    assert_int_equal(e.status, STATUS_LIMIT);
    is(x, 1, "site:make_session", "site");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
        T(a_list_from_a_variable),
        T(a_list_from_a_thread_local),
        T(a_long_list_is_followed_to_its_end),
        T(arrays_and_flexible_arrays_by_size),
        T(links_in_the_middle),
        T(unions_and_void_are_left_open),
        T(allocators_say_what_they_return),
        T(a_function_says_what_it_returns_or_handles),
        T(wrappers_are_passed_over),
        T(a_vote_reaches_what_is_lost),
        T(one_pointer_makes_no_text_of_many),
        T(classes_of_cxx_have_members_too),
        T(a_header_in_front),
        T(what_a_script_says_goes_first),
        T(without_debug_information),
        T(a_limit_is_an_error),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
